"""A station file as a QCoDeS Station: the same instruments by the same names, for measurements by hand.

    from drivers.qcodes_station import qcodes_station

    station = qcodes_station("station.yaml")
    awg, scope = station.load_instrument("awg1"), station.load_instrument("scope1")

QCoDeS itself reads the file as well, and warns, at length, of every key that it has no use for.
"""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from qcodes.station import Station
from ruamel.yaml import YAML

from drivers.foreign.installed import require_installed
from labrhel import plugins
from labrhel.config.station import load_station
from labrhel.config.station_sections import InstrumentSection


def qcodes_station(file: str | Path) -> Station:
    """The instruments of a station file, none of them opened yet; raises ConfigurationError for what is none."""
    document = load_station(Path(file))
    entries = {}
    for name, section in document.station.instruments.items():
        with document.at("instruments", name):
            made = (
                {"address": section.address, "init": section.init}
                if section.address
                else {"init": section.arguments | section.init}
            )
            entries[name] = {"type": _type(section)} | made
    text = StringIO()
    YAML().dump({"instruments": entries}, text)
    station = Station()
    station.load_config(text.getvalue())
    return station


def _type(section: InstrumentSection) -> str:
    """Module and class, as QCoDeS wants them; it imports whatever is named."""
    if section.is_foreign:
        return ".".join(require_installed(section.type))
    return plugins.instrument_type(plugins.instrument_kind(section.type))
