"""Parts of plain arrays in MATLAB's files of versions 5 to 7, without loading the array that they are of.

scipy reads a variable at a time, with all of it in memory.  Here an array of numbers is skipped through, as it lies in
the file or comes out of zlib, and only what is asked for is kept.  What is compressed is read to its end, where its
check sum is.  Whatever is not a real array of one or two axes in the form of the manual is left to scipy.

Source: MATLAB MAT-File Format (MathWorks), level 5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from labrhel.arrays import Array
from labrhel.data.formats.interface import Index, UnreadableError, part_of, require_small, size_of

_MATRIX, _COMPRESSED = 14, 15
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_COMPLEX, _LOGICAL = 0x0800, 0x0200
_BEGIN = 128  # bytes before the first element
_HEAD = 4096  # bytes in which dimensions and name of an array stand
_PIECE = 1 << 16  # bytes that are read at once
_CHUNK = 1 << 17  # numbers that are looked through at once


class _Source(Protocol):
    """Bytes in order."""

    def take(self, count: int) -> bytes:
        """The next ones; fewer at the end."""
        ...

    def skip(self, count: int) -> None:
        """Go on behind the next ones."""
        ...


@dataclass(frozen=True, slots=True)
class _Plain:
    stream: BinaryIO

    def take(self, count: int) -> bytes:
        return self.stream.read(count)

    def skip(self, count: int) -> None:
        self.stream.seek(count, 1)


class _Compressed:
    """What comes out of zlib, of so many bytes of the file."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._left = stream, size
        self._zlib, self._waiting = zlib.decompressobj(), b""

    def take(self, count: int) -> bytes:
        found = bytearray()
        while len(found) < count and (piece := self._piece(count - len(found))):
            found += piece
        return bytes(found)

    def skip(self, count: int) -> None:
        while count and (piece := self._piece(min(count, 1 << 20))):
            count -= len(piece)

    def finish(self) -> None:
        """Go on to the end, where the check sum is."""
        while self._piece(1 << 20):
            pass
        if not self._zlib.eof:
            raise UnreadableError("it ends before its arrays do")

    def _piece(self, most: int) -> bytes:
        while not self._zlib.eof:
            if not self._waiting:
                self._waiting = self._stream.read(min(_PIECE, self._left))
                self._left -= len(self._waiting)
                if not self._waiting:
                    return b""
            found = self._zlib.decompress(self._waiting, most)
            self._waiting = self._zlib.unconsumed_tail
            if found:
                return found
        return b""


@dataclass(frozen=True, slots=True)
class _Variable:
    """An array of the file: what it is, how it is stored, and how many bytes stand before its numbers."""

    name: str
    shape: tuple[int, ...]
    kind: np.dtype
    stored: np.dtype
    before: int
    size: int


def part(file: Path, name: str, index: Index) -> Array | None:
    """The part `index` of the squeezed array `name`; None if it is to be left to scipy.

    Raises UnreadableError for a file that ends before the array does, or whose check sum is another.
    """
    with file.open("rb") as stream:
        found = [(at, variable) for at, variable in _variables(stream) if variable is None or variable.name == name]
        (kind, begin, size), variable = found[0] if len(found) == 1 else ((0, 0, 0), None)
        if variable is None:  # damaged, twice there, or something else
            return None
        shape = tuple(length for length in variable.shape if length != 1) or (1,)
        if len(shape) > 2 or size_of(shape, variable.stored.itemsize) != variable.size:
            return None
        if begin + size > file.stat().st_size:
            raise UnreadableError("it ends before its arrays do")
        require_small(size_of(part_of(shape, index), variable.kind.itemsize))
        stream.seek(begin)
        source = _Compressed(stream, size) if kind == _COMPRESSED else _Plain(stream)
        try:
            source.skip(variable.before)
            values = _picked(source, variable, shape, index)
            if isinstance(source, _Compressed):
                source.finish()
        except zlib.error as error:
            raise UnreadableError(f"it is damaged ({error})") from None
    return values


def _variables(stream: BinaryIO) -> Iterator[tuple[tuple[int, int, int], _Variable | None]]:
    """Type, begin and size [bytes] of each element of a file, and the array in it; None for what is no such file."""
    head = stream.read(_BEGIN)
    order = {b"IM": "<", b"MI": ">"}.get(head[126:128], "")
    while order:
        tag = stream.read(8)
        if len(tag) < 8:
            return
        kind, size = struct.unpack(f"{order}II", tag)
        begin = stream.tell()
        if kind not in (_MATRIX, _COMPRESSED):
            yield (kind, begin, size), None
            return
        try:
            source = _Compressed(stream, size) if kind == _COMPRESSED else _Plain(stream)
            if kind == _COMPRESSED:
                inner, _ = struct.unpack(f"{order}II", source.take(8))
                found = _variable(source.take(_HEAD), order, 8) if inner == _MATRIX else None
            else:
                found = _variable(source.take(min(_HEAD, size)), order, 0)
        except (zlib.error, struct.error):
            found = _OTHER
        yield (kind, begin, size), found
        stream.seek(begin + size)
    yield (0, 0, 0), None


_OTHER = _Variable("", (), np.dtype("f8"), np.dtype("f8"), 0, -1)
"""What is no plain array."""


def _variable(head: bytes, order: str, before: int) -> _Variable:
    """The array whose element begins so, without its own tag; raises struct.error for what is cut short."""
    at, parts = 0, []
    for _ in range(3):
        kind, size = struct.unpack_from(f"{order}II", head, at)
        if kind >> 16:  # a small element, in the tag itself
            kind, size = kind & 0xFFFF, kind >> 16
            parts.append(head[at + 4 : at + 4 + size])
            at += 8
        else:
            parts.append(head[at + 8 : at + 8 + size])
            at += 8 + -(-size // 8) * 8
    flags, dimensions, name = parts
    (said,) = struct.unpack_from(f"{order}I", flags)
    kind, size = struct.unpack_from(f"{order}II", head, at)
    words = name.decode("latin-1")
    if said & (_COMPLEX | _LOGICAL) or said & 0xFF not in _CLASSES or kind not in _STORED:
        return _Variable(words, (), np.dtype("f8"), np.dtype("f8"), 0, -1)
    shape = struct.unpack(f"{order}{len(dimensions) // 4}i", dimensions)
    kinds = np.dtype(_CLASSES[said & 0xFF]), np.dtype(f"{order}{_STORED[kind]}")
    return _Variable(words, shape, *kinds, before + at + 8, size)


def _picked(source: _Source, variable: _Variable, shape: tuple[int, ...], index: Index) -> Array:
    """What is asked for of numbers that come column by column."""
    rows, columns = shape if len(shape) == 2 else (shape[0], 1)
    first, second = (*index, *[slice(None)] * (2 - len(index)))
    down, across = _range(first, rows), _range(second, columns)
    found = np.empty((len(down), len(across)), variable.kind, order="F")
    source.skip(across.start * rows * variable.stored.itemsize)
    at_once = max(1, _CHUNK // max(rows, 1))
    for begin in range(0, len(across), at_once):
        some = min(at_once, len(across) - begin)
        if at_once > 1:
            block = _numbers(source, variable.stored, rows * some).reshape((rows, some), order="F")
            found[:, begin : begin + some] = block[down.start : down.stop]
        else:
            source.skip(down.start * variable.stored.itemsize)
            found[:, begin] = _numbers(source, variable.stored, len(down))
            source.skip((rows - down.stop) * variable.stored.itemsize)
    if len(shape) == 1:
        return found[0, 0] if isinstance(first, int) else found[:, 0]
    return found[0 if isinstance(first, int) else slice(None), 0 if isinstance(second, int) else slice(None)]


def _range(at: int | slice, length: int) -> range:
    return range(at, at + 1) if isinstance(at, int) else range(*at.indices(length))


def _numbers(source: _Source, stored: np.dtype, count: int) -> Array:
    data = source.take(count * stored.itemsize)
    if len(data) != count * stored.itemsize:
        raise UnreadableError("it ends before its arrays do")
    return np.frombuffer(data, stored)
