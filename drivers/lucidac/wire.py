"""Lines of JSON over TCP for lucipy, whose own sockets wait for ever: here every answer has a deadline."""

from __future__ import annotations

import socket
from contextlib import suppress

from drivers.transport._socket import SocketPort, connect
from drivers.transport.deadline import Deadline

_CONNECTING = 2.0  # s


class Lines:
    """What lucipy takes for a socket.  `until` is the deadline of what is asked next; raises OSError."""

    def __init__(self, host: str, port: int) -> None:
        self._wire = wire = connect(host, port, _CONNECTING)
        self._port = SocketPort(wire, f"tcp://{host}:{port}", None, wire.close)
        self.until = Deadline(0.0)

    def send(self, text: str) -> None:
        """One line."""
        self._port.send(text.encode() + b"\n", self.until)

    def read(self) -> str:
        """The next line that is not empty."""
        while True:
            self.until.require()  # a machine that sends without an end answers nothing
            # It sends in small pieces, and would wait 40 ms for each to be confirmed.
            with suppress(AttributeError, OSError):
                self._wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            line = self._port.receive_line(b"\n", self.until).decode("utf-8", "replace").strip()
            if line:
                return line

    def has_data(self) -> bool:
        """Whether something has come that nobody asked for."""
        return self._port.has_arrived()

    def close(self) -> None:
        """Close the wire; harmless twice."""
        self._port.close()
