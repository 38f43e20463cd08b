"""HiSLIP (IVI-6.1) on the two sockets that pyvisa-py has opened and initialised.

Answers carry the number of the message that asked for them, so an old one is dropped unread; their end is marked.
Reading, and clearing the device, are done here: pyvisa-py loses count when a read times out in the middle of a message,
and does not skip what is still on its way when it clears.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from pyvisa_py.protocols.hislip import HEADER_FORMAT, HEADER_SIZE, MESSAGETYPE, Instrument

from drivers.transport._socket import read_into, write_all
from drivers.transport.deadline import Deadline
from drivers.transport.port import CHUNK, Port
from drivers.transport.traffic import TrafficLog

_ANY = 0xFFFF_FFFF
_FIRST = 0xFFFF_FF00
_DATA, _DATA_END = MESSAGETYPE["Data"], MESSAGETYPE["DataEnd"]


class HislipPort(Port):
    """A HiSLIP session; `on_close` closes what owns it."""

    def __init__(self, session: Instrument, name: str, log: TrafficLog | None, on_close: Callable[[], object]) -> None:
        super().__init__(name, log)
        self._sync, self._async, self._on_close = session._sync, session._async, on_close
        self._sync.setblocking(False)
        self._async.setblocking(False)
        self._largest = max(session.max_msg_size - HEADER_SIZE, 1)
        self._next_id, self._asked_id = _FIRST, _ANY
        self._left, self._last, self._delivered = 0, False, False

    def clear(self, deadline: Deadline) -> None:
        """Device clear: the device stops what it does and forgets its answers, and both ends start to count anew."""
        self._skip(self._left, deadline)
        write_all(self._async, _message("AsyncDeviceClear"), deadline)
        kind, features, _, length = self._header(self._async, deadline)
        while kind != MESSAGETYPE["AsyncDeviceClearAcknowledge"]:
            self._skip(length, deadline, self._async)
            kind, features, _, length = self._header(self._async, deadline)
        write_all(self._sync, _message("DeviceClearComplete", features), deadline)
        kind, _, _, length = self._header(self._sync, deadline)
        while kind != MESSAGETYPE["DeviceClearAcknowledge"]:
            self._skip(length, deadline)
            kind, _, _, length = self._header(self._sync, deadline)
        self._held.clear()
        self._next_id, self._asked_id, self._left, self._last, self.ended = _FIRST, _ANY, 0, False, False

    def interrupt(self) -> None:
        """Clear the device through the second socket, then give up both."""
        with suppress(OSError):
            self._async.send(_message("AsyncDeviceClear"))
        for wire in (self._sync, self._async):
            with suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        on_close, self._on_close = self._on_close, lambda: None
        on_close()

    def _write(self, data: bytes, deadline: Deadline) -> None:
        for at in range(0, len(data), self._largest):
            part = data[at : at + self._largest]
            kind = "DataEnd" if at + len(part) == len(data) else "Data"
            header = _message(kind, int(self._delivered), self._next_id, len(part))
            write_all(self._sync, header + part, deadline)
            self._asked_id, self._next_id = self._next_id, (self._next_id + 2) & _ANY
            self._delivered = False

    def _read_into(self, view: memoryview, deadline: Deadline) -> int:
        while not self._left:
            kind, control, number, length = self._header(self._sync, deadline)
            if kind in (_DATA, _DATA_END) and number in (self._asked_id, _ANY):
                self._left, self._last = length, kind == _DATA_END
                if self._last and not length:
                    self._end()
                    return 0
            else:
                self._skip(length, deadline)
                if kind in (MESSAGETYPE["FatalError"], MESSAGETYPE["Error"]):
                    raise ConnectionError(f"the device reports HiSLIP error {control}")
        got = read_into(self._sync, view[: self._left], deadline)
        self._left -= got
        if self._last and not self._left:
            self._end()
        return got

    def _end(self) -> None:
        self.ended = self._delivered = True

    def _poll(self) -> bool:
        return self._left > 0

    def _header(self, wire: socket.socket, deadline: Deadline) -> tuple[int, int, int, int]:
        deadline.require()  # messages that are passed over may come without an end
        header = bytearray(HEADER_SIZE)
        have = 0
        while have < HEADER_SIZE:
            have += read_into(wire, memoryview(header)[have:], deadline)
        mark, kind, control, number, length = struct.unpack(HEADER_FORMAT, header)
        if mark != b"HS":
            raise ConnectionError("what came is no HiSLIP message")
        return kind, control, number, length

    def _skip(self, count: int, deadline: Deadline, wire: socket.socket | None = None) -> None:
        waste = memoryview(bytearray(min(count, CHUNK)))
        while count:
            deadline.require()
            count -= read_into(wire or self._sync, waste[:count], deadline)


def _message(kind: str, control: int = 0, number: int = 0, length: int = 0) -> bytes:
    return struct.pack(HEADER_FORMAT, b"HS", MESSAGETYPE[kind], control, number, length)
