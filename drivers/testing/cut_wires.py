"""A TCP connection to an instrument that can be cut, and mended: nobody listens there, as long as it is cut."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress


class CutWire:
    """Listens on a port of its own, passes bytes on to `target` (host, port) both ways, until it is cut."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._ended = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._serve(self._listener)

    def cut(self) -> None:
        """Drop every connection, and refuse others."""
        with self._lock:
            _close(self._listener)
            for one in self._open:
                _close(one)
            self._open.clear()

    def mend(self) -> None:
        """Listen at the same port again."""
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

    def close(self) -> None:
        """For good."""
        self.cut()

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
            for one, other in ((near, far), (far, near)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
        for each in (one, other):
            _close(each)
        with self._lock:
            self._open -= {one, other}


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        one.close()
