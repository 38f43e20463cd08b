"""The journal of a run: one file that only grows, a frame for everything that happened, written in one go.

    frame = total u64 | head u32 | crc of these u32 | crc of the head u32 | head: JSON and a new line | data

Little-endian; total counts head and data, the checksums are those of zlib.  The head says what the frame is and, of
the data, the digest; so both are checked without reading long data twice.  A frame that was handed to the operating
system survives kill -9 of this process.  What a kill cuts short is a frame that the file does not hold to its end:
nobody was told of it, readers stop before it, and the next writer cuts it off.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from labrhel.errors import RecordError
from labrhel.store._trouble import writing

FILE = "journal.log"

_LENGTHS = struct.Struct("<QI")
_CHECKS = struct.Struct("<II")
_PREFIX = _LENGTHS.size + _CHECKS.size

_CLOSED = -1
_BLOCK = 1 << 20  # bytes
_GATHER_FROM = 1 << 15  # bytes
_GATHER_AT_MOST = 1000  # pieces; Linux takes 1024

Buffer = bytes | memoryview


def frame(head: str, *data: Buffer) -> list[Buffer]:
    """The pieces of one frame, to be written in order; `head` is ASCII, as json.dumps writes it."""
    text = head.encode("ascii") + b"\n"
    total = len(text)
    for piece in data:
        total += len(piece)
    lengths = _LENGTHS.pack(total, len(text))
    return [lengths, _CHECKS.pack(zlib.crc32(lengths), zlib.crc32(text)), text, *data]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the data of a frame lie in the file [bytes]."""

    offset: int
    size: int


class Journal:
    """Appends frames after byte `end`, where the last whole one ends; what a kill left behind it is cut off.

    Raises RecordError for a folder that holds no journal, a journal that is damaged, or one that cannot be written.
    """

    def __init__(self, folder: Path, end: int) -> None:
        self._folder, self._end = folder, end
        fault = damage(folder, end)
        if fault:
            raise RecordError(f"{fault}; restore the folder from a copy")
        with writing(folder):
            self._file = os.open(folder / FILE, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))
            os.ftruncate(self._file, end)

    def append(self, pieces: list[Buffer]) -> None:
        """Write frames, all or nothing: after an error the journal ends where it ended before."""
        size = sum([len(piece) for piece in pieces])
        try:
            written = _write(self._file, pieces, size)
            if written < size:  # a full disk, for one, takes a part; the next attempt then says why
                rest = memoryview(b"".join(pieces))[written:]
                while rest:
                    rest = rest[os.write(self._file, rest) :]
        except BaseException:
            with writing(self._folder):
                os.ftruncate(self._file, self._end)
                raise
        self._end += size

    @property
    def end(self) -> int:
        """Where the last whole frame ends [byte]."""
        return self._end

    def close(self) -> None:
        """Wait until the disk has everything, and close; doing it twice does no harm."""
        file, self._file = self._file, _CLOSED
        if file != _CLOSED:
            try:
                with writing(self._folder):
                    os.fsync(file)
            finally:
                os.close(file)


def _write(file: int, pieces: list[Buffer], size: int) -> int:
    # Joining is faster for what is small; what is large is not copied first where the system can gather.
    if size < _GATHER_FROM or len(pieces) > _GATHER_AT_MOST or not hasattr(os, "writev"):
        return os.write(file, b"".join(pieces))
    return os.writev(file, pieces)


def create_journal(folder: Path, *first: list[Buffer]) -> None:
    """A new journal that holds the frames given."""
    with writing(folder):
        (folder / FILE).write_bytes(b"".join(piece for pieces in first for piece in pieces))


def frames(folder: Path, start: int = 0) -> Iterator[tuple[bytes, Place]]:
    """Head and place of every whole frame from byte `start` on, up to the end or to the first that is not whole."""
    with reading(folder) as file:
        end = os.fstat(file.fileno()).st_size
        file.seek(start)
        while len(prefix := file.read(_PREFIX)) == _PREFIX:
            total, size = _LENGTHS.unpack_from(prefix)
            lengths_crc, head_crc = _CHECKS.unpack_from(prefix, _LENGTHS.size)
            begin = start + _PREFIX
            if size == 0 or zlib.crc32(prefix[: _LENGTHS.size]) != lengths_crc or begin + total > end:
                return
            head = file.read(size)
            if zlib.crc32(head) != head_crc:
                return
            yield head, Place(begin + size, total - size)
            start = begin + total
            file.seek(start)


def damage(folder: Path, whole: int) -> str:
    """What is wrong after the last whole frame, which ends at byte `whole`; "" for nothing or a frame cut short."""
    with reading(folder) as file:
        end = os.fstat(file.fileno()).st_size
        file.seek(whole)
        prefix = file.read(_PREFIX)
        if len(prefix) < _PREFIX or _never_reached_the_disk(file, prefix):
            return ""  # cut in its prefix, or by a power cut before its data were on the disk
        total, size = _LENGTHS.unpack_from(prefix)
        lengths_crc, head_crc = _CHECKS.unpack_from(prefix, _LENGTHS.size)
        if zlib.crc32(prefix[: _LENGTHS.size]) == lengths_crc:
            file.seek(whole + _PREFIX)
            head = file.read(size)
            if whole + _PREFIX + total > end or _never_reached_the_disk(file, head):
                return ""
            if zlib.crc32(head) == head_crc:
                return ""  # written since the last look
        return f"{folder / FILE} is damaged at byte {whole} of {end}: what follows cannot be read"


def _never_reached_the_disk(file: BinaryIO, seen: bytes) -> bool:
    """True for zeros up to the end of the file, as a power cut leaves them; a zero among other bytes is damage."""
    begin = seen.find(b"\0")
    if begin < 0 or any(seen[begin:]):
        return False
    while block := file.read(_BLOCK):
        if any(block):
            return False
    return True


def load(folder: Path, place: Place) -> bytes:
    """The data of a frame."""
    with reading(folder) as file:
        file.seek(place.offset)
        return file.read(place.size)


def reading(folder: Path) -> BinaryIO:
    """The journal as a file, opened anew each time: a buffer must not outlive a frame that a writer cuts off."""
    try:
        return (folder / FILE).open("rb", buffering=1 << 16)
    except OSError as error:
        raise RecordError(f"{folder} is not a run folder: its {FILE} cannot be read ({error.strerror})") from error


def unframed(block: bytes) -> tuple[bytes, int] | None:
    """The head of the frame that a block begins with, and the size of it all [bytes]; size 0 if more must be read.

    None if no frame begins there.
    """
    prefix = block[:_PREFIX]
    if len(prefix) < _PREFIX:
        return b"", 0
    total, size = _LENGTHS.unpack_from(prefix)
    lengths_crc, head_crc = _CHECKS.unpack_from(prefix, _LENGTHS.size)
    if size == 0 or zlib.crc32(prefix[: _LENGTHS.size]) != lengths_crc:
        return None
    if len(block) < _PREFIX + total:
        return b"", 0
    head = block[_PREFIX : _PREFIX + size]
    return (head, _PREFIX + total) if zlib.crc32(head) == head_crc else None
