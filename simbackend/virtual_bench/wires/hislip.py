"""A HiSLIP server: SCPI messages with an end, numbers for what belongs together, device clear and status query.

Each session is a pair of connections, one for messages and one for what may not wait, service requests among it.
Synchronised mode only: an answer carries the number of the message that asked for it, so that a client knows an old
one; he is not told that he has interrupted it.  Locks are granted to whoever asks; remote and local make no difference.
Source: IVI-6.1, High-Speed LAN Instrument Protocol, revision 1.1 (2011).
"""

from __future__ import annotations

import itertools
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from simbackend.virtual_bench.scpi.messages import Framer
from simbackend.virtual_bench.scpi.status import MASTER
from simbackend.virtual_bench.wires.exchange import LineBroke, Station
from simbackend.virtual_bench.wires.tcp import Server, break_off

_HEADER = struct.Struct("!2sBBIQ")
_VERSION = 0x0100
_LARGEST = 1 << 24  # bytes of a message that the server takes at once
_LOOK = 0.02  # s between two looks whether what an *OPC waits for is complete
(
    _INITIALIZE, _INITIALIZE_RESPONSE, _FATAL_ERROR, _ERROR, _LOCK, _LOCK_RESPONSE, _DATA, _DATA_END, _CLEAR_COMPLETE,
    _CLEAR_ACKNOWLEDGE, _REMOTE, _REMOTE_RESPONSE, _TRIGGER, _INTERRUPTED, _ASYNC_INTERRUPTED, _MAX_SIZE,
    _MAX_SIZE_RESPONSE, _ASYNC_INITIALIZE, _ASYNC_INITIALIZE_RESPONSE, _CLEAR, _SERVICE_REQUEST, _STATUS,
    _STATUS_RESPONSE, _ASYNC_CLEAR_ACKNOWLEDGE, _LOCK_INFO, _LOCK_INFO_RESPONSE,
) = range(26)  # fmt: skip


class Frame(NamedTuple):
    """One message of the protocol."""

    kind: int
    control: int
    parameter: int
    payload: bytes


@dataclass(slots=True)
class Session:
    """Two connections of one client.

    `unread`: an answer is out, and the client has not said that it has it all.  `summary`: the master summary as it was
    last seen, whose rise asks for service; `requests`: until the client has polled the status.
    """

    sync: socket.socket
    asynchronous: socket.socket | None = None
    largest: int = _LARGEST
    unread: bool = False
    summary: bool = False
    requests: bool = False
    clearing: threading.Event = field(default_factory=threading.Event)
    writing: threading.Lock = field(default_factory=threading.Lock)

    def say(self, kind: int, control: int, parameter: int, payload: bytes = b"") -> None:
        """Send what may not wait; whoever does, one at a time."""
        assert self.asynchronous is not None
        with self.writing:
            _send(self.asynchronous, kind, control, parameter, payload)


class HislipServer:
    """Serves one instrument; any number of sessions."""

    def __init__(self, station: Station, port: int = 0) -> None:
        self._station = station
        self._numbers = itertools.count(1)
        self._sessions: dict[int, Session] = {}
        self._server = Server(self._serve, port)
        self.port = self._server.port
        self._ends = threading.Event()
        self._watch: threading.Thread | None = None
        station.obeyed.append(self._announce)

    def start(self) -> None:
        """Be reachable again."""
        self._server.start()

    def stop(self) -> None:
        """Close all sessions, and refuse new ones."""
        self._server.stop()
        self._sessions.clear()

    def close(self) -> None:
        """Stop permanently, and give the port back."""
        self._ends.set()
        self.stop()
        self._server.close()

    def _serve(self, connection: socket.socket) -> None:
        first = _receive(connection)
        if first.kind == _INITIALIZE:
            number = next(self._numbers) & 0xFFFF
            session = self._sessions[number] = Session(connection)
            _send(connection, _INITIALIZE_RESPONSE, 0, _VERSION << 16 | number)
            try:
                self._serve_messages(session)
            finally:
                self._sessions.pop(number, None)
                if session.asynchronous is not None:
                    break_off(session.asynchronous)
        elif first.kind == _ASYNC_INITIALIZE and first.parameter in self._sessions:
            session = self._sessions[first.parameter]
            _send(connection, _ASYNC_INITIALIZE_RESPONSE, 0, int.from_bytes(b"\0\0VB", "big"))
            session.asynchronous = connection
            self._serve_urgent(session)
        else:
            _send(connection, _FATAL_ERROR, 3, 0, b"Invalid Initialization sequence")

    def _serve_messages(self, session: Session) -> None:
        parts: list[bytes] = []
        while True:
            frame = _receive(session.sync)
            if frame.kind == _CLEAR_COMPLETE:
                parts.clear()
                session.unread = False
                session.clearing.clear()
                _send(session.sync, _CLEAR_ACKNOWLEDGE, 0, 0)
            elif session.clearing.is_set():
                continue  # what was on its way when the clear came is dropped
            elif frame.kind in (_DATA, _DATA_END):
                if frame.control & 1:
                    session.unread = False
                parts.append(frame.payload)
                if frame.kind == _DATA_END:
                    whole, parts = b"".join((*parts, b"\n")), []
                    for message in Framer().feed(whole):
                        self._obey(session, message, frame)
            elif frame.kind == _TRIGGER:
                self._obey(session, b"*TRG", frame)
            else:
                _send(session.sync, _ERROR, 1, 0, b"Unrecognized Message Type")

    def _obey(self, session: Session, message: bytes, frame: Frame) -> None:
        try:
            answer = self._station.obey(message)
        except LineBroke:
            for connection in (session.sync, session.asynchronous):
                if connection is not None:
                    break_off(connection)
            raise
        if answer is None or session.clearing.is_set():
            return
        session.unread = True
        room = max(session.largest - _HEADER.size, 1)
        for start in range(0, len(answer), room):
            kind = _DATA_END if start + room >= len(answer) else _DATA
            _send(session.sync, kind, 0, frame.parameter, memoryview(answer)[start : start + room])
        self._announce()  # an answer that waits may ask for service, too

    def _announce(self) -> None:
        """Ask for service in every session whose master summary has risen."""
        device = self._station.device
        for session in list(self._sessions.values()):
            if session.asynchronous is None:
                continue
            with self._station.clock.lock:
                byte = device.status_byte(answer=session.unread)
                rises, session.summary = bool(byte & MASTER) and not session.summary, bool(byte & MASTER)
                session.requests = session.requests or rises
            if rises:
                with suppress(OSError):  # a client that has just left
                    session.say(_SERVICE_REQUEST, byte, 0)
        if (
            device.status.awaits
            and device.status.service_enable
            and (self._watch is None or not self._watch.is_alive())
        ):
            self._watch = threading.Thread(target=self._until_complete, name="operation complete", daemon=True)
            self._watch.start()

    def _until_complete(self) -> None:
        while self._station.device.status.awaits and not self._ends.wait(_LOOK):
            with self._station.clock.lock:
                self._station.device.look()
        self._announce()

    def _serve_urgent(self, session: Session) -> None:
        connection = session.asynchronous
        assert connection is not None
        while True:
            frame = _receive(connection)
            if frame.kind == _MAX_SIZE:
                session.largest = max(int.from_bytes(frame.payload, "big"), _HEADER.size + 1)
                session.say(_MAX_SIZE_RESPONSE, 0, 0, _LARGEST.to_bytes(8, "big"))
            elif frame.kind == _CLEAR:
                session.clearing.set()
                self._station.device.cancelled = True
                session.say(_ASYNC_CLEAR_ACKNOWLEDGE, 0, 0)
            elif frame.kind == _STATUS:
                if frame.control & 1:
                    session.unread = False
                with self._station.clock.lock:
                    status = self._station.device.status_byte(answer=session.unread) & ~MASTER
                    # To a poll bit 6 is no summary: it says that service was asked for, and is cleared by being read.
                    requests, session.requests = session.requests, False
                session.say(_STATUS_RESPONSE, status | MASTER * requests, 0)
            elif frame.kind == _LOCK:
                session.say(_LOCK_RESPONSE, 1, 0)
            elif frame.kind == _LOCK_INFO:
                session.say(_LOCK_INFO_RESPONSE, 0, 0)
            elif frame.kind == _REMOTE:
                session.say(_REMOTE_RESPONSE, 0, 0)
            else:
                session.say(_ERROR, 1, 0, b"Unrecognized Message Type")


def _send(
    connection: socket.socket, kind: int, control: int, parameter: int, payload: bytes | memoryview = b""
) -> None:
    connection.sendall(_HEADER.pack(b"HS", kind, control, parameter, len(payload)))
    if payload:
        connection.sendall(payload)


def _receive(connection: socket.socket) -> Frame:
    prologue, kind, control, parameter, length = _HEADER.unpack(_exactly(connection, _HEADER.size))
    if prologue != b"HS" or length > _LARGEST:
        _send(connection, _FATAL_ERROR, 1, 0, b"Poorly formed message header")
        raise ConnectionError("not HiSLIP")
    return Frame(kind, control, parameter, bytes(_exactly(connection, length)))


def _exactly(connection: socket.socket, count: int) -> bytearray:
    data = bytearray(count)
    view = memoryview(data)
    while view:
        got = connection.recv_into(view)
        if got == 0:
            raise ConnectionError("the client has left")
        view = view[got:]
    return data
