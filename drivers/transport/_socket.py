"""A TCP stream, opened here or inside pyvisa-py; read directly, in large pieces."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from contextlib import suppress

from drivers.transport.deadline import Deadline
from drivers.transport.port import Port
from drivers.transport.traffic import TrafficLog


class SocketPort(Port):
    """A connected socket; `on_close` closes what owns it.  Nagle's delay is off."""

    joins = True

    def __init__(
        self, connected: socket.socket, name: str, log: TrafficLog | None, on_close: Callable[[], object]
    ) -> None:
        super().__init__(name, log)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setblocking(False)
        self._socket, self._on_close = connected, on_close

    def interrupt(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        on_close, self._on_close = self._on_close, lambda: None
        on_close()

    def _write(self, data: bytes, deadline: Deadline) -> None:
        write_all(self._socket, data, deadline)

    def _read_into(self, view: memoryview, deadline: Deadline) -> int:
        return read_into(self._socket, view, deadline)

    def _poll(self) -> bool:
        try:
            self._socket.recv(1, socket.MSG_PEEK)  # half the time that `select` takes, for each exchange
        except BlockingIOError:
            return False
        return True


def connect(host: str, port: int, seconds: float) -> socket.socket:
    """A connected socket; raises OSError."""
    wire = socket.create_connection((host, port), timeout=seconds)
    try:
        check_connection(wire)
    except OSError:
        wire.close()
        raise
    return wire


def check_connection(wire: socket.socket) -> None:
    """Raise ConnectionError if there is no other end: pyvisa-py takes a refusal for a success.

    On one machine a socket may also connect to itself, while the server is away whose port it asks for.
    """
    if wire.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or wire.getsockname() == wire.getpeername():
        raise ConnectionRefusedError("nobody listens there")


def write_all(wire: socket.socket, data: bytes, deadline: Deadline) -> None:
    """Send all of `data` through a socket that does not block."""
    try:
        sent = wire.send(data)
    except BlockingIOError:
        sent = 0
    if sent == len(data):
        return
    with memoryview(data) as view:
        while sent < len(view):
            try:
                sent += wire.send(view[sent:])
            except BlockingIOError:
                select.select([], [wire], [], deadline.require())


def is_readable(wire: socket.socket, seconds: float) -> bool:
    """Whether something has come, or the end, within so many seconds."""
    try:
        return bool(select.select([wire], [], [], seconds)[0])
    except ValueError as error:  # it has no number any more
        raise ConnectionError("the socket has been closed") from error


def read_into(wire: socket.socket, view: memoryview, deadline: Deadline) -> int:
    """Receive at least one byte from a socket that does not block."""
    while True:
        if not is_readable(wire, deadline.remaining):  # asked first, since an answer is hardly ever there at once
            deadline.require()
            continue
        try:
            got = wire.recv_into(view)
        except BlockingIOError:
            continue
        if not got:
            raise ConnectionError("the device has closed the connection")
        return got
