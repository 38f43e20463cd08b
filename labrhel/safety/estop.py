"""Emergency stop: every rig of this machine goes to its safe state, at once, and stays there until it is reset.

`press` first calls on every program that drives a rig (`labrhel.safety.processes`), on all at once: each makes its rig
safe, and is held back by a latch in its own memory.  Meanwhile it latches in a file, so that nothing starts from then
on, and calls on those that had started before that.  Nothing of this waits for the rest: what could be reached is safe
whatever becomes of the file, and what could not is named.  A station whose program is dead is in the ledger
(`labrhel.safety.ledger`), and its guardian's business (`drivers.guardian`).
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from labrhel.errors import TransportError
from labrhel.safety import processes
from labrhel.safety.places import folders, found, kept
from labrhel.safety.processes import GO, SAFE, Program, programs, unreachable

_LATCH = "estop.json"
_PATIENCE = 5  # times that of a caller: a rig whose wires are cut takes so long to say so

RAMP = 0.1
"""Seconds that ramps of levels may take in an emergency."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one rig: `seconds` until it said that it is safe, None with the `problem` if it did not."""

    rig: str
    pid: int
    seconds: float | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Pressed:
    """What a press reached: the `answers` of programs, and its `latch`; None, with the `problem`, if there is none."""

    answers: tuple[Answer, ...]
    latch: Path | None
    problem: str = ""


class MadeSafe(Protocol):
    """What can be made safe, such as a rig."""

    def make_safe(self) -> None:
        """Bring every output to its safe state."""
        ...


@runtime_checkable
class Ramping(Protocol):
    """What a rig has that ramps levels when it is made safe."""

    def make_safe_within(self, seconds: float) -> None:
        """The same as `make_safe`, with no more than so many seconds for all ramps together."""
        ...


def emergency(rig: MadeSafe) -> Callable[[], None]:
    """What the emergency stop calls: make the rig safe, in a hurry where it ramps levels."""
    return (lambda: rig.make_safe_within(RAMP)) if isinstance(rig, Ramping) else rig.make_safe


def latched(folder: Path | None = None) -> str:
    """Words if the stop is latched, "" if not."""
    since = processes.held_back()
    for file in found(_LATCH, folder):
        try:
            since = json.loads(file.read_text(encoding="utf-8"))["since"]
        except (OSError, ValueError, KeyError, TypeError):
            since = since or "an unknown time"
    return f"the emergency stop is latched since {since}; look at the bench, then run `labrhel reset`" if since else ""


def watch(folder: Path | None = None) -> Callable[[], str]:
    """`latched`, for whoever asks before every shot: where to look is found out once, and looking takes two calls."""
    places = [str(place / _LATCH) for place in folders(folder)]

    def asked() -> str:
        return latched(folder) if processes.held_back() or any(os.access(place, os.F_OK) for place in places) else ""

    return asked


def press(folder: Path | None = None) -> Pressed:
    """Make every rig safe that a program of this machine drives, and latch."""
    calls = _Calls(folder)
    calls.on_all()
    latch, problem = None, ""
    try:
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        latch = kept(_LATCH, json.dumps({"since": since}), folder)
    except OSError as error:
        problem = f"{error.filename or 'the state folder'}: {error.strerror or error}"
    calls.on_all()  # who began in between has not seen the latch
    others = [Answer(str(place), 0, None, "cannot be read, so nobody could be called") for place in unreachable(folder)]
    return Pressed((*calls.answers(), *others), latch, problem)


def reset(folder: Path | None = None) -> bool:
    """Release the latch, in files and in the memory of programs; False if it was not latched.

    Raises OSError if a file cannot be removed.
    """
    files = found(_LATCH, folder)
    for file in files:
        file.unlink(missing_ok=True)
    for program in programs(folder):
        try:
            program.ask(GO)
        except (OSError, TransportError):
            continue  # it is about to end, or dead
    return bool(files)


class _Calls:
    """Calls on programs, each in a thread of its own."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._called: set[Path] = set()
        self._answers: list[Answer] = []
        self._threads: list[threading.Thread] = []

    def on_all(self) -> None:
        """Begin to call on every program that was not called before."""
        for program in programs(self._folder):
            if program.place in self._called:
                continue
            self._called.add(program.place)
            thread = threading.Thread(target=self._call, args=(program,))
            try:
                thread.start()
            except RuntimeError:  # no thread is to be had: one after the other
                self._call(program)
            else:
                self._threads.append(thread)

    def answers(self) -> list[Answer]:
        """Of those that are alive, when all have answered, or were given up."""
        for thread in self._threads:
            thread.join()
        return self._answers

    def _call(self, program: Program) -> None:
        """No answer if the program was killed before, and the file is all that is left of it."""
        begin = time.monotonic()
        said, problem = "", "ended before it answered: look at its outputs"
        try:
            said = program.ask(SAFE, _PATIENCE * processes.PATIENCE)
        except ConnectionRefusedError:
            if not program.is_gone:
                _clear(program.place)
                return
        except Exception as error:  # whatever it is, this program was not reached
            problem = f"{error}: switch its outputs off by hand"
        problem = said or problem
        # A run that meets the latch makes its rig safe and ends by itself; if that failed, the ledger says so.
        safe = said == SAFE or (not said and program.is_gone)
        seconds = time.monotonic() - begin if safe else None
        self._answers.append(Answer(program.rig, program.pid, seconds, "" if safe else problem))


def _clear(place: Path) -> None:
    with suppress(OSError):
        place.unlink()
