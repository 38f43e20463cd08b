"""The programs of this machine that drive a rig, and how others speak to them while a shot is running.

Each listens on a socket of its own, under a word that only a file tells which nobody but its user may read.  A caller
who says nothing costs nothing, and every request has a thread of its own, so that none can keep another one waiting.
`safe` makes the rig safe by whatever way its transports have to interrupt a shot, and holds this program back until
`go`, in memory, wherever else the emergency stop could be latched or not; what else a program takes, such as `pause`,
is its own business.
"""

from __future__ import annotations

import json
import os
import secrets
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from labrhel.errors import TransportError
from labrhel.safety.places import is_there, kept, listed

SAFE = "safe"
"""Asked: make the rig safe, and hold the program back.  Answered: it is."""

GO = "go"
"""Asked: do not hold the program back any more."""

PATIENCE = 2.0
"""Seconds for a program to answer."""

_BACKLOG = 512
_REQUEST, _ANSWER = 256, 4096  # bytes
_PAUSE = 0.01  # s
_TURN = 0.25  # s after which it is looked whether somebody has been silent for too long
_FOLDER = "rigs"
_listeners: set[str] = set()  # of this process
_held_back: list[str] = []  # since when this process is, if it is; nothing that is needed to stop it can fail


@dataclass(frozen=True, slots=True)
class Program:
    """A program that listens, as the file at `place` says; `run` is the id of what it records, if it records."""

    place: Path
    rig: str
    pid: int
    port: int
    word: str
    run: str

    @property
    def is_gone(self) -> bool:
        """True if it has ended by itself and taken its file away."""
        return not is_there(self.place)

    def ask(self, request: str, patience: float | None = None) -> str:
        """Its answer; ConnectionRefusedError if it is dead, TransportError if there is none within `patience` [s]."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), patience or PATIENCE) as call:
                call.sendall(f"{self.word} {request}".encode())
                return _all(call)
        except ConnectionRefusedError:
            raise
        except OSError as error:
            raise TransportError(f"process {self.pid} does not answer ({error})") from None


def _all(call: socket.socket) -> str:
    """What comes until the other end closes, or has said enough."""
    said = bytearray()
    while piece := call.recv(_ANSWER - len(said)):
        said += piece
    return said.decode("utf-8", "replace")


def programs(folder: Path | None = None) -> list[Program]:
    """All that listen, and those that were killed and left their file."""
    files, _ = listed(_FOLDER, ".json", folder)
    return [program for place in files if (program := _read(place))]


def unreachable(folder: Path | None = None) -> list[Path]:
    """Files and folders of programs that cannot be read: another user's, or damaged."""
    files, closed = listed(_FOLDER, ".json", folder)
    return closed + [file for file in files if _read(file) is None and is_there(file)]


def held_back() -> str:
    """Since when the emergency stop holds this very program back, in memory; "" if it does not."""
    return _held_back[-1] if _held_back else ""


def nothing_else(request: str) -> str:
    """The answer of a program that can be made safe, and no more."""
    return f"this program cannot {request}"


@contextmanager
def listening(
    rig: str,
    make_safe: Callable[[], None],
    folder: Path | None = None,
    *,
    run: str = "",
    answer: Callable[[str], str] = nothing_else,
) -> Iterator[None]:
    """Inside the block the rig is made safe when somebody asks, and `answer` gets every other request."""
    word = secrets.token_hex(8)

    def obey(request: str) -> str:
        if request == GO:
            _held_back.clear()
            return GO
        if request != SAFE:
            return answer(request)
        _held_back.append(time.strftime("%Y-%m-%dT%H:%M:%S%z"))
        make_safe()
        return SAFE

    with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as server:
        about = {"port": server.getsockname()[1], "word": word, "rig": rig, "pid": os.getpid(), "run": run}
        place = kept(f"{_FOLDER}/{os.getpid()}-{word[:8]}.json", json.dumps(about), folder)
        ended = threading.Event()
        calls = selectors.DefaultSelector()
        server.setblocking(False)
        calls.register(server, selectors.EVENT_READ)  # here, since the block may have ended before the thread begins
        thread = threading.Thread(target=_serve, args=(server, calls, word, obey, ended), name="listening", daemon=True)
        thread.start()
        _listeners.add(word)
        try:
            yield
        finally:
            ended.set()
            _listeners.discard(word)
            if not _listeners:
                _held_back.clear()  # whatever this process begins next asks the latch
            with suppress(OSError):
                place.unlink(missing_ok=True)
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)  # wakes the thread
            server.close()
            thread.join(PATIENCE)


def _serve(
    server: socket.socket,
    calls: selectors.BaseSelector,
    word: str,
    obey: Callable[[str], str],
    ended: threading.Event,
) -> None:
    """Take whoever calls, and attend to those who speak; a hundred threads that wait would take a hundred turns."""
    silent: dict[socket.socket, float] = {}  # until when they are waited for [s]
    with calls:
        while not ended.is_set():
            for key, _ in calls.select(_TURN):
                caller = key.fileobj
                assert isinstance(caller, socket.socket)
                if caller is not server:
                    calls.unregister(caller)
                    silent.pop(caller)
                    _attend_apart(caller, word, obey)
                elif (new := _accepted(server)) is not None:
                    silent[new] = time.monotonic() + PATIENCE
                    calls.register(new, selectors.EVENT_READ)
                elif silent:  # too many open files, perhaps
                    _drop(calls, silent, next(iter(silent)))
                else:
                    ended.wait(_PAUSE)
            for caller in [caller for caller, until in silent.items() if time.monotonic() > until]:
                _drop(calls, silent, caller)
        for caller in list(silent):
            _drop(calls, silent, caller)


def _accepted(server: socket.socket) -> socket.socket | None:
    try:
        return server.accept()[0]
    except OSError:
        return None


def _drop(calls: selectors.BaseSelector, silent: dict[socket.socket, float], caller: socket.socket) -> None:
    calls.unregister(caller)
    silent.pop(caller)
    caller.close()


def _attend_apart(caller: socket.socket, word: str, obey: Callable[[str], str]) -> None:
    attending = threading.Thread(target=_attend, args=(caller, word, obey), name="caller", daemon=True)
    try:
        attending.start()
    except RuntimeError:  # no thread is to be had
        _attend(caller, word, obey)


def _attend(caller: socket.socket, word: str, obey: Callable[[str], str]) -> None:
    with caller, suppress(OSError):
        caller.settimeout(PATIENCE)
        said, _, request = caller.recv(_REQUEST).decode("ascii", "replace").partition(" ")
        if not secrets.compare_digest(said.encode(), word.encode()):
            return
        try:
            words = obey(request)
        except BaseException as error:  # whatever it is, the caller has to know, and the next one is served
            words = str(error) or type(error).__name__
        caller.sendall((words or "no answer").encode("utf-8", "replace")[:_ANSWER])


def _read(place: Path) -> Program | None:
    try:
        about = json.loads(place.read_text(encoding="utf-8"))
        port = int(about["port"])
        if not 0 < port < 1 << 16:
            return None
        return Program(place, str(about["rig"]), int(about["pid"]), port, str(about["word"]), str(about["run"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
