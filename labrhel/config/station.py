"""The station file of a bench: which instruments stand where, and what is wired to what.

`instruments` is the section of a QCoDeS station (type, address, init), strictly checked: QCoDeS itself only warns of an
unknown key.  `rig` says how they make one rig: the wires of ports, channels and knobs, triggers, waiting times.  It is
the one place where the wiring of a bench is said: model value = gain * (volts - offset), offsets in volts.

    instruments:
      awg1: {type: drivers.instruments.keysight_33600.Keysight33600, address: "TCPIP::10.0.0.5::5025::SOCKET"}
    rig:
      trigger: {fired_by: awg1, seen_by: {scope1: {terminal: ch4, level: 1 V}}}
      ring_down: 60ms
      ports:    {u1: {terminal: awg1.ch1, gain: 1.0, limits: [-5 V, 5 V]}}
      channels: {q1: {terminal: scope1.ch1, gain: 1.0, range: [-2 V, 2 V]}}
      knobs:    {coupling: {terminals: [bias.ch1, bias.ch2], per_volt: 0.2, limits: [0 V, 10 V]}}

Limits belong to terminals: whatever names one stays within the limits of all that do (`StationDocument.terminals`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from labrhel.config.claims import terminals_of
from labrhel.config.foreign_roles import check_foreign
from labrhel.config.problems import sentence
from labrhel.config.reader import Source, parse, read
from labrhel.config.station_sections import Station
from labrhel.errors import ConfigurationError
from labrhel.rig.terminals import Terminals


@dataclass(frozen=True, slots=True)
class StationDocument:
    """A checked station file."""

    station: Station
    source: Source
    terminals: Terminals

    @contextmanager
    def at(self, *path: str | int) -> Iterator[None]:
        """Give a ConfigurationError the file, line and key of `path`; of its own key below that, if it has one."""
        try:
            yield
        except ConfigurationError as error:
            if error.file is not None:
                raise
            own = (int(part) if part.isdigit() else part for part in error.key.split(".") if part)
            raise self.source.error(error.problem, *path, *own) from None


def load_station(file: Path) -> StationDocument:
    """Read and check a station file; raises ConfigurationError with file, line and key.

    What names a terminal has to agree with all else that does: limits with levels that are safe or connect a switch.
    """
    if not file.is_file():
        raise ConfigurationError(f"there is no station file {file}; bench:FILE.yaml names one")
    return _checked(read(file))


def station_from(text: str, file: Path) -> StationDocument:
    """The same from the text that a station file had once; `file` is named in errors."""
    return _checked(Source(file, text, *parse(text, file)))


def _checked(source: Source) -> StationDocument:
    try:
        station = Station.model_validate(source.data)
    except ValidationError as error:
        raise sentence(source, error) from None
    terminals = terminals_of(station, source.error)
    check_foreign(station, source)
    return StationDocument(station, source, terminals)
