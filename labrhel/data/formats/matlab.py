"""MATLAB's files: versions 4, 5 and 7 by scipy, plain arrays in them by `mat5`, version 7.3, which is HDF5, by `HDF5`.

Structs are unfolded by the path of their fields, STRUCT/FIELD, in all versions; elements of arrays of structs are
STRUCT(2)/FIELD, those of cells CELL{1}, counted from 1 as MATLAB does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat, whosmat

from labrhel.arrays import Array
from labrhel.data.formats.interface import Entry, Listing, Pick, UnreadableError, empty_name, require_small, size_of
from labrhel.data.formats.mat5 import part
from labrhel.data.formats.times import times_among

_MOST = 10_000  # names
_DEEPEST = 16
_ELEMENTS = 64  # of an array of structs or a cell
_NUMBERS = {
    "double": "f", "single": "f", "int8": "i", "int16": "i", "int32": "i", "int64": "i", "uint8": "u", "uint16": "u",
    "uint32": "u", "uint64": "u", "logical": "b", "char": "S",
}  # fmt: skip
_FOLDED = ("struct", "cell")


class Matlab:
    """The reader of .mat files of any version."""

    def contents(self, file: Path) -> Listing:
        if _is_hdf5(file):
            from labrhel.data.formats.hdf5 import HDF5

            return HDF5().contents(file)
        entries, notes = [], []
        for name, shape, kind in whosmat(file):
            if name.startswith("__") or not name:
                continue
            if kind in _FOLDED:
                entries += [_entry(path, value) for path, value in _unfolded(name, _loaded(file, name))]
            elif kind in _NUMBERS:
                entries.append(Entry(name, _squeezed(shape), _NUMBERS[kind]))
            else:
                entries.append(Entry(name, tuple(shape), "O"))
                notes.append(f"{name} is an object of MATLAB ({kind}); save its numbers as arrays or in a struct")
        return Listing(tuple(entries), None, times_among(entries), tuple(notes))

    def read(self, file: Path, picks: Sequence[Pick]) -> list[Array]:
        if _is_hdf5(file):
            from labrhel.data.formats.hdf5 import HDF5

            return HDF5().read(file, picks)
        known = {name: (shape, kind) for name, shape, kind in whosmat(file)}
        return [_read(file, known, pick) for pick in picks]


def _is_hdf5(file: Path) -> bool:
    with file.open("rb") as stream:
        stream.seek(512)
        return stream.read(8) == b"\x89HDF\r\n\x1a\n"


def _read(file: Path, known: dict[str, Any], pick: Pick) -> Array:
    for name in sorted(known, key=len, reverse=True):
        if pick.name == name or pick.name.startswith((f"{name}/", f"{name}(", f"{name}{{")):
            break
    else:
        raise UnreadableError(f"there is no {pick.name!r}")
    shape, kind = known[name]
    if kind not in _FOLDED and kind not in _NUMBERS:
        return empty_name()
    if (
        pick.name == name
        and kind in _NUMBERS
        and kind != "char"
        and (values := part(file, name, pick.index)) is not None
    ):
        return np.asarray(values)
    require_small(size_of(shape, 8))
    value = _loaded(file, name)
    if kind in _FOLDED:
        value = dict(_unfolded(name, value)).get(pick.name, empty_name())
    values = _plain(value)
    return values[pick.index] if pick.index else values


def _loaded(file: Path, name: str) -> Any:
    return loadmat(file, variable_names=[name])[name]


def _plain(value: Any) -> Array:
    # Not by squeeze_me, which makes a Python number of a single one and loses its type.
    return np.atleast_1d(np.squeeze(np.asarray(value)))


def _squeezed(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(length) for length in shape if length != 1) or (1,)


def _entry(path: str, value: Any) -> Entry:
    array = _plain(value)
    kind = array.dtype.kind if array.dtype.kind in "iufcb" else "S" if array.dtype.kind in "US" else "O"
    aliases = (path.replace("/", "."), path.rpartition("/")[2])
    return Entry(path, array.shape, kind, "", tuple(dict.fromkeys(alias for alias in aliases if alias != path)))


def _unfolded(path: str, value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The arrays in structs and cells, by their paths."""
    array = np.asarray(value)
    if depth > _DEEPEST:
        return
    if array.dtype.names:
        elements = array.ravel()
        for number, element in enumerate(elements[:_ELEMENTS], 1):
            place = path if len(elements) == 1 else f"{path}({number})"
            for field in array.dtype.names:
                yield from _unfolded(f"{place}/{field}", element[field], depth + 1)
    elif array.dtype == object:
        if depth == 0 or array.size:
            yield path, array
        for number, element in enumerate(array.ravel()[:_ELEMENTS], 1):
            yield from _unfolded(f"{path}{{{number}}}", element, depth + 1)
    else:
        yield path, array
