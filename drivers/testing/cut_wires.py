"""A TCP connection to an instrument that can be cut, or spoiled in other ways, and mended."""

from __future__ import annotations

import random
import socket
import threading
import time
from contextlib import suppress

FAULTS = {
    "refused": "every connection is dropped, and nobody listens",
    "dropped": "every connection is closed at its first answer",
    "half-open": "connections are accepted, and nothing passes",
    "slow": "answers pass at one byte a second",
    "garbage": "answers are other bytes, of the same number",
    "endless": "answers have no end",
    "header": "every answer begins a block of 9,999,999,999 bytes",
    "stranger": "it restarts, and answers to *IDN? name another instrument",
}
"""What a wire can be besides open."""

_HEADER = b"#" + b"9" * 10 + b"9"


class CutWire:
    """Listens on a port of its own, passes bytes on to `target` (host, port) both ways, as long as it is `open`."""

    def __init__(self, target: tuple[str, int], seed: int = 0) -> None:
        self._target, self._random = target, random.Random(seed)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._state, self._changed = "open", threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._serve(self._listener)

    def spoil(self, fault: str) -> None:
        """One of FAULTS, from now on; connections that are open stay so, unless it is "refused" or "stranger"."""
        self._state = fault
        self._changed.clear()
        if fault in ("refused", "stranger"):
            self._drop()
        if fault == "stranger":
            self._listen()

    def cut(self) -> None:
        """Drop every connection, and refuse others."""
        self.spoil("refused")

    def mend(self) -> None:
        """Listen at the same port again; what was spoiled is dropped."""
        self._drop()
        self._state = "open"
        self._listen()

    def close(self) -> None:
        """For good."""
        self._drop()

    def _listen(self) -> None:
        until = time.monotonic() + 10
        while True:
            try:
                self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
                break
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)
        self._serve(self._listener)

    def _drop(self) -> None:
        with self._lock:
            self._changed.set()
            _close(self._listener)
            for one in self._open:
                _close(one)
            self._open.clear()

    def _serve(self, listener: socket.socket) -> None:
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection(self._target, 5)
            except OSError:
                return
            with self._lock:
                if listener.fileno() < 0:
                    _close(near)
                    _close(far)
                    return
                self._open |= {near, far}
            for one, other, spoiled in ((near, far, False), (far, near, True)):
                with suppress(OSError):  # it may have been cut already
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pass_on, args=(one, other, spoiled), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket, spoiled: bool) -> None:  # noqa: FBT001
        with suppress(OSError):
            while data := one.recv(1 << 16):
                if spoiled:
                    self._answer(other, data)
                elif self._state != "half-open":
                    other.sendall(data)
        for each in (one, other):
            _close(each)
        with self._lock:
            self._open -= {one, other}

    def _answer(self, to: socket.socket, data: bytes) -> None:
        """Raises OSError where the connection is to be closed."""
        match self._state:
            case "open":
                to.sendall(data)
            case "dropped":
                raise OSError
            case "slow":
                for byte in data:
                    to.sendall(bytes([byte]))
                    if self._changed.wait(1.0):
                        break
            case "garbage":
                to.sendall(self._random.randbytes(len(data)))
            case "endless":
                while not self._changed.is_set():
                    to.sendall(b"1" * (1 << 16))
            case "header":
                to.sendall(_HEADER + data)
            case "stranger":
                is_name = data.count(b",") == 3
                to.sendall(b"Others,Instrument,0,1.0\n" if is_name else data)
            case _:
                return


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        one.close()
