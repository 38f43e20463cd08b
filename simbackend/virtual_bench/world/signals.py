"""Voltages in time: what an output plays, in steps, and what arrives at an input, in straight lines."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from labrhel.arrays import Array


@dataclass(slots=True)
class Piece:
    """From `start` to `stop` [s] samples (n,) at `rate` [Hz], each held, over and over again; one sample: a level."""

    start: float
    stop: float
    samples: Array
    rate: float = 1.0
    _sums: Array = field(init=False)

    def __post_init__(self) -> None:
        self._sums = np.concatenate([[0.0], np.cumsum(self.samples)]) / self.rate

    def area(self, edges: Array) -> Array:
        """The integral over each cell between `edges` (m + 1,): (m,)."""
        inside = np.clip(edges, self.start, self.stop)
        if len(self.samples) == 1:
            return self.samples[0] * np.diff(inside)
        return np.diff(self._until(inside - self.start))

    def at(self, moment: float) -> float:
        """The value at a moment inside."""
        if len(self.samples) == 1:
            return float(self.samples[0])
        return float(self.samples[int((moment - self.start) * self.rate + 1e-6) % len(self.samples)])

    def _until(self, elapsed: Array) -> Array:
        place = elapsed * self.rate
        rounds, rest = np.divmod(place, len(self.samples))
        index = np.minimum(rest.astype(np.int64), len(self.samples) - 1)
        return rounds * self._sums[-1] + self._sums[index] + (rest - index) * self.samples[index] / self.rate


class Track:
    """All that an output has played and will play, as far as it is decided."""

    def __init__(self, level: float = 0.0) -> None:
        self._pieces = [Piece(-math.inf, math.inf, np.array([level]))]

    def hold(self, moment: float, level: float) -> None:
        """From `moment` on stay at a level, whatever was to come."""
        if self.last.start < moment and len(self.last.samples) == 1 and self.last.samples[0] == level:
            return
        self._cut(moment)
        self._pieces.append(Piece(moment, math.inf, np.array([level])))

    def play(self, moment: float, samples: Array, rate: float, cycles: float, idle: float) -> float:
        """From `moment` on play `samples` some times, then idle at a level.  Returns when that is."""
        self._cut(moment)
        stop = moment + cycles * len(samples) / rate
        self._pieces.append(Piece(moment, stop, np.asarray(samples, float), rate))
        if math.isfinite(stop):
            self._pieces.append(Piece(stop, math.inf, np.array([idle])))
        return stop

    @property
    def last(self) -> Piece:
        """What it plays in the end."""
        return self._pieces[-1]

    @property
    def still_from(self) -> float:
        """From when on it rests at a level; infinite if it never does."""
        return self.last.start if len(self.last.samples) == 1 else math.inf

    def mean(self, edges: Array) -> Array:
        """The mean over each cell between `edges` (m + 1,): (m,)."""
        total = np.zeros(len(edges) - 1)
        for piece in self._pieces:
            if piece.stop > edges[0] and piece.start < edges[-1]:
                total += piece.area(edges)
        return total / np.diff(edges)

    def at(self, moment: float) -> float:
        """The value at a moment."""
        return next(piece.at(moment) for piece in reversed(self._pieces) if piece.start <= moment)

    def steps(self, until: float) -> list[tuple[float, float]]:
        """When it came to which level, up to a moment; for lines that only know levels."""
        begun = [piece for piece in self._pieces if -math.inf < piece.start <= until]
        return [(piece.start, float(piece.samples[0])) for piece in begun]

    def forget(self, moment: float) -> None:
        """Drop what ended before `moment`."""
        self._pieces = [piece for piece in self._pieces if piece.stop > moment]

    def _cut(self, moment: float) -> None:
        self._pieces = [piece for piece in self._pieces if piece.start < moment]
        self.last.stop = min(self.last.stop, moment)


class Varying(Protocol):
    """A voltage that changes by itself."""

    def at(self, moment: float) -> float:
        """The voltage at a moment [s]."""
        ...


@dataclass(frozen=True, slots=True)
class Ramp:
    """A source on its way: from `low` at `start` [s] to `high`, `slew` [V/s]."""

    start: float = 0.0
    low: float = 0.0
    high: float = 0.0
    slew: float = math.inf

    def at(self, moment: float) -> float:
        """The voltage at a moment."""
        way, gone = self.high - self.low, self.slew * max(moment - self.start, 0.0)
        return self.high if math.isinf(self.slew) or gone >= abs(way) else self.low + math.copysign(gone, way)


@dataclass(frozen=True, slots=True)
class Signal:
    """A voltage known at `times` (m,) [s], straight between them and level outside."""

    times: Array
    volts: Array

    def at(self, moments: Array) -> Array:
        """The voltage at other times."""
        return np.interp(moments, self.times, self.volts)

    def crossing(self, level: float, rising: bool, after: float) -> float | None:  # noqa: FBT001
        """When it first crosses a level after a moment; None if it does not."""
        begin = max(int(np.searchsorted(self.times, after, side="right")) - 1, 0)
        times, volts = self.times[begin:], (self.volts[begin:] - level) * (1 if rising else -1)
        for index in np.flatnonzero((volts[:-1] < 0) & (volts[1:] >= 0)):
            low, high = volts[index], volts[index + 1]
            moment = float(times[index] + (times[index + 1] - times[index]) * low / (low - high))
            if moment >= after:
                return moment
        return None
