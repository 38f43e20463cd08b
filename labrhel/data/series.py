"""Arrays of a recording as series of samples: which array a name means, and rows of finite numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array
from labrhel.config.problems import nearest
from labrhel.data.formats.interface import REAL, Entry, Index, Pick
from labrhel.errors import ConfigurationError

_PART = re.compile(r"(.+)\[\s*((?:\d{1,12}|:)(?:\s*,\s*(?:\d{1,12}|:))*)\s*\]", re.DOTALL)
_KINDS = {
    "S": "text",
    "U": "text",
    "O": "objects, and no numbers",
    "c": "complex numbers",
    "M": "dates",
    "m": "durations",
}


@dataclass(frozen=True, slots=True)
class Series:
    """An array of a file, or a part of one: `at` picks from its first axes, as in `shots[3]` and `table[:, 2]`.

    The first axis that is left counts samples, the second, if there is one, columns.
    """

    asked: str
    entry: Entry
    at: Index = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what is left when the indices are taken."""
        axes = [length for length, index in zip(self.entry.shape, self.at, strict=False) if isinstance(index, slice)]
        return (*axes, *self.entry.shape[len(self.at) :])

    @property
    def samples(self) -> int:
        """Samples of the series."""
        return self.shape[0]

    def pick(self, start: int, stop: int) -> Pick:
        """The samples from `start` to before `stop`."""
        at = list(self.at)
        axis = next((axis for axis, index in enumerate(at) if isinstance(index, slice)), len(at))
        at[axis : axis + 1] = [slice(start, stop)]
        return Pick(self.entry.name, tuple(at))


def series_of(entries: Sequence[Entry], name: str) -> Series:
    """The series that a configuration names: by the name in the file, by another name that is unique, or NAME[3].

    Raises ConfigurationError for an unknown name, and for what is no series of real numbers.
    """
    found = _entry(entries, name)
    if found is not None:
        return _checked(Series(name, found))
    if (match := _PART.fullmatch(name)) and (found := _entry(entries, match[1].strip())) is not None:
        words = [word.strip() for word in match[2].split(",")]
        at = tuple(slice(None) if word == ":" else int(word) for word in words)
        if len(at) > len(found.shape):
            raise ConfigurationError(f"{name!r} has {len(at)} indices, and {found.name!r} has the shape {found.shape}")
        for word, length in zip(at, found.shape, strict=False):
            if isinstance(word, int) and word >= length:
                raise ConfigurationError(f"{name!r}: there is no index {word}, the shape is {found.shape}")
        return _checked(Series(name, found, at))
    raise ConfigurationError(f"the data file has no array {name!r}; {nearest(name, [entry.name for entry in entries])}")


def _entry(entries: Sequence[Entry], name: str) -> Entry | None:
    for entry in entries:
        if entry.name == name:
            return entry
    called = [entry for entry in entries if name in entry.aliases]
    return called[0] if len(called) == 1 else None


def require_real(series: Series, kind: str) -> None:
    """Raise ConfigurationError for a series of a kind of numpy's types that are no real numbers."""
    if kind not in REAL:
        raise ConfigurationError(
            f"the array {series.asked!r} must hold real numbers in one or two dimensions; "
            f"it holds {_KINDS.get(kind, 'something else')}"
        )


def _checked(series: Series) -> Series:
    shape = series.shape
    require_real(series, series.entry.kind)
    if len(shape) not in (1, 2):
        dimensions = "no dimension" if not shape else f"{len(shape)} dimensions"
        more = f"; pick a part of it, such as {series.asked}[0]" if len(shape) > 2 else ""
        raise ConfigurationError(
            f"the array {series.asked!r} must hold real numbers in one or two dimensions; it has {dimensions}{more}"
        )
    if 0 in shape:
        raise ConfigurationError(f"the array {series.asked!r} is empty: its shape is {shape}")
    return series


def rows(series: Iterable[Series], arrays: Iterable[Array], start: int = 0) -> Array:
    """The series, read from sample `start` on, as rows (columns, samples) in float64.

    Raises ConfigurationError for the first sample that is not a finite number.
    """
    found = []
    for one, array in zip(series, arrays, strict=True):
        values = np.asarray(array, float).reshape(len(array), -1).T
        bad = np.flatnonzero(~np.isfinite(values).all(axis=0))
        if bad.size:
            more = f" (and {bad.size - 1} more)" if bad.size > 1 else ""
            raise ConfigurationError(
                f"sample {start + bad[0]} of the array {one.asked!r} is not a finite number{more}; clean the data, "
                "or take segments without it"
            )
        found.append(values)
    return np.concatenate(found) if found else np.empty((0, 0))


def columns(arrays: Mapping[str, Array], names: Sequence[str], what: str) -> Array:
    """The named arrays, each (samples,) or (samples, columns), as rows (columns, samples) in float64.

    Raises ConfigurationError for a missing array, one that is not a series of numbers, lengths that disagree, and
    the first sample that is not a finite number.
    """
    entries = [Entry(name, array.shape, array.dtype.kind) for name, array in arrays.items()]
    found = [series_of(entries, name) for name in names]
    require_equal_lengths(found, what)
    return rows(found, [arrays[one.entry.name][one.at] for one in found])


def require_equal_lengths(series: Sequence[Series], what: str) -> None:
    """Raise ConfigurationError if the series of one kind differ in length."""
    for one in series[1:]:
        if one.samples != series[0].samples:
            raise ConfigurationError(
                f"the {what} arrays differ in length: {series[0].asked} has {series[0].samples} samples, "
                f"{one.asked} has {one.samples}"
            )
