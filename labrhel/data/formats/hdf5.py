"""HDF5, and what is made of it: netCDF-4, files of MATLAB 7.3 and of many instruments.

Links are followed by hand, and none leaves the folder of the file: HDF5 itself would open whatever a link names.
Arrays of MATLAB lie there with their axes reversed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np

from labrhel.arrays import Array
from labrhel.data.formats.declared import declared, interval_of, is_declared, text_of, unit_of
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

_MOST = 10_000  # names
_DEEPEST = 24  # groups in groups
_HOPS = 64  # links behind one name
_HIDDEN = re.compile(r"#\w+#|_nc4_non_coord_.*")


class HDF5:
    """The reader of HDF5.  Arrays in groups are named GROUP/NAME, fields of a table TABLE/FIELD."""

    def contents(self, file: Path) -> Listing:
        with _Opened(file) as opened:
            entries, intervals = [], []
            for name, item in opened.walk():
                entries += _entries(name, item)
                intervals.append(interval_of(item.attrs))
            about = [interval_of(opened.root.attrs), *intervals]
            said = {interval for interval in about if interval}
            found = tuple(entries)
            return Listing(found, said.pop() if len(said) == 1 else None, times_among(found), tuple(opened.notes))

    def read(self, file: Path, picks: Sequence[Pick]) -> list[Array]:
        with _Opened(file) as opened:
            return [_read(opened, pick) for pick in picks]


class _Opened(ExitStack):
    """A file, and those in its folder that links of it name."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._folder = file.resolve().parent
        self.root = self.enter_context(h5py.File(file, "r"))
        self._files = {file.resolve(): self.root}
        self.notes: list[str] = []

    def walk(self) -> Iterator[tuple[str, Any]]:
        """All data sets, by the names that lead to them."""
        for count, found in enumerate(self._below(self.root, "", ())):
            if count >= _MOST:
                raise UnreadableError(f"it holds more than {_MOST} arrays")
            yield found

    def _below(self, group: Any, path: str, above: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
        if len(above) > _DEEPEST:
            return
        for key in group:
            if _HIDDEN.fullmatch(key):
                continue
            name = f"{path}{key}"
            try:
                item = self._follow(group, key)
            except UnreadableError as error:
                self.notes.append(f"{name}: {error}")
                continue
            if isinstance(item, h5py.Group):
                me = _identity(item)
                if "MATLAB_sparse" not in item.attrs and me not in above:
                    yield from self._below(item, f"{name}/", (*above, me))
            elif isinstance(item, h5py.Dataset):
                yield name, item

    def find(self, name: str) -> Any:
        """What a name leads to."""
        item: Any = self.root
        for part in PurePosixPath(name).parts:
            item = self._follow(item, part)
        return item

    def _follow(self, group: Any, key: str, hops: int = 0) -> Any:
        if hops > _HOPS:
            raise UnreadableError("its links go in a circle")
        link = group.get(key, getlink=True) if isinstance(group, h5py.Group) else None
        if isinstance(link, h5py.SoftLink):
            item: Any = group.file["/"] if link.path.startswith("/") else group
            return self._along(item, link.path, hops)
        if isinstance(link, h5py.ExternalLink):
            return self._along(self._beside(link.filename)["/"], link.path, hops)
        if link is None:
            raise UnreadableError("its link leads nowhere")
        return group[key]

    def _along(self, item: Any, path: str, hops: int) -> Any:
        for number, part in enumerate(word for word in path.split("/") if word not in ("", ".")):
            item = item.parent if part == ".." else self._follow(item, part, hops + number + 1)
        return item

    def _beside(self, name: str) -> Any:
        file = (self._folder / name).resolve()
        if file.parent != self._folder or not file.is_file():
            raise UnreadableError(f"its link leads to {name}, which is no file in this folder; links go no further")
        if file not in self._files:
            self._files[file] = self.enter_context(h5py.File(file, "r"))
        return self._files[file]


def _identity(item: Any) -> tuple[int, ...]:
    about: Any = h5py.h5o.get_info(item.id)  # type: ignore[attr-defined]
    return (about.fileno, about.addr if hasattr(about, "addr") else hash(item))


def _is_matlab(item: Any) -> bool:
    return "MATLAB_class" in item.attrs


def _shape(item: Any) -> tuple[int, ...]:
    """As the user knows it: of MATLAB, turned round and without axes of one element."""
    if not _is_matlab(item):
        return tuple(item.shape)
    if "MATLAB_empty" in item.attrs:
        return (0,)
    return _squeezed(item.shape[::-1])


def _squeezed(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(length for length in shape if length != 1) or (1,)


def _entries(name: str, item: Any) -> list[Entry]:
    if item.shape is None:
        return []
    kind, unit, axes = _kind(item), unit_of(item.attrs), _axes(item)
    if kind == "table":
        fields: Mapping[str, Any] = item.dtype.fields
        return [
            Entry(f"{name}/{field}", (*item.shape, *about[0].shape), about[0].base.kind, "", (field,))
            for field, about in fields.items()
        ]
    short = name.rpartition("/")[2]
    return [Entry(name, _shape(item), kind, unit, tuple(a for a in (name.replace("/", "."), short) if a != name), axes)]


def _kind(item: Any) -> str:
    of_matlab = text_of(item.attrs.get("MATLAB_class", ""))
    if of_matlab == "char":
        return "S"
    if item.dtype.names:
        return "c" if set(item.dtype.names) == {"real", "imag"} else "table"
    if item.dtype.kind == "i" and is_declared(item.attrs) and "scale_factor" in item.attrs:
        return "f"
    return item.dtype.kind if item.dtype.kind in "iufcbSU" else "S" if h5py.check_string_dtype(item.dtype) else "O"


def _axes(item: Any) -> tuple[str, ...]:
    if _is_matlab(item) or "DIMENSION_LIST" not in item.attrs:
        return ()
    try:
        return tuple(PurePosixPath(str(axis[0].name)).name if len(axis) else axis.label for axis in item.dims)
    except (RuntimeError, ValueError, KeyError, TypeError):
        return ()


def _read(opened: _Opened, pick: Pick) -> Array:
    try:
        item, field = opened.find(pick.name), ""
    except UnreadableError:
        owner, _, field = pick.name.rpartition("/")
        item = opened.find(owner) if owner else None
        if not isinstance(item, h5py.Dataset) or field not in (item.dtype.names or ()):
            raise
    if isinstance(item, h5py.Dataset) and item.dtype.names and _kind(item) == "table" and not field:
        raise UnreadableError(f"{pick.name!r} is a table")
    if not field and getattr(item, "dtype", None) is not None and _kind(item) in "SO":
        return _text(item)
    if item.external or item.is_virtual:
        raise UnreadableError(f"the numbers of {pick.name!r} lie in another file; copy them into this one")
    if field:
        require_small(size_of(part_of(item.shape, pick.index[: item.ndim]), item.dtype.itemsize))
        values = item.fields(field)[pick.index[: item.ndim]]
        return values[(..., *pick.index[item.ndim :])] if len(pick.index) > item.ndim else values
    part = part_of(_shape(item), pick.index)
    require_small(size_of(part, item.dtype.itemsize))
    if _is_matlab(item):
        return declared(_of_matlab(item, pick.index), item.attrs, pick.name).reshape(part)
    return declared(np.asarray(item[pick.index]), item.attrs, pick.name)


def _of_matlab(item: Any, index: Index) -> Array:
    if "MATLAB_empty" in item.attrs:
        return np.empty(0)
    if not index and item.ndim:
        values = np.asarray(item[()])
        return _complex(values.T)
    left = list(index)
    places: list[int | slice] = []
    for length in item.shape[::-1]:
        keep = length != 1 or (_squeezed(item.shape) == (1,) and not places)
        places.append((left.pop(0) if left else slice(None)) if keep else 0)
    return _complex(np.asarray(item[tuple(reversed(places))]).T)


def _complex(values: Array) -> Array:
    return values["real"] + 1j * values["imag"] if values.dtype.names else values


def _text(item: Any) -> Array:
    if _kind(item) == "O" or item.size is None or item.size > 1_000_000:
        return empty_name()
    if text_of(item.attrs.get("MATLAB_class", "")) == "char":
        codes = np.asarray(item[()]).T if "MATLAB_empty" not in item.attrs else np.empty(0)
        return np.array(["".join(chr(int(code) & 0xFFFF) for code in codes.ravel())])
    return np.array(
        [text_of(word) for word in np.ravel(item.asstr()[()] if h5py.check_string_dtype(item.dtype) else item[()])]
    )
