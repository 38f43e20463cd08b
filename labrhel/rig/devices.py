"""What is reachable from this machine, and what it says it is; `labrhel.plugins.find_devices` looks.

Listing writes to nothing; asked is only what a station file or the user names.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol


class State(enum.Enum):
    """What came of looking for a device."""

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


@dataclass(frozen=True, slots=True)
class Asked:
    """An address that somebody named, with the name and the kind that a station file gives it.

    `at()` is entered while the address is read: it gives a ConfigurationError the line of the file that says it.
    """

    address: str
    name: str = ""
    kind: str = ""
    at: Callable[[], AbstractContextManager[None]] = nullcontext


class Finder(Protocol):
    """Lists devices, and asks those that somebody named what they are: an entry of the group `labrhel.devices`."""

    def __call__(self, asked: Sequence[Asked], timeout: float) -> Iterator[Device]:
        """What is asked comes first.  `timeout` [s] of each answer.  Raises ConfigurationError for a wrong address."""
        ...
