"""What a reader of a format does: say what a file holds, and read what is asked for, no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np

from labrhel.arrays import Array

LARGEST = 1 << 30
"""Bytes of all arrays that are read at once: 134 million numbers."""

LARGEST_FILE = 1 << 40
"""Bytes of a file of which a part is read."""

REAL = "iufb"
"""Kinds of numpy's types that are real numbers."""

Index: TypeAlias = tuple[int | slice, ...]
"""As numpy takes it: whole numbers and slices of step 1, one for each axis from the first on."""


class UnreadableError(Exception):
    """The file cannot be read; says why, where more is known than that it is damaged."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An array of a file: its name as it stands there, what else it may be called, shape and kind of numbers.

    `kind` is numpy's letter (f, i, u, c; S for text; O for what is no array of numbers).  `unit` is "" where the file
    does not say.  `axes` are the names of its axes, where the file has them.
    """

    name: str
    shape: tuple[int, ...]
    kind: str = "f"
    unit: str = ""
    aliases: tuple[str, ...] = ()
    axes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """What a file holds.  `interval` [s] is the time between samples where the file says it beside its arrays.

    `times` are arrays that hold the time of each sample, by the file's own word or by their names.  `notes` say in
    words what a user should know.
    """

    entries: tuple[Entry, ...]
    interval: float | None = None
    times: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pick:
    """An array, or a part of it."""

    name: str
    index: Index = field(default=())


class Reader(Protocol):
    """A format.  Both methods raise UnreadableError or OSError for what cannot be read, with the reason."""

    def contents(self, file: Path) -> Listing:
        """What the file holds, without loading it."""
        ...

    def read(self, file: Path, picks: Sequence[Pick]) -> list[Array]:
        """The arrays asked for, in that order; a name is one of the listing."""
        ...


def require_small(size: int) -> None:
    """Raise UnreadableError if arrays of `size` bytes are too large to be a recording, before they are made."""
    if size > LARGEST:
        raise UnreadableError(f"its arrays would take {size / 1e9:.3g} GB, and {LARGEST / 1e9:.2g} GB are the most")


def part_of(shape: Sequence[int], index: Index) -> tuple[int, ...]:
    """The shape of what `index` picks from an array of `shape`; slices end where the array does.

    Raises UnreadableError for an index that the array does not have.
    """
    if len(index) > len(shape):
        raise UnreadableError(f"an array of {len(shape)} axes is not picked from by {len(index)} indices")
    found = []
    for length, at in zip(shape, (*index, *([slice(None)] * (len(shape) - len(index)))), strict=True):
        if isinstance(at, slice):
            found.append(len(range(*at.indices(length))))
        elif not 0 <= at < length:
            raise UnreadableError(f"there is no index {at} on an axis of {length}")
    return tuple(found)


def size_of(shape: Sequence[int], itemsize: int) -> int:
    """Bytes of an array, in whole numbers of any size."""
    product = 1
    for length in shape:
        product *= int(length)
    return product * max(int(itemsize), 1)


def empty_name() -> Array:
    """What stands for an array that holds no numbers: its name is there."""
    return np.empty(0, "S1")
