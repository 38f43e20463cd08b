"""The traffic of links: every byte with its direction and time, in memory and in a file, to be read or replayed."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from zlib import crc32

from labrhel.errors import RecordError

_KEYS = ["t", "wall", "link", "dir", "data"]


class Direction(StrEnum):
    """Which way bytes went; an event (opened, closed, interrupted ...) has its name as data."""

    SENT = ">"
    RECEIVED = "<"
    EVENT = "!"


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of one link: `monotonic` orders them [s, since an arbitrary moment], `wall` dates them [s, Unix time]."""

    link: str
    direction: Direction
    data: bytes
    monotonic: float
    wall: float


class TrafficLog:
    """Keeps the newest traffic, up to `keep_bytes` of data, and writes all of it to `file` if there is one.

    The file is append-only, one line of JSON for each piece, each written by one call: what was written before a crash
    stands, and `read_traffic` skips a last line that is not complete.  Links without a log pay nothing.  A file that
    cannot be written fails no exchange: it ends there, and `problem` says so.
    """

    def __init__(
        self,
        file: Path | None = None,
        *,
        keep_bytes: int = 1 << 20,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._keep_bytes = keep_bytes
        self._monotonic, self._wall = monotonic, wall
        self._ring: deque[Traffic] = deque()
        self._ring_bytes = 0
        self._lock = threading.Lock()
        self.problem = ""
        self._name = file
        self._file = None if file is None else os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def record(self, link: str, direction: Direction, data: bytes) -> None:
        """Take what a link has just sent or received; any thread may call it."""
        with self._lock:
            piece = Traffic(link, direction, bytes(data), self._monotonic(), self._wall())
            self._ring.append(piece)
            self._ring_bytes += len(piece.data)
            while self._ring_bytes > self._keep_bytes and len(self._ring) > 1:
                self._ring_bytes -= len(self._ring.popleft().data)
            if self._file is not None:
                self._write(self._file, _to_line(piece))

    def _write(self, file: int, line: bytes) -> None:
        try:
            written = os.write(file, line)
            if written == len(line):
                return
            os.ftruncate(file, os.fstat(file).st_size - written)  # no torn line for whoever continues the file
            why = "no space is left on its device"
        except OSError as error:
            why = str(error.strerror).lower()
        self.problem = f"the traffic in {self._name} is not complete: {why}"
        self._file = None
        with suppress(OSError):
            os.close(file)

    def newest(self) -> list[Traffic]:
        """What is kept in memory, in order."""
        with self._lock:
            return list(self._ring)

    def close(self) -> None:
        """Close the file; what is kept in memory stays."""
        with self._lock:
            file, self._file = self._file, None
            if file is not None:
                with suppress(OSError):
                    os.close(file)


def read_traffic(file: Path) -> Iterator[Traffic]:
    """The traffic in a file, in order; raises RecordError for a line that is damaged, unless it is the last, and torn.

    A line carries its own checksum; those of files from before there were any do not.
    """
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError as error:
        raise RecordError(f"the traffic {file} cannot be read: {str(error.strerror).lower()}") from None
    for number, line in enumerate(lines, start=1):
        if number == len(lines) and b"}" not in line[-2:]:
            return  # the writer was killed while it wrote this, or nothing follows
        try:
            yield _from_line(line)
        except (ValueError, RecursionError, OverflowError) as error:
            raise RecordError(
                f"{file}:{number}: this line is no traffic of a link: remove it to read the rest"
            ) from error


def _to_line(piece: Traffic) -> bytes:
    text = {"t": piece.monotonic, "wall": piece.wall, "link": piece.link, "dir": piece.direction.value}
    body = json.dumps(text | {"data": b64encode(piece.data).decode()}).encode()
    return b'%b, "crc": %d}\n' % (body[:-1], crc32(body))


def _from_line(line: bytes) -> Traffic:
    body, mark, end = line.rpartition(b', "crc": ')
    if mark:
        if end != b"%d}" % crc32(body + b"}"):
            raise ValueError("its checksum is another")
        line = body + b"}"
    text = json.loads(line)
    if not isinstance(text, dict) or [*text] != _KEYS or not all(type(text[key]) is str for key in _KEYS[2:]):
        raise ValueError("it has other fields")
    if not all(type(text[key]) in (int, float) and math.isfinite(text[key]) for key in _KEYS[:2]):
        raise ValueError("its times are no numbers")
    return Traffic(
        text["link"], Direction(text["dir"]), b64decode(text["data"], validate=True), text["t"], text["wall"]
    )
