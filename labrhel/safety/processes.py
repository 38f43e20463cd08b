"""The programs of this machine that drive a rig, and how others speak to them while a shot is running.

Each listens on a socket of its own, in a thread of its own, under a word that only a file in the user's state folder
tells.  `safe` makes its rig safe by whatever way its transports have to interrupt a shot; what else a program takes,
such as `pause`, is its own business.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from labrhel.errors import LabrhelError, TransportError
from labrhel.safety.places import state_folder

SAFE = "safe"
"""Asked: make the rig safe.  Answered: it is."""

PATIENCE = 2.0
"""Seconds for a program to answer."""


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
        return not self.place.exists()

    def ask(self, request: str) -> str:
        """Its answer; ConnectionRefusedError if it is dead, TransportError if it does not answer in time."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as call:
                call.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                call.sendall(f"{self.word} {request}".encode())
                return call.recv(4096).decode("utf-8", "replace")
        except ConnectionRefusedError:
            raise
        except OSError as error:
            raise TransportError(f"process {self.pid} does not answer ({error})") from None


def programs(folder: Path | None = None) -> list[Program]:
    """All that listen, and those that were killed and left their file."""
    return [program for place in sorted(_places(folder).glob("*.json")) if (program := _read(place))]


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
    places = _places(folder)
    places.mkdir(parents=True, exist_ok=True)
    word = secrets.token_hex(8)

    def obey(request: str) -> str:
        if request != SAFE:
            return answer(request)
        try:
            make_safe()
        except LabrhelError as error:
            return str(error)
        return SAFE

    with socket.create_server(("127.0.0.1", 0)) as server:
        place = places / f"{os.getpid()}-{word[:8]}.json"
        about = {"port": server.getsockname()[1], "word": word, "rig": rig, "pid": os.getpid(), "run": run}
        beside = place.with_suffix(".tmp")
        beside.write_text(json.dumps(about), encoding="utf-8")
        beside.replace(place)  # whole, or not there
        thread = threading.Thread(target=_serve, args=(server, word, obey), name="listening", daemon=True)
        thread.start()
        try:
            yield
        finally:
            place.unlink(missing_ok=True)
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)  # wakes the thread
            server.close()
            thread.join(PATIENCE)


def _serve(server: socket.socket, word: str, obey: Callable[[str], str]) -> None:
    while True:
        try:
            caller, _ = server.accept()
        except OSError:
            return
        with caller, suppress(OSError):
            caller.settimeout(PATIENCE)
            said, _, request = caller.recv(256).decode("ascii", "replace").partition(" ")
            if secrets.compare_digest(said.encode(), word.encode()):
                caller.sendall(obey(request).encode())


def _read(place: Path) -> Program | None:
    try:
        about = json.loads(place.read_text(encoding="utf-8"))
        return Program(
            place, str(about["rig"]), int(about["pid"]), int(about["port"]), str(about["word"]), str(about["run"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _places(folder: Path | None) -> Path:
    return (folder or state_folder()) / "rigs"
