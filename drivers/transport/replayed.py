"""Links that answer from a record of their traffic: the drivers against yesterday's instruments, with nothing attached.

What is sent must be what was sent then, byte by byte and link by link; what comes back is what came back.  A driver
that was changed is caught at the first byte at which it says something else.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from drivers.transport.deadline import Deadline
from drivers.transport.port import Port
from drivers.transport.traffic import Direction, TrafficLog, read_traffic
from labrhel.errors import RecordError

_SHOWN = 60  # bytes of a message in an error


class ReplayedTraffic(TrafficLog):
    """The traffic of a file, to be handed to links in place of a log that writes; nothing is written."""

    def __init__(self, file: Path) -> None:
        super().__init__(None)
        self._pieces: dict[str, list[tuple[Direction, bytes]]] = defaultdict(list)
        for piece in read_traffic(file):
            if piece.direction is not Direction.EVENT and piece.data:
                self._pieces[piece.link].append((piece.direction, piece.data))
        self._file_name = file
        self._places: dict[str, _Place] = {}

    def port(self, name: str) -> ReplayedPort:
        """The wire of that name, where its record goes on."""
        if name not in self._pieces:
            known = ", ".join(sorted(self._pieces)) or "none"
            raise RecordError(f"{self._file_name} has no traffic of {name}; it has that of: {known}")
        place = self._places.setdefault(name, _Place(self._pieces[name]))
        return ReplayedPort(name, place)

    def left(self) -> dict[str, int]:
        """By link, how many pieces of its traffic have not been asked for."""
        return {name: len(pieces) - self._reached(name) for name, pieces in self._pieces.items()}

    def _reached(self, name: str) -> int:
        return self._places[name].piece if name in self._places else 0


class _Place:
    """How far the record of one link has been read."""

    def __init__(self, pieces: list[tuple[Direction, bytes]]) -> None:
        self.pieces, self.piece, self.offset = pieces, 0, 0

    def next(self, direction: Direction) -> bytes:
        """What is left of the piece that comes now; empty if it goes the other way, or nothing is left."""
        if self.piece == len(self.pieces) or self.pieces[self.piece][0] is not direction:
            return b""
        return self.pieces[self.piece][1][self.offset :]

    def take(self, count: int) -> None:
        """Count so many bytes of that piece as received."""
        self.offset += count
        if self.offset == len(self.pieces[self.piece][1]):
            self.piece, self.offset = self.piece + 1, 0


class ReplayedPort(Port):
    """A `drivers.transport.port.Port` whose other end is a record; raises RecordError for what was not said then."""

    def __init__(self, name: str, place: _Place) -> None:
        super().__init__(name, None)
        self._place = place

    def interrupt(self) -> None:
        """Do nothing: a replayed link never waits."""

    def close(self) -> None:
        """Do nothing: a replayed link holds nothing open."""

    def _write(self, data: bytes, deadline: Deadline) -> None:
        rest = data
        while rest:
            expected = self._place.next(Direction.SENT)
            if not expected:
                then = "an answer was read" if self._place.next(Direction.RECEIVED) else "nothing more was said"
                raise RecordError(f"{self._name}: the driver sends {_shown(data)}, where {then} then")
            same = min(len(rest), len(expected))
            if rest[:same] != expected[:same]:
                raise RecordError(f"{self._name}: the driver sends {_shown(rest)}, and sent {_shown(expected)} then")
            self._place.take(same)
            rest = rest[same:]

    def _read_into(self, view: memoryview, deadline: Deadline) -> int:
        known = self._place.next(Direction.RECEIVED)
        if not known:
            raise TimeoutError("nothing was answered here then")
        count = min(len(view), len(known))
        view[:count] = known[:count]
        self._place.take(count)
        self.ended = not self._place.next(Direction.RECEIVED)
        return count

    def _poll(self) -> bool:
        return False


def _shown(data: bytes) -> str:
    text = repr(bytes(data[:_SHOWN]))[2:-1]
    return f"'{text}{'...' if len(data) > _SHOWN else ''}'"
