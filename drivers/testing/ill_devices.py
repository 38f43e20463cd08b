"""Devices that do harm on a real socket: they echo, never end, promise too much, trickle, fall silent, or garble."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

from drivers.testing.wires import IDENTITY, Device, TcpServer, TcpWire, Wire

ILLS = ("endless", "endless lines", "huge block", "nine digits", "slow", "half-open", "garbling", "echo")
_TRICKLE = 1.0  # s from byte to byte


class IllDevice(Device):
    """Obeys like `Device` until it falls `ill`, and after so many `answers` more."""

    def __init__(self, ill: str = "", answers: int = 0) -> None:
        super().__init__()
        self.ill, self.answers = ill, answers
        self.sent = 0
        """Bytes of ill answers."""

    def obey(self, message: bytes, wire: Wire) -> None:
        if not self.ill or self.answers > 0:
            self.answers -= bool(self.ill)
            super().obey(message, wire)
            return
        self.received.append(message.decode("latin-1"))
        if self.ill == "echo":
            wire.send(message + b"\n")
        elif self.ill == "garbling":
            wire.send(random.Random(self.sent).randbytes(30).replace(b"\n", b"\r") + b"\n")
            self.sent += 31
        elif self.ill == "huge block":
            wire.send(b"#9999999999" + bytes(100))
        elif self.ill == "nine digits":
            wire.send(b"#9100000000" + bytes(100))
        elif self.ill == "slow":
            self._pour(wire, [bytes([byte]) for byte in IDENTITY.encode()], pause=_TRICKLE)
        elif self.ill.startswith("endless"):
            end = b"\n" if self.ill == "endless lines" else b"7"
            self._pour(wire, [4 * (b"7" * 1023 + end)] * 10**6)  # never one line alone, which would be an answer

    def _pour(self, wire: Wire, pieces: list[bytes], pause: float = 0.0) -> None:
        """Until the other side has gone, which it says by closing."""
        assert isinstance(wire, TcpWire)
        wire.connection.settimeout(0.05)
        for piece in pieces:
            with suppress(TimeoutError):
                wire.connection.sendall(piece)
                self.sent += len(piece)
            if pause or self.sent % (1 << 16) == 0:
                wire.connection.settimeout(max(pause, 0.001))
                with suppress(TimeoutError):
                    if not wire.connection.recv(1, socket.MSG_PEEK):
                        break
                wire.connection.settimeout(0.05)
        wire.reset()


def ill_server(ill: str, answers: int = 0) -> tuple[IllDevice, TcpServer]:
    """A server of such a device; close it."""
    device = IllDevice(ill, answers)
    return device, TcpServer(device)
