"""Emergency stop: every rig of this machine goes to its safe state, at once, and stays there until it is reset.

`press` latches first, in a file, so that nothing starts from then on.  Then it calls on every program that drives a
rig (`labrhel.safety.processes`).  Those that do not answer are named.  A rig whose program is dead is the guardian's
(`drivers.guardian`).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from labrhel.errors import TransportError
from labrhel.safety.places import state_folder
from labrhel.safety.processes import SAFE, Program, programs

RAMP = 0.1
"""Seconds that ramps of levels may take in an emergency."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one rig: `seconds` until it said that it is safe, None with the `problem` if it did not."""

    rig: str
    pid: int
    seconds: float | None
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
    """Words if the stop is latched, "" if not; cheap enough to ask before every shot."""
    file = _latch(folder)
    if not file.exists():
        return ""
    try:
        since = json.loads(file.read_text(encoding="utf-8"))["since"]
    except (OSError, ValueError, KeyError, TypeError):
        since = "an unknown time"
    return f"the emergency stop is latched since {since}; look at the bench, then run `labrhel reset`"


def press(folder: Path | None = None) -> list[Answer]:
    """Latch, and make every rig safe that a program of this machine drives."""
    found = programs(folder)
    file = _latch(folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"since": datetime.now().astimezone().isoformat(timespec="seconds")}), encoding="utf-8")
    answers: list[Answer | None] = []
    threads = [threading.Thread(target=lambda item=item: answers.append(_call(item))) for item in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answer for answer in answers if answer is not None]


def reset(folder: Path | None = None) -> bool:
    """Release the latch; False if it was not latched."""
    with suppress(FileNotFoundError):
        _latch(folder).unlink()
        return True
    return False


def _call(program: Program) -> Answer | None:
    """None if the program was killed before, and the file is all that is left of it."""
    begin = time.monotonic()
    problem = "ended before it answered: look at its outputs"
    try:
        problem = program.ask(SAFE) or problem
    except ConnectionRefusedError:
        if not program.is_gone:
            program.place.unlink(missing_ok=True)
            return None
    except TransportError as error:
        problem = f"{error}: switch its outputs off by hand"
    # A run that meets the latch ends by itself; its file goes when its rig is safe.
    if problem == SAFE or program.is_gone:
        return Answer(program.rig, program.pid, time.monotonic() - begin)
    return Answer(program.rig, program.pid, None, problem)


def _latch(folder: Path | None) -> Path:
    return (folder or state_folder()) / "estop.json"
