"""`bench:` URLs: the station file that names the instruments, and where their traffic is written.

bench:STATION.yaml                         the instruments of a station file as one rig
bench:STATION.yaml?traffic=wires.jsonl     every byte to and from them, with its time (`drivers.transport.read_traffic`)
bench:STATION.yaml?wires=wires.jsonl       no instruments: they answer as they did when that file was written
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from drivers.bench.rig import BenchRig
from drivers.guardian import Guardian
from drivers.rescue import of_the_same, take_up
from drivers.roles import Instrument
from drivers.transport import TrafficLog
from drivers.transport.replayed import ReplayedTraffic
from labrhel.config.station import StationDocument, load_station
from labrhel.errors import ConfigurationError
from labrhel.model.interface import Model
from labrhel.rig.settings import settings_of


def open_rig(url: str, model: Model, folder: Path, step: float | None = None) -> BenchRig:
    """Instruments at addresses: bench:STATION.yaml; settings: ?traffic=FILE, or ?wires=FILE to replay it.

    The path of a station file starts at the configuration's folder, then here; that of traffic, which is continued if
    it is there, here.  Opening changes no output, except that those which a dead program has left are made safe first;
    NotSafeError if they cannot be.  Raises ConfigurationError for a station file that does not fit the
    model or its instruments, TransportError for one that does not answer.
    """
    from drivers.instruments import open_section  # QCoDeS takes half a second to import

    if step is None:
        raise ConfigurationError("a bench is opened for one step between kicks; a configuration has one (data.spacing)")
    where, _, query = url.partition("?")
    file = folder / where if (folder / where).is_file() else Path(where)
    document = load_station(file)
    with ExitStack() as opened:
        log = _log(query)
        if not isinstance(log, ReplayedTraffic):
            for left in of_the_same(document):
                take_up(left)
        if log is not None:
            opened.callback(log.close)
        instruments: dict[str, Instrument] = {}
        if isinstance(log, ReplayedTraffic):
            _require_wires(document)
        for name, section in document.station.instruments.items():
            with document.at("instruments", name):
                instruments[name] = open_section(name, section, log=log)
            opened.callback(instruments[name].close)
        guardian = None
        if not isinstance(log, ReplayedTraffic):  # nothing is attached that could be left on
            guardian = Guardian(file, document)
            opened.callback(guardian.release)
        rig = BenchRig(document, instruments, model, step, f"bench:{where}", guardian=guardian, log=log)
        opened.pop_all()
    return rig


def _require_wires(document: StationDocument) -> None:
    """Raise ConfigurationError for an instrument whose driver has no wire: what it said is on no record."""
    for name, section in document.station.instruments.items():
        if not section.address:
            with document.at("instruments", name):
                raise ConfigurationError(
                    f"{name} has a driver without a wire: what it said is on no record, and cannot be replayed"
                )


def _log(query: str) -> TrafficLog | None:
    settings = settings_of(query)
    if not settings:
        return None
    if len(settings) != 1 or not settings.keys() <= {"traffic", "wires"} or not all(settings.values()):
        raise ConfigurationError(f"the rig bench: has one setting, traffic=FILE or wires=FILE; not {query!r}")
    if "wires" in settings:
        return ReplayedTraffic(_existing(Path(settings["wires"])))
    try:
        return TrafficLog(Path(settings["traffic"]))
    except OSError as error:
        raise ConfigurationError(
            f"the traffic cannot be written to {settings['traffic']}: {error.strerror}; name another file"
        ) from None


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise ConfigurationError(f"there is no record of traffic {file}; ?traffic=FILE writes one")
    return file
