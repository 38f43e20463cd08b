"""A small instrument with faults on demand, on a real socket, HiSLIP session or pseudo-terminal."""

from __future__ import annotations

import os
import random
import select
import socket
import struct
import sys
import threading
import time
import tty
import zlib
from collections.abc import Callable
from contextlib import suppress

from pyvisa_py.protocols.hislip import HEADER_FORMAT, HEADER_SIZE, MESSAGETYPE

from labrhel.testing.waiting import PATIENCE

IDENTITY = "LABRHEL,ECHO,17,1.0"
KINDS = ("late", "lost", "extra", "terminator", "garbage", "silent", "restart", "reset")
LATE = 0.06  # s; links under test wait LINK_TIMEOUT
LINK_TIMEOUT = 0.03


def token(number: int) -> str:
    """A text that no damage turns into another one of its kind."""
    return f"{number}:{zlib.crc32(str(number).encode()):08x}"


def read_token(text: str) -> str:
    """A strict parser, as a driver should have one."""
    number = text.split(":")[0]
    if not number.isdigit() or text != token(int(number)):
        raise ValueError("no token")
    return text


def block(number: int, size: int) -> bytes:
    """So many bytes, always the same ones for a number."""
    return random.Random(number).randbytes(size)


class Hangup(Exception):  # noqa: N818
    """The connection ends now."""


class Device:
    """Obeys messages; the fault that was armed last strikes after some answers, once."""

    def __init__(self, seed: int = 0, identity: str = IDENTITY) -> None:
        self.identity = identity
        self.random = random.Random(seed)
        self.received: list[str] = []
        self.faults = 0
        self._armed, self._after = "", 0

    def arm(self, kind: str, after: int = 0) -> None:
        self._armed, self._after = kind, after

    def obey(self, message: bytes, wire: Wire) -> None:
        text = message.decode("latin-1")
        self.received.append(text)
        words = text.split()
        if text == "*IDN?":
            self._deliver(self.identity.encode(), wire)
        elif words[:1] == ["ECHO?"]:
            self._deliver(words[1].encode(), wire)
        elif words[:1] == ["BLOCK?"]:
            data = block(int(words[1]), int(words[2]))
            self._deliver(b"#%d%d" % (len(words[2]), len(data)) + data, wire)

    def _deliver(self, answer: bytes, wire: Wire) -> None:
        kind, rng = self._armed, self.random
        if kind and self._after > 0:
            self._after -= 1
            kind = ""
        if kind:
            self._armed = ""
            self.faults += 1
        at = rng.randrange(len(answer))
        if kind == "late":
            time.sleep(LATE * (1 + rng.random()))
        elif kind == "lost":
            many = rng.randint(1, 3)
            wire.send((answer + b"\n")[:at] + (answer + b"\n")[at + many :])
            return
        elif kind == "extra":
            at = rng.choice((0, at, len(answer) + 1))
            wire.send((answer + b"\n")[:at] + rng.randbytes(rng.randint(1, 3)) + (answer + b"\n")[at:])
            return
        elif kind == "terminator":
            wire.send(answer + rng.choice((b"\r", b"\0", b"\r\n", b"\n\r", b"")))
            return
        elif kind == "garbage":
            wire.send(rng.randbytes(rng.randint(1, 40)) + rng.choice((b"\n", b"", answer + b"\n")))
            return
        elif kind == "silent":
            wire.silence()
            return
        elif kind == "restart":
            wire.restart(0.05 * rng.random())
            return
        elif kind == "reset":
            wire.send(answer[:at])
            wire.reset()
            return
        wire.send(answer + b"\n")


class Wire:
    """What a device sees of its connection."""

    def send(self, data: bytes) -> None:
        raise NotImplementedError

    def silence(self) -> None:
        """Swallow all that comes from now on, like half of a connection whose other half is gone."""

    def reset(self) -> None:
        """Break the connection."""

    def restart(self, seconds: float) -> None:
        """Break all connections and be away."""


class TcpServer:
    """Listens on a port of its own; `serve` gets each connection in a thread."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._threads: list[threading.Thread] = []
        self._sockets: set[socket.socket] = set()
        self._stopping = False
        self._lock = threading.Lock()
        self._listener = self._bound(0)
        self.port = self._listener.getsockname()[1]
        # A second socket keeps the port while the server is away, or any other program could be given it.
        self._holder = self._bound(self.port) if sys.platform == "linux" else None
        self._listener.listen(64)
        self._start(self._accept)

    @property
    def address(self) -> str:
        return f"TCPIP::127.0.0.1::{self.port}::SOCKET"

    def serve(self, connection: socket.socket) -> None:
        wire = TcpWire(self, connection)
        pending = b""
        while data := connection.recv(1 << 16):
            *messages, pending = (pending + data).split(b"\n")
            for message in messages:
                if not wire.silent:
                    self.device.obey(message, wire)

    def drop(self, seconds: float = 0.0) -> None:
        """Close every connection, and with `seconds` the port too for so long."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
            if seconds:
                self._listener.close()
        for wire in sockets:
            with suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)
            wire.close()
        if seconds:
            time.sleep(seconds)
            while self._listener.fileno() < 0:
                with suppress(OSError), self._lock:
                    self._listener = self._bound(self.port)
                    self._listener.listen(64)

    def close(self) -> None:
        self._stopping = True
        self.drop()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        self._listener.close()
        if self._holder is not None:
            self._holder.close()

    def _bound(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            listener.close()
            raise
        return listener

    def _start(self, target: Callable[..., None], *args: object) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping:
            with suppress(OSError, ValueError):
                if self._listener.fileno() < 0:
                    time.sleep(0.001)
                elif select.select([self._listener], [], [], 0.02)[0]:
                    connection, _ = self._listener.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    with self._lock:
                        self._sockets.add(connection)
                    self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, Hangup):
            self.serve(connection)
        with self._lock:
            self._sockets.discard(connection)
        connection.close()


class TcpWire(Wire):
    """One connection to a TcpServer."""

    def __init__(self, server: TcpServer, connection: socket.socket) -> None:
        self.server, self.connection, self.silent = server, connection, False

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def silence(self) -> None:
        self.silent = True

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Hangup

    def restart(self, seconds: float) -> None:
        self.server.drop(seconds or 0.001)
        raise Hangup


class HislipServer(TcpServer):
    """IVI-6.1, as much of it as a client needs: messages, message size, device clear."""

    def __init__(self, device: Device) -> None:
        self.sync: dict[int, HislipWire] = {}
        self.clears = 0
        super().__init__(device)

    @property
    def address(self) -> str:
        return f"TCPIP::127.0.0.1::hislip0,{self.port}::INSTR"

    def serve(self, connection: socket.socket) -> None:
        wire = HislipWire(self, connection)
        session, message = 0, b""
        while True:
            kind, _, number, payload = _receive(connection)
            if kind == MESSAGETYPE["Initialize"]:
                session = len(self.sync) + 1
                self.sync[session] = wire
                _send(connection, "InitializeResponse", 0, (1 << 24) + session)
            elif kind == MESSAGETYPE["AsyncInitialize"]:
                session = number & 0xFFFF
                _send(connection, "AsyncInitializeResponse")
            elif kind == MESSAGETYPE["AsyncMaxMsgSize"]:
                _send(connection, "AsyncMaxMsgSizeResponse", payload=struct.pack("!Q", 1 << 22))
            elif kind == MESSAGETYPE["AsyncDeviceClear"]:
                self.clears += 1
                _send(connection, "AsyncDeviceClearAcknowledge")
            elif kind == MESSAGETYPE["DeviceClearComplete"]:
                message = b""
                _send(connection, "DeviceClearAcknowledge")
            elif kind in (MESSAGETYPE["Data"], MESSAGETYPE["DataEnd"]):
                message += payload
                wire.number = number
                if kind == MESSAGETYPE["DataEnd"]:
                    if not wire.silent:
                        self.device.obey(message.rstrip(b"\n"), wire)
                    message = b""


class HislipWire(TcpWire):
    """The synchronous channel of one HiSLIP session."""

    number = 0

    def send(self, data: bytes) -> None:
        largest = 1 << 20
        for at in range(0, max(len(data), 1), largest):
            part = data[at : at + largest]
            _send(self.connection, "DataEnd" if at + largest >= len(data) else "Data", 0, self.number, part)


def _receive(connection: socket.socket) -> tuple[int, int, int, bytes]:
    def exactly(count: int) -> bytes:
        data = b""
        while len(data) < count:
            if not (part := connection.recv(count - len(data))):
                raise Hangup
            data += part
        return data

    _, kind, control, number, length = struct.unpack(HEADER_FORMAT, exactly(HEADER_SIZE))
    return kind, control, number, exactly(length)


def _send(connection: socket.socket, kind: str, control: int = 0, number: int = 0, payload: bytes = b"") -> None:
    connection.sendall(struct.pack(HEADER_FORMAT, b"HS", MESSAGETYPE[kind], control, number, len(payload)) + payload)


class PtyServer(Wire):
    """A serial line: nothing tells the host of a restart, and what is due still comes after it has opened again."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._until = 0.0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"ASRL{self.path}::INSTR"

    def send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._master, data[:1024]) :]

    def silence(self) -> None:
        self._until = time.monotonic() + LATE

    def restart(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def close(self) -> None:
        self._stopping = True
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        os.close(self._master)
        os.close(self._slave)

    def _run(self) -> None:
        pending = b""
        while not self._stopping:
            if select.select([self._master], [], [], 0.02)[0]:
                *messages, pending = (pending + os.read(self._master, 1 << 12)).split(b"\n")
                for message in messages:
                    if time.monotonic() >= self._until:
                        self.device.obey(message, self)


SERVERS = {"socket": TcpServer, "hislip": HislipServer, "serial": PtyServer}
