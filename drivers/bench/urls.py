"""`bench:` URLs: bench:STATION.yaml opens the instruments of a station file and makes them one rig."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from drivers.bench.rig import BenchRig
from drivers.guardian import Guardian
from drivers.roles import Instrument
from labrhel.config.station import load_station
from labrhel.errors import ConfigurationError
from labrhel.interfaces import Model


def open_rig(url: str, model: Model, folder: Path, step: float | None = None) -> BenchRig:
    """Instruments at addresses: bench:STATION.yaml; relative paths start at the configuration's folder, then here.

    Opening changes no output.  Raises ConfigurationError for a station file that does not fit the model or its
    instruments, TransportError for one that does not answer.
    """
    from drivers.instruments import open_instrument  # QCoDeS takes half a second to import

    if step is None:
        raise ConfigurationError("a bench is opened for one step between kicks; a configuration has one (data.spacing)")
    file = folder / url if (folder / url).is_file() else Path(url)
    document = load_station(file)
    with ExitStack() as opened:
        instruments: dict[str, Instrument] = {}
        for name, section in document.station.instruments.items():
            with document.at("instruments", name):
                instruments[name] = open_instrument(section.kind, name, section.address, **section.init)
            opened.callback(instruments[name].close)
        guardian = Guardian(file)
        opened.callback(guardian.release)
        rig = BenchRig(document, instruments, model, step, f"bench:{url}", guardian=guardian)
        opened.pop_all()
    return rig
