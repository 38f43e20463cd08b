"""The virtual bench: instruments in real dialects on real sockets and serial lines around one simulated physics.

No instrument here has a command that its real counterpart lacks.  Faults come through a side channel.
"""

from simbackend.virtual_bench.bench import Bench, check_file, virtual_bench
from simbackend.virtual_bench.faults import Fault
from simbackend.virtual_bench.host import Host
from simbackend.virtual_bench.station.invented import next_commands
from simbackend.virtual_bench.station.spec import invents, stations
from simbackend.virtual_bench.station.station_file import rig_url, station_text

__all__ = [
    "Bench",
    "Fault",
    "Host",
    "check_file",
    "invents",
    "next_commands",
    "rig_url",
    "station_text",
    "stations",
    "virtual_bench",
]
