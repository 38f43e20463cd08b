"""Emergency stop: every rig of this machine goes to its safe state, at once, and stays there until it is reset.

`press` latches first, in a file, so that nothing starts from then on.  Then it calls on every program that drives a
rig: each listens on a socket of its own, in a thread of its own, and makes its rig safe while a shot is running, by
whatever way its transports have to interrupt one.  Programs that do not answer are named.  A rig whose program is dead
is the guardian's (`drivers.guardian`).
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from labrhel.errors import LabrhelError
from labrhel.places import state_folder

_SAFE = "safe"
_PATIENCE = 2.0  # s for a program to say that its rig is safe


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one rig: `seconds` until it said that it is safe, None with the `problem` if it did not."""

    rig: str
    pid: int
    seconds: float | None
    problem: str = ""


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
    found = [program for place in sorted(_listeners(folder).glob("*.json")) if (program := _read(place))]
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


@contextmanager
def listening(rig: str, make_safe: Callable[[], None], folder: Path | None = None) -> Iterator[None]:
    """Inside the block a press of the stop calls `make_safe`, from a thread of its own."""
    places = _listeners(folder)
    places.mkdir(parents=True, exist_ok=True)
    word = secrets.token_hex(8)
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = places / f"{os.getpid()}-{word[:8]}.json"
        about = {"port": server.getsockname()[1], "word": word, "rig": rig, "pid": os.getpid()}
        beside = place.with_suffix(".tmp")
        beside.write_text(json.dumps(about), encoding="utf-8")
        beside.replace(place)  # whole, or not there
        thread = threading.Thread(target=_serve, args=(server, word, make_safe), name="emergency stop", daemon=True)
        thread.start()
        try:
            yield
        finally:
            place.unlink(missing_ok=True)
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)  # wakes the thread
            server.close()
            thread.join(_PATIENCE)


def _serve(server: socket.socket, word: str, make_safe: Callable[[], None]) -> None:
    while True:
        try:
            caller, _ = server.accept()
        except OSError:
            return
        with caller, suppress(OSError):
            caller.settimeout(_PATIENCE)
            if caller.recv(64).decode("ascii", "replace") != word:
                continue
            try:
                make_safe()
                answer = _SAFE
            except LabrhelError as error:
                answer = str(error)
            caller.sendall(answer.encode())


@dataclass(frozen=True, slots=True)
class _Program:
    """A program that listens, as the file at `place` says."""

    place: Path
    rig: str
    pid: int
    port: int
    word: str


def _read(place: Path) -> _Program | None:
    try:
        about = json.loads(place.read_text(encoding="utf-8"))
        return _Program(place, str(about["rig"]), int(about["pid"]), int(about["port"]), str(about["word"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _call(program: _Program) -> Answer | None:
    """None if the program was killed before, and the file is all that is left of it."""
    begin = time.monotonic()
    problem = "ended before it answered: look at its outputs"
    try:
        with socket.create_connection(("127.0.0.1", program.port), _PATIENCE) as call:
            call.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            call.sendall(program.word.encode())
            problem = call.recv(4096).decode("utf-8", "replace") or problem
    except ConnectionRefusedError:
        if program.place.exists():
            program.place.unlink(missing_ok=True)
            return None
    except OSError as error:
        problem = f"does not answer ({error}): switch its outputs off by hand"
    # A run that meets the latch ends by itself; its file goes when its rig is safe.
    if problem == _SAFE or not program.place.exists():
        return Answer(program.rig, program.pid, time.monotonic() - begin)
    return Answer(program.rig, program.pid, None, problem)


def _latch(folder: Path | None) -> Path:
    return (folder or state_folder()) / "estop.json"


def _listeners(folder: Path | None) -> Path:
    return (folder or state_folder()) / "rigs"
