"""Servers on the loopback interface: threads that end and sockets that close when they are told to."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import threading
from collections.abc import Callable

from labrhel.errors import TransportError
from simbackend.virtual_bench.scpi.messages import Framer
from simbackend.virtual_bench.wires.exchange import LineBroke, Station

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
        self._holder: socket.socket | None = None
        self._listener: socket.socket | None = None
        self._accepting: threading.Thread | None = None
        self.start()

    def start(self) -> None:
        """Listen; the port stays the same after a stop.  Raises TransportError if somebody else has it."""
        listener = _bound(self.port)
        self.port = listener.getsockname()[1]
        if self._holder is None and sys.platform == "linux":  # elsewhere two sockets cannot have one port
            # Without it, a connection that any program opens while the server is stopped could be given its port.
            self._holder = _bound(self.port)
        listener.listen(16)
        self._listener = listener
        accepting = threading.Thread(target=self._accept, args=(listener,), name=f"accept {self.port}")
        accepting.start()
        self._accepting = accepting

    def stop(self) -> None:
        """Refuse and break every connection, and wait for their threads; the port stays taken."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        if self._accepting is not None:
            self._accepting.join(_PATIENCE)  # so that the connections are all that there will be
        self.drop()
        with self._lock:
            threads = list(self._open)
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(_PATIENCE)

    def close(self) -> None:
        """Stop permanently, and give the port back."""
        self.stop()
        if self._holder is not None:
            self._holder.close()

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
            with self._lock:  # a thread that can be seen can be joined: it has started
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


def _bound(port: int) -> socket.socket:
    """A socket with a port of the loopback interface."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise TransportError(f"port {port} of {HOST} cannot be had: {error.strerror}") from None
    return listener


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
