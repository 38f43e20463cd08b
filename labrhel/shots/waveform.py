"""Waveforms: samples, the rate they are given at, and how to read between them.

A waveform is a function of time whose value at time t [model time, 0 at the first kick of the pass] is

    w(t) = sum_j samples[j] * g((s - t0)/dt - j),      s = t, or s = reflect - t for a time-reversed waveform,

with the kernel g of its interpolation.  Reversal keeps the samples: a replayed input shares its array, and so its
digest, with the input that was played.
"""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from labrhel.arrays import Array
from labrhel.errors import NotFiniteError, ProgramError
from labrhel.frozen import Digested, FrozenArray

# Samples each side; with the Kaiser window below the error stays under 2e-4 up to 0.8 Nyquist.
_SINC_HALF_WIDTH = 16
_KAISER_BETA = 8.0


class Interpolation(enum.StrEnum):
    """How a waveform is read between its samples.

    `hold` is what an unfiltered converter does, `linear` and `cubic` (interpolating spline) suit over-sampled
    signals, `band_limited` (Kaiser-windowed sinc) is what a reconstruction filter does.  Outside its samples a
    waveform is zero, except that `hold` keeps the last value for one sample, and `linear` and `cubic` keep the first
    and last for half a sample: a fast converter must find the whole value around a kick at the end of a pass.
    """

    HOLD = "hold"
    LINEAR = "linear"
    CUBIC = "cubic"
    BAND_LIMITED = "band_limited"


@dataclass(frozen=True, slots=True, eq=False)
class Waveform(Digested):
    """Real or complex (I/Q) samples of shape (n,) every `dt` [model time] from `t0`."""

    tag = "Waveform"
    inlined = True

    samples: FrozenArray
    dt: float
    t0: float = 0.0
    interpolation: Interpolation = Interpolation.LINEAR
    reflect: float | None = None

    @classmethod
    def of(
        cls, values: ArrayLike, dt: float, *, t0: float = 0.0, interpolation: Interpolation = Interpolation.LINEAR
    ) -> Waveform:
        """Freeze `values` (n,) into a waveform; refuse empty, multi-dimensional or non-finite samples."""
        samples = FrozenArray(values)
        if samples.values.ndim != 1 or samples.values.size == 0:
            raise ProgramError(f"a waveform needs samples of shape (n,), not {samples.values.shape}")
        if not np.isfinite(samples.values).all():
            first = int(np.flatnonzero(~np.isfinite(samples.values))[0])
            raise NotFiniteError(f"sample {first} of a waveform is not a finite number; clean the data first")
        if not dt > 0:
            raise ProgramError(f"the sample spacing of a waveform must be positive, not {dt}")
        return cls(samples, float(dt), float(t0), interpolation)

    @property
    def is_complex(self) -> bool:
        """True for an I/Q waveform."""
        return self.samples.values.dtype.kind == "c"

    def reversed(self, duration: float) -> Waveform:
        """The waveform seen in the mirror t -> duration - t; reversing twice gives the original back."""
        if self.reflect is None:
            return dataclasses.replace(self, reflect=float(duration))
        if self.reflect != duration:
            raise ProgramError(f"a waveform reversed about {self.reflect} cannot be reversed about {duration} as well")
        return dataclasses.replace(self, reflect=None)

    def on_grid(self, step: float, count: int, start: float = 0.0) -> Array:
        """Values (count,) at start + k*step, k = 0 .. count-1; complex if the samples are."""
        if self.reflect is None:
            return _sample(self, step, count) if start == 0.0 else _evaluate(self, start + step * np.arange(count))
        # The mirror image of a grid is a grid only if the mirror lies on it; then reading backwards is exact.
        if start == 0.0 and self.reflect == (count - 1) * step:
            return _sample(dataclasses.replace(self, reflect=None), step, count)[::-1]
        return _evaluate(self, self.reflect - start - step * np.arange(count))


def _sample(waveform: Waveform, step: float, count: int) -> Array:
    samples = waveform.samples.values
    if waveform.t0 == 0.0 and waveform.dt == step and len(samples) >= count:
        return samples if len(samples) == count else samples[:count]  # on the grid: no arithmetic, no copy
    return _cached_samples(waveform, step, count)


@lru_cache(maxsize=64)
def _cached_samples(waveform: Waveform, step: float, count: int) -> Array:
    # Inputs are replayed in every gradient of a training run; interpolating them once saves a third of its time.
    values = _evaluate(waveform, step * np.arange(count))
    values.flags.writeable = False
    return values


def _evaluate(waveform: Waveform, times: Array) -> Array:
    samples = waveform.samples.values
    position = (times - waveform.t0) / waveform.dt
    # A time that is a sample but for rounding must not fall off the end, or into the previous hold interval.
    nearest = np.rint(position)
    position = np.where(np.abs(position - nearest) < 1e-9 * (1.0 + np.abs(nearest)), nearest, position)
    last = len(samples) - 1
    if waveform.interpolation is Interpolation.HOLD:
        index = np.floor(position).astype(np.int64)
        inside = (index >= 0) & (index <= last)
        return np.where(inside, samples[np.clip(index, 0, last)], 0.0)
    if waveform.interpolation is Interpolation.BAND_LIMITED:
        return _windowed_sinc(samples, position)
    inside = (position >= -0.5) & (position <= last + 0.5)
    if waveform.interpolation is Interpolation.CUBIC and last >= 3:
        from scipy.interpolate import CubicSpline

        between = CubicSpline(np.arange(last + 1), samples)(np.clip(position, 0, last))
    else:
        between = np.interp(np.clip(position, 0, last), np.arange(last + 1), samples)
    return np.where(inside, between, 0.0)


def _windowed_sinc(samples: Array, position: Array) -> Array:
    base = np.floor(position).astype(np.int64)
    total = np.zeros(position.shape, dtype=np.result_type(samples, np.float64))
    for tap in range(-_SINC_HALF_WIDTH + 1, _SINC_HALF_WIDTH + 1):
        index = base + tap
        distance = position - index
        window = np.i0(_KAISER_BETA * np.sqrt(np.clip(1 - (distance / _SINC_HALF_WIDTH) ** 2, 0, 1)))
        inside = (index >= 0) & (index < len(samples))
        value = samples[np.clip(index, 0, len(samples) - 1)]
        total += np.where(inside, value, 0.0) * np.sinc(distance) * window / np.i0(_KAISER_BETA)
    return total
