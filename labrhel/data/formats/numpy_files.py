"""numpy's files: .npy holds one array, .npz several, each behind a header that says its shape and type."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from labrhel.arrays import Array
from labrhel.data.formats.interface import (
    Entry,
    Index,
    Listing,
    Pick,
    UnreadableError,
    empty_name,
    part_of,
    require_small,
    size_of,
)
from labrhel.data.formats.times import times_among

_STEP = 1 << 20  # bytes that are passed over at once


class NumpyFile:
    """The reader of .npy: one array, under the name of the file.  One with named fields is an array for each."""

    def contents(self, file: Path) -> Listing:
        with file.open("rb") as stream:
            entries = _entries(file.stem, *_header(stream, file.name, file.stat().st_size))
        return Listing(entries, None, times_among(entries))

    def read(self, file: Path, picks: Sequence[Pick]) -> list[Array]:
        return [_array(lambda: file.open("rb"), file.stat().st_size, file.stem, pick) for pick in picks]


class NumpyArchive:
    """The reader of .npz.  Members that are no arrays of numbers are listed, and in nobody's way."""

    def contents(self, file: Path) -> Listing:
        entries: list[Entry] = []
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                if not member.filename.endswith(".npy"):
                    continue
                with archive.open(member) as stream:
                    entries += _entries(name, *_header(stream, name, member.file_size))
            if not entries:
                raise UnreadableError("it is an archive without arrays: damaged, or not .npz data")
        return Listing(tuple(entries), None, times_among(entries))

    def read(self, file: Path, picks: Sequence[Pick]) -> list[Array]:
        with zipfile.ZipFile(file) as archive:
            members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            found = []
            for pick in picks:
                owner = pick.name if pick.name in members else pick.name.rpartition("/")[0]
                member = members[owner]
                found.append(_array(lambda member=member: archive.open(member), member.file_size, owner, pick))
            return found


def _entries(name: str, shape: tuple[int, ...], dtype: np.dtype, *_: object) -> tuple[Entry, ...]:
    if dtype.names is None:
        return (Entry(name, shape, dtype.kind),)
    fields = [(field, about[0]) for field, about in (dtype.fields or {}).items()]
    return tuple(
        Entry(f"{name}/{field}", (*shape, *kind.shape), kind.base.kind, aliases=(field,)) for field, kind in fields
    )


def _header(stream: IO[bytes], name: str, size: int) -> tuple[tuple[int, ...], np.dtype, bool]:
    """Shape, type and order of an array; raises UnreadableError if it claims more than the file holds."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if not dtype.hasobject and size_of(shape, dtype.itemsize) > size:
        raise UnreadableError(f"the array {name!r} claims more numbers than there are: {shape}")
    return shape, dtype, fortran


def _array(opened: Callable[[], IO[bytes]], size: int, name: str, pick: Pick) -> Array:
    with opened() as stream:
        shape, dtype, fortran = _header(stream, name, size)
        if dtype.hasobject:
            return empty_name()
        index = pick.index[: len(shape)] if dtype.names else pick.index
        part = part_of(shape, index)
        require_small(size_of(part, dtype.itemsize))
        values = _rows(stream, shape, dtype, index) if not fortran or len(shape) < 2 else None
        if values is None:  # the last axis varies slowest
            turned = (*([slice(None)] * (len(shape) - len(index))), *reversed(index))
            values = _rows(stream, shape[::-1], dtype, turned).T
        if isinstance(stream, zipfile.ZipExtFile):  # which knows whether it is whole when it has been read
            _pass_over(stream, size)
    if dtype.names is None:
        return values
    found = values[pick.name.rpartition("/")[2]]
    return found[(..., *pick.index[len(shape) :])] if len(pick.index) > len(shape) else found


def _rows(stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype, index: Index) -> Array:
    """What `index` picks from an array in C order, read row by row of the first axis on which it picks."""
    if not index or not shape:
        return _taken(stream, size_of(shape, dtype.itemsize), dtype).reshape(shape)
    row = size_of(shape[1:], dtype.itemsize)
    at, *rest = index
    if isinstance(at, slice):
        rows = range(*at.indices(shape[0]))
        _pass_over(stream, row * rows.start)
        if not any(isinstance(other, int) or other != slice(None) for other in rest):
            return _taken(stream, row * len(rows), dtype).reshape(len(rows), *shape[1:])
        found = []
        for _ in rows:
            found.append(_rows_within(stream, shape[1:], dtype, tuple(rest), row))
        return np.stack(found) if found else np.empty(part_of(shape, index), dtype)
    _pass_over(stream, row * at)
    return _rows(stream, shape[1:], dtype, tuple(rest))


def _rows_within(stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype, index: Index, size: int) -> Array:
    if size <= _STEP:
        return _taken(stream, size, dtype).reshape(shape)[index].copy()
    begin = stream.tell()
    values = _rows(stream, shape, dtype, index)
    _pass_over(stream, begin + size - stream.tell())
    return values


def _taken(stream: IO[bytes], size: int, dtype: np.dtype) -> Array:
    body = stream.read(size)
    if len(body) != size:
        raise UnreadableError("it ends before its numbers do: it is not whole")
    return np.frombuffer(body, dtype)


def _pass_over(stream: IO[bytes], size: int) -> None:
    if isinstance(stream, zipfile.ZipExtFile):
        while size > 0:
            passed = len(stream.read(min(size, _STEP)))
            if not passed:
                return
            size -= passed
    elif size > 0:
        stream.seek(size, 1)
