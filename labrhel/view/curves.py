"""Curves over the steps of a run that never hold more points than a screen shows, however long it is.

The steps fall into buckets of equal width, of which each keeps the smallest and the largest value of every column; when
there would be too many, the width doubles and neighbours become one.  So what stands out of a curve stays, which taking
each n-th value would lose.  A step that is done again after a resume replaces what it left before while buckets are one
step wide, and widens them after that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from labrhel.arrays import Array

MOST = 2000
"""Points of a curve."""

_BUCKETS = MOST // 2


class Curves:
    """Curves by name over steps from 0 on."""

    def __init__(self) -> None:
        self._width = 1
        self._rows: dict[str, int] = {}
        self._low = np.full((0, _BUCKETS), np.nan)
        self._high = np.full((0, _BUCKETS), np.nan)
        self._last: dict[str, tuple[int, float]] = {}

    @property
    def names(self) -> list[str]:
        """In the order in which they came."""
        return list(self._rows)

    def add(self, names: Sequence[str], steps: Array, values: Array) -> None:
        """Values (steps, names), NaN where there is none, of `steps` (steps,) in the order they were done."""
        turns = np.flatnonzero(np.diff(steps) < 0) + 1  # done again after a resume
        for part in np.split(np.arange(len(steps)), turns):
            if part.size:
                self._add(names, steps[part].astype(np.int64), values[part])

    def last(self, name: str) -> tuple[int, float] | None:
        """The newest step of a curve, and its value; None before the first."""
        return self._last.get(name)

    def points(self, name: str) -> tuple[Array, Array]:
        """Steps and values to be drawn, at most MOST."""
        low, high = self._low[self._rows[name]], self._high[self._rows[name]]
        there = np.flatnonzero(~np.isnan(low))
        if self._width == 1:
            return there.astype(float), low[there]
        steps = np.repeat(there * float(self._width), 2)
        steps[1::2] += self._width / 2
        return steps, np.column_stack([low[there], high[there]]).ravel()

    def _add(self, names: Sequence[str], steps: Array, values: Array) -> None:
        rows = self._rows_of(names)
        while steps[-1] // self._width >= _BUCKETS:
            self._widen()
        buckets, begins = np.unique(steps // self._width, return_index=True)
        low, high = np.fmin.reduceat(values, begins).T, np.fmax.reduceat(values, begins).T
        place = np.array(rows)[:, None], buckets
        if self._width == 1:
            there = np.isnan(low)
            self._low[place] = np.where(there, self._low[place], low)
            self._high[place] = np.where(there, self._high[place], high)
        else:
            self._low[place] = np.fmin(self._low[place], low)
            self._high[place] = np.fmax(self._high[place], high)
        known = ~np.isnan(values)
        newest = len(steps) - 1 - np.argmax(known[::-1], axis=0)
        for column, name in enumerate(names):
            if known[newest[column], column]:
                self._last[name] = int(steps[newest[column]]), float(values[newest[column], column])

    def _rows_of(self, names: Sequence[str]) -> list[int]:
        new = [name for name in names if name not in self._rows]
        if new:
            self._rows |= {name: len(self._rows) + number for number, name in enumerate(new)}
            more = np.full((len(new), _BUCKETS), np.nan)
            self._low, self._high = np.vstack([self._low, more]), np.vstack([self._high, more])
        return [self._rows[name] for name in names]

    def _widen(self) -> None:
        self._width *= 2
        for table, chosen in ((self._low, np.fmin), (self._high, np.fmax)):
            table[:, : _BUCKETS // 2] = chosen(table[:, ::2], table[:, 1::2])
            table[:, _BUCKETS // 2 :] = math.nan
