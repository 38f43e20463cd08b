"""A port: an open wire with bytes out and bytes in, by a deadline.  What it reads ahead, it keeps for the next reader.

Only OSErrors come out of a port: TimeoutError when the deadline has passed, others when the wire is gone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from drivers.transport.deadline import Deadline
from drivers.transport.traffic import Direction, TrafficLog

CHUNK = 1 << 16
"""Bytes asked for when the length of an answer is not known."""
LONGEST_LINE = 1 << 20
"""The longest line that is believed [bytes]; a device that sends more without an end sends no answer."""


class DamageError(OSError):
    """What was read cannot be the answer; `raw` holds it, or its beginning."""

    def __init__(self, problem: str, raw: bytes) -> None:
        self.raw = raw
        super().__init__(problem)


class Port(ABC):
    """What every wire has in common; a kind of wire implements the abstract methods.

    `forgets` is true if answers that are due never arrive after closing and opening again: of a socket, not of a serial
    line.  `joins` is true of a stream of bytes that is sent best in one piece.  `ended` is true after the last byte of
    an answer, on wires that mark it; `terminated` says whether the line that was received last had its terminator.
    """

    forgets = True
    joins = False
    ended = False
    terminated = True

    def __init__(self, name: str, log: TrafficLog | None) -> None:
        self._name, self._log = name, log
        self._held = bytearray()
        self._chunk = bytearray(CHUNK)

    def send(self, data: bytes, deadline: Deadline) -> None:
        """Send all of `data`."""
        self.send_all([data], deadline)

    def send_all(self, messages: Sequence[bytes], deadline: Deadline) -> None:
        """Send all of these, in one piece where the wire knows no messages."""
        if self._log:
            for message in messages:
                self._log.record(self._name, Direction.SENT, message)
        self.ended = False
        for piece in (b"".join(messages),) if self.joins and len(messages) > 1 else messages:
            self._write(piece, deadline)

    def receive_some(self, deadline: Deadline) -> bytes:
        """At least one byte: what has arrived."""
        if not self._held:
            self._read_ahead(deadline)
        return self._take(len(self._held))

    def receive_exactly(self, count: int, deadline: Deadline) -> bytes:
        """Exactly `count` bytes, received where they stay; a short read leaves nothing of them behind.

        Memory grows with what has come, at most twice that: a device that promises more than it sends takes none.
        """
        if len(self._held) >= count:
            return self._take(count)
        have = len(self._held)
        data = bytearray(min(count, max(CHUNK, 2 * have)))
        data[:have] = self._take(have)
        while have < count:
            if self.ended:
                raise ConnectionError(f"the answer ended after {have} of {count} bytes")
            if have == len(data):
                data += bytes(min(have, count - have))
            with memoryview(data) as view:
                have += self._receive(view[have:], deadline)
            if have < count:
                deadline.require()
        return bytes(data)

    def receive_line(self, terminator: bytes, deadline: Deadline) -> bytes:
        """Bytes up to a terminator, or up to the end of an answer where the wire marks it, without either.

        Raises DamageError for more than LONGEST_LINE without an end.
        """
        searched = 0
        while (at := self._held.find(terminator, searched)) < 0:
            if self.ended:
                self.terminated = False
                return self._take(len(self._held))
            if len(self._held) > LONGEST_LINE:
                start, many = self._take(200), len(self._held)
                self._held.clear()
                raise DamageError(f"{many + len(start)} bytes came without an end, where an answer was due", start)
            if searched:
                deadline.require()
            searched = max(len(self._held) - len(terminator) + 1, 0)
            self._read_ahead(deadline)
        self.terminated = True
        line = bytes(self._held[:at])
        del self._held[: at + len(terminator)]
        return line

    def drain(self, quiet: float, limit: float) -> None:
        """Throw away what arrives until nothing has for `quiet` seconds, for `limit` seconds at most."""
        deadline = Deadline(limit)
        while True:
            self._held.clear()
            self.ended = False
            try:
                self._read_ahead(Deadline(quiet))
            except TimeoutError:
                return
            if not deadline.remaining:
                raise ConnectionError("the device does not stop sending")

    def has_arrived(self) -> bool:
        """True if there are bytes that nobody has asked for, or if the wire is gone."""
        try:
            return bool(self._held) or self._poll()
        except OSError:
            return True

    @property
    def held(self) -> bytes:
        """What has been read ahead."""
        return bytes(self._held)

    def clear(self, deadline: Deadline) -> None:  # noqa: B027
        """Tell the device to forget what it was doing, where the wire has a way to say so."""

    @abstractmethod
    def interrupt(self) -> None:
        """From any thread: make a waiting `send` or `receive` raise; the port is of no use afterwards."""

    @abstractmethod
    def close(self) -> None:
        """Close the wire; harmless twice."""

    @abstractmethod
    def _write(self, data: bytes, deadline: Deadline) -> None: ...

    @abstractmethod
    def _read_into(self, view: memoryview, deadline: Deadline) -> int:
        """Read at least one byte and at most what fits in `view`; set `ended`."""

    @abstractmethod
    def _poll(self) -> bool: ...

    def _receive(self, view: memoryview, deadline: Deadline) -> int:
        got = self._read_into(view, deadline)
        if self._log:
            self._log.record(self._name, Direction.RECEIVED, bytes(view[:got]))
        return got

    def _read_ahead(self, deadline: Deadline) -> None:
        with memoryview(self._chunk) as view:
            got = self._receive(view, deadline)
            self._held += view[:got]

    def _take(self, count: int) -> bytes:
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken
