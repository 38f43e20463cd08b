"""The wire of a driver that speaks VISA for itself: somebody else's, whose bytes go through a port of ours.

What a link does for a driver of our own is done here below any: one owner with a lease, the log of traffic, the permit
before each message, interruption by whoever makes safe, and no answer but to what was asked.  It knows nothing of
questions, so it sends nothing twice: a failure ends in an error, and the next message opens the wire anew, which leaves
answers that are late with the old one.
"""

from __future__ import annotations

from typing import Any

from drivers.transport._visa import open_visa
from drivers.transport.address import parse_visa
from drivers.transport.deadline import Deadline
from drivers.transport.lease import Lease
from drivers.transport.owner import HURRY, Owner, not_opened
from drivers.transport.permit import require_permit
from drivers.transport.port import Port
from drivers.transport.replayed import ReplayedTraffic
from drivers.transport.traffic import TrafficLog

_LINE_ENDS = b"\r\n"
_QUIET = 0.05  # s without a byte after which a line has said what it had to say
_MOST_STALE = 1.0  # s of that


class DriverWire(Owner):
    """The wire at a VISA address; every method may be called from any thread, and raises OSError."""

    def __init__(
        self, address: str, *, patience: float, log: TrafficLog | None, lease: Lease | None, settings: dict[str, Any]
    ) -> None:
        def open_port(seconds: float) -> Port:
            if isinstance(log, ReplayedTraffic):
                return log.port(address)
            return open_visa(address, address, log, seconds, "@py", settings)

        super().__init__(open_port, address, patience=patience, log=log, lease=lease)
        self._rest = bytearray()
        self._in_step = False

    def open(self) -> None:
        """Open it before a driver does: that one would give its own reasons.  Raises LinkError if nobody is there."""
        with self._lock:
            self._begin()
            try:
                self._ready()
            except OSError as problem:
                raise not_opened(self.name, problem) from problem

    def write(self, data: bytes, seconds: float) -> None:
        """Send, within so many seconds, unless this thread must not: then what its permit raises."""
        with self._lock:
            self._begin()
            require_permit()
            port = self._ready()
            self._forget_line_ends(port)
            with _Whole(self):
                port.send(data, Deadline(seconds))

    def read(self, count: int, end: bytes, seconds: float) -> tuple[bytes, bool]:
        """At most `count` bytes, up to `end` if that is not empty, else what has come; whether that is all of it.

        It is all where `end` stands behind it, the wire marks the end, or nothing more is there.
        """
        with self._lock, _Whole(self):
            port, deadline = self._port, Deadline(seconds)
            if port is None or self._lost:
                raise ConnectionError("nothing was asked on this wire")
            while True:
                at = self._rest.find(end) if end else -1
                if 0 <= at < count:
                    return self._take(at + len(end)), True
                if len(self._rest) >= count:
                    return self._take(count), False
                if self._rest and (port.ended or not (end or port.has_arrived())):
                    return self._take(len(self._rest)), True
                self._rest += port.receive_some(deadline)

    def clear(self) -> None:
        """Have the device forget what it was doing, where the wire has a way to say so."""
        with self._lock:
            self._begin()
            port = self._ready()
            with _Whole(self):
                port.clear(Deadline(HURRY))
                self._rest.clear()

    def _ready(self) -> Port:
        """The port, opened anew after a failure."""
        if self._port is not None and self._in_step and not self._lost:
            return self._port
        self._rest.clear()
        port = self._reopen(Deadline(min(HURRY, self.patience) if self._hurried else self.patience))
        if not port.forgets:
            port.drain(_QUIET, _MOST_STALE)
        self._in_step = True
        return port

    def _forget_line_ends(self, port: Port) -> None:
        """Drivers that were written for wires with messages leave the line end behind a block unread."""
        if port.has_arrived():
            with _Whole(self):
                self._rest += port.receive_some(Deadline(_QUIET))
        self._rest[:] = self._rest.lstrip(_LINE_ENDS)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._rest[:count])
        del self._rest[:count]
        return taken


class _Whole:
    """A step after whose failure, of whatever kind, the wire is out of step."""

    def __init__(self, wire: DriverWire) -> None:
        self._wire = wire

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._wire._in_step = False


def open_driver_wire(
    address: str,
    *,
    patience: float = 5.0,
    wait: float = 0.0,
    dying: int | None = None,
    settings: dict[str, Any] | None = None,
    log: TrafficLog | None = None,
) -> DriverWire:
    """Lease a VISA address for this process, for a driver to be opened; options as those of `open_link`.

    Raises ConfigurationError for what is no address, TransportError if it is taken.
    """
    parse_visa(address)
    lease = None if isinstance(log, ReplayedTraffic) else Lease(address, wait=wait, dying=dying)
    return DriverWire(address, patience=patience, log=log, lease=lease, settings=settings or {})
