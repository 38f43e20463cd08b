"""What is reachable from this machine, and what it says it is; the outer packages look, through `labrhel.devices`.

An entry of that group is a `Finder`.  Listing writes to nothing; asked is only what a station file or the user names.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol

from labrhel.config.station import StationDocument
from labrhel.errors import ConfigurationError

_GROUP = "labrhel.devices"


class State(enum.Enum):
    """What came of it."""

    LISTED = "listed"  # there, and nobody has asked it
    ANSWERS = "answers"
    IN_USE = "in use"
    FAULTY = "faulty"  # it does not answer, or with what cannot be right


@dataclass(frozen=True, slots=True)
class Device:
    """One address; `name` in the station file; `identity` it gave; `driver`: our kind for it; `note`: one sentence."""

    address: str
    state: State
    name: str = ""
    identity: str = ""
    driver: str = ""
    note: str = ""


class Finder(Protocol):
    """Lists devices, and asks those of a station and those at the addresses `ask` what they are."""

    def __call__(self, station: StationDocument | None, ask: Sequence[str], timeout: float) -> Iterator[Device]:
        """What is asked comes first.  `timeout` [s] of each answer.  Raises ConfigurationError for a wrong address."""
        ...


def find(station: StationDocument | None, ask: Sequence[str], timeout: float) -> Iterator[Device]:
    """Of all finders that are installed."""
    points = sorted(entry_points(group=_GROUP), key=lambda point: point.name)
    if not points:
        raise ConfigurationError("nothing is installed that finds devices; run `pip install -e .` in the checkout")
    for point in points:
        finder: Finder = point.load()
        yield from finder(station, ask, timeout)
