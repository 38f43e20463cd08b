"""The ledger of stations: each is in it from its opening until every one of its outputs was seen safe.

An entry is a small file beside the leases.  While a program drives the station it holds a lock beside it, which the
operating system gives back however the program ends.  An entry that nobody holds is a station that was left: its
guardian keeps trying to make it safe, and the emergency stop, `labrhel reset` and the next start take it up.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from labrhel.safety.holding import Held, TakenError, is_held
from labrhel.safety.places import folders, kept, listed

_FOLDER = "stations"
_TRIES, _PAUSE = 20, 0.005  # s


@dataclass(frozen=True, slots=True)
class Entry:
    """A station that may have outputs on: its file, its text when it was opened, and who opened it.

    `outputs`: terminals that may be on, with their level [V] where it is known; `problem`: why they could not be made
    safe, if that was tried.
    """

    station: str
    text: str
    outputs: Mapping[str, float | None]
    pid: int
    since: str
    token: str
    problem: str = ""


def remember(station: Path, text: str, outputs: Mapping[str, float | None], folder: Path | None = None) -> Remembered:
    """Enter a station that this process is about to drive; raises OSError if no folder takes the entry."""
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    entry = Entry(str(station.absolute()), text, dict(outputs), os.getpid(), since, secrets.token_hex(8))
    return Remembered(_write(entry, folder), entry, folder)


def left(folder: Path | None = None) -> list[Remembered]:
    """All entries, those that somebody drives included (`is_driven`)."""
    files, _ = listed(_FOLDER, ".json", folder)
    return [item for file in files if (item := at(file, folder))]


def at(file: Path, folder: Path | None = None) -> Remembered | None:
    """The entry in a file; None if there is none, or none that can be read."""
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        outputs = {str(name): None if volts is None else float(volts) for name, volts in about["outputs"].items()}
        words = {key: str(about[key]) for key in ("station", "text", "since", "token", "problem")}
        return Remembered(file, Entry(outputs=outputs, pid=int(about["pid"]), **words), folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


class Remembered:
    """An entry and its file."""

    def __init__(self, place: Path, entry: Entry, folder: Path | None = None) -> None:
        self.place, self.entry, self._folder = place, entry, folder
        self._held: Held | None = None

    def hold(self) -> None:
        """This process drives the station, until it lets go or dies."""
        for _ in range(_TRIES):
            try:
                self._held = Held(self._lock)
                return
            except TakenError:  # by somebody who looks whether it is driven
                time.sleep(_PAUSE)
            except OSError:
                return

    def let_go(self, outputs: Mapping[str, float | None] | None = None, problem: str = "") -> None:
        """It drives it no more, and could not see it safe: say what may be on, and why."""
        self.entry = replace(self.entry, outputs=dict(outputs or self.entry.outputs), problem=problem)
        with suppress(OSError):
            if self.stands:
                _write(self.entry, self._folder)
        if self._held is not None:
            self._held.close()

    def forget(self) -> None:
        """Every output was seen safe; nothing of another program's is taken away."""
        with suppress(OSError):
            if self.stands:
                self.place.unlink()
                self._lock.unlink()
        if self._held is not None:
            self._held.close()

    @property
    def is_driven(self) -> bool:
        """Whether the program that opened the station is alive and has not given it up."""
        return is_held(self._lock)

    @property
    def stands(self) -> bool:
        """Whether it is still what its file says: nobody has seen it safe, forgotten it, or opened the station again."""
        now = at(self.place)
        return now is not None and now.entry.token == self.entry.token

    @property
    def _lock(self) -> Path:
        return self.place.with_suffix(".lock")


def _write(entry: Entry, folder: Path | None) -> Path:
    key = hashlib.sha256(entry.station.encode()).hexdigest()[:12]
    name = f"{_FOLDER}/{Path(entry.station).stem[:40]}-{key}.json"
    written = kept(name, json.dumps(asdict(entry)), folder)
    for other in folders(folder):  # one of before, in the other folder, is out of date
        if other / name != written:
            with suppress(OSError):
                (other / name).unlink()
    return written
