"""Servers on the loopback interface: threads that end and sockets that close when they are told to."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

from labrhel.errors import TransportError
from simbackend.bench.messages import Framer
from simbackend.bench.wires.exchange import LineBroke, Station

HOST = "127.0.0.1"
_CHUNK = 1 << 20
_PATIENCE = 5.0  # s to wait for a thread to end


class Server:
    """Accepts connections on a port (0: any free one), and serves each in a thread of its own."""

    def __init__(self, serve: Callable[[socket.socket], None], port: int = 0) -> None:
        self._serve = serve
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        self.port = port
        self._listener: socket.socket | None = None
        self._accepting: threading.Thread | None = None
        self.start()

    def start(self) -> None:
        """Listen; the port stays the same after a stop.  Raises TransportError if somebody else has it."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, self.port))
        except OSError as error:
            listener.close()
            raise TransportError(f"port {self.port} of {HOST} cannot be had: {error.strerror}") from None
        listener.listen(16)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._accepting = threading.Thread(target=self._accept, args=(listener,), name=f"accept {self.port}")
        self._accepting.start()

    def stop(self) -> None:
        """Close the port and every connection, and wait for their threads."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.drop()
        with self._lock:
            threads = [*self._open, *([self._accepting] if self._accepting else [])]
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(_PATIENCE)

    def close(self) -> None:
        """The same as `stop`: a port that is not listened on is nobody's."""
        self.stop()

    def drop(self) -> None:
        """Break every connection."""
        with self._lock:
            connections = list(self._open.values())
        for connection in connections:
            break_off(connection)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._run, args=(connection,), name=f"serve {self.port}")
            with self._lock:
                self._open[thread] = connection
            thread.start()
            if self._listener is not listener:
                break_off(connection)  # it came while the port was being closed

    def _run(self, connection: socket.socket) -> None:
        try:
            with connection:
                self._serve(connection)
        except (OSError, LineBroke):
            pass  # the other side, or a fault, has ended it
        finally:
            with self._lock:
                self._open.pop(threading.current_thread(), None)


def serve_scpi(station: Station) -> Callable[[socket.socket], None]:
    """SCPI over a plain socket: messages end at a newline, answers too."""

    def serve(connection: socket.socket) -> None:
        framer = Framer()
        while data := connection.recv(_CHUNK):
            for message in framer.feed(data):
                try:
                    answer = station.obey(message)
                except LineBroke:
                    break_off(connection)
                    raise
                if answer is not None:
                    connection.sendall(answer)

    return serve


def break_off(connection: socket.socket) -> None:
    """End a connection at once: the other side sees a reset."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
