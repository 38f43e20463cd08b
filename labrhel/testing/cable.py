"""A network cable that can be pulled: a port of this computer that leads to another one, as long as it is whole."""

from __future__ import annotations

import selectors
import socket
import threading
from typing import Self


class Cable:
    """Carries bytes between whoever connects to `port` and the server at port `to`.

    While `whole` is False, every connection is closed, and so is one that is tried.
    """

    def __init__(self, to: int) -> None:
        self.whole, self._to = True, to
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._other: dict[socket.socket, socket.socket] = {}
        self._open = True
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(self._server, selectors.EVENT_READ)
            while self._open:
                for key, _ in ready.select(0.02):
                    if key.fileobj is self._server:
                        self._connect(ready)
                    elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._other:
                        self._carry(key.fileobj, ready)
                if not self.whole:
                    for end in list(self._other):
                        self._drop(end, ready)
            for end in list(self._other):
                self._drop(end, ready)

    def _connect(self, ready: selectors.BaseSelector) -> None:
        near = self._server.accept()[0]
        try:
            far = socket.create_connection(("127.0.0.1", self._to))
        except OSError:  # nobody is at the other end
            near.close()
            return
        self._other |= {near: far, far: near}
        for end in (near, far):
            ready.register(end, selectors.EVENT_READ)

    def _carry(self, end: socket.socket, ready: selectors.BaseSelector) -> None:
        try:
            data = end.recv(65536)
            self._other[end].sendall(data)
        except OSError:
            data = b""
        if not data:
            self._drop(end, ready)

    def _drop(self, end: socket.socket, ready: selectors.BaseSelector) -> None:
        if end in self._other:
            for one in (end, self._other[end]):
                ready.unregister(one)
                del self._other[one]
                one.close()

    def close(self) -> None:
        """Close the port and every connection."""
        self._open = False
        self._thread.join()
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
