"""A TCP connection to a board that hurts frames on their way, at random instants, one kind of wound at a time."""

import contextlib
import random
import socket
import threading
from collections.abc import Callable
from typing import Self
from urllib.parse import urlsplit


def _flip(chance: random.Random, data: bytes) -> bytes:
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << chance.randrange(8))]) + data[place + 1 :]


def _without(data: bytes, place: int) -> bytes:
    return data[:place] + data[place + 1 :]


WOUNDS: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "lost": lambda chance, data: b"",
    "cut": lambda chance, data: data[: chance.randrange(len(data))],
    "garbled": _flip,
    "noise before": lambda chance, data: chance.randbytes(chance.randrange(1, 40)) + data,
    "twice": lambda chance, data: data + data,
    "short of a byte": lambda chance, data: _without(data, chance.randrange(len(data))),
}


class WoundedWire:
    """Passes bytes on; while `wound` is set, every piece is hurt with probability `share`; counts in `wounds`."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or "", target.port or 0)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self.wound: str | None = None
        self.share, self.wounds = 0.0, 0
        self._chance, self._open = random.Random(1), []
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(self._target)
                self._open += [near, far]
                for one, two in ((near, far), (far, near)):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    thread = threading.Thread(target=self._pass_on, args=(one, two), daemon=True)
                    thread.start()
                    self._threads.append(thread)

    def _pass_on(self, one: socket.socket, two: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                if self.wound and self._chance.random() < self.share:
                    data = WOUNDS[self.wound](self._chance, data)
                    self.wounds += 1
                two.sendall(data)
        for end in (one, two):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Break all connections."""
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.cut()
        for thread in self._threads:
            thread.join(timeout=2)
