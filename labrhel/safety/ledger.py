"""The ledger of stations: each is in it from its opening until every one of its outputs was seen safe.

An entry is a small file beside the leases.  While a program drives the station it holds a lock beside it, which the
operating system gives back however the program ends.  An entry that nobody holds is a station that was left: its
guardian keeps trying to make it safe, and the emergency stop, `labrhel reset` and the next start take it up.
"""

from __future__ import annotations

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
from labrhel.safety.places import kept, listed, rewrite

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
    """Enter a station that this process is about to drive; raises OSError if no folder takes the entry.

    Its lock is held before the entry is there, so that nobody takes it for one that was left.
    """
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    entry = Entry(str(station.absolute()), text, dict(outputs), os.getpid(), since, secrets.token_hex(8))
    name = f"{_FOLDER}/{station.stem[:40]}-{entry.token}"  # an entry of its own for each opening: none is overwritten
    lock = kept(f"{name}.lock", _text(entry), folder)  # the whole text, to know whether there is room for it
    made = Remembered(lock.with_suffix(".json"), entry)
    try:
        made.hold()
        rewrite(made.place, _text(entry))
    except OSError:
        made.forget()
        raise
    return made


def left(folder: Path | None = None) -> list[Remembered]:
    """All entries, those that somebody drives included (`is_driven`)."""
    files, _ = listed(_FOLDER, ".json", folder)
    return [item for file in files if (item := at(file))]


def at(file: Path) -> Remembered | None:
    """The entry in a file, which is said to be damaged if it is; None if there is none, or another user's."""
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        outputs = {str(name): None if volts is None else float(volts) for name, volts in about["outputs"].items()}
        words = {key: str(about[key]) for key in ("station", "text", "since", "token", "problem")}
        return Remembered(file, Entry(outputs=outputs, pid=int(about["pid"]), **words))
    except OSError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return Remembered(file, Entry(str(file), "", {"an unknown station": None}, 0, "", "", "its entry is damaged"))


class Remembered:
    """An entry and its file."""

    def __init__(self, place: Path, entry: Entry) -> None:
        self.place, self.entry = place, entry
        self._held: Held | None = None

    def hold(self) -> None:
        """From now on this process drives the station, until it lets go or dies; raises OSError."""
        for _ in range(_TRIES):
            try:
                self._held = Held(self._lock)
                return
            except TakenError:  # by somebody who looks whether it is driven
                time.sleep(_PAUSE)
        raise OSError(f"{self._lock} is held by another program")

    def let_go(self, outputs: Mapping[str, float | None], problem: str) -> None:
        """It drives it no more, and could not see it safe: say what may be on, and why.

        On a full disk the entry stays as it was.
        """
        self.entry = replace(self.entry, outputs=dict(outputs), problem=problem)
        with suppress(OSError):
            if self.stands:
                rewrite(self.place, _text(self.entry))
        self._release()

    def forget(self) -> None:
        """Every output was seen safe; nothing of another program's is taken away."""
        if self.stands:
            for file in (self.place, self._lock):
                with suppress(OSError):
                    file.unlink()
        self._release()

    @property
    def is_driven(self) -> bool:
        """Whether the program that opened the station is alive and has not given it up."""
        return is_held(self._lock)

    @property
    def stands(self) -> bool:
        """Whether it is still there: nobody has seen it safe, or forgotten it."""
        now = at(self.place)
        return now is not None and now.entry.token == self.entry.token

    @property
    def _lock(self) -> Path:
        return self.place.with_suffix(".lock")

    def _release(self) -> None:
        if self._held is not None:
            self._held.close()


def _text(entry: Entry) -> str:
    return json.dumps(asdict(entry))
