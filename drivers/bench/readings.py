"""From a digitizer's samples, which know nothing of kicks, to readings at the kicks.

Each kick is read from the samples within one step of it by a quadratic fit (local regression; Savitzky & Golay 1964 on
an even grid): unbiased to third order in the step, and with the noise of a single reading divided by the root of the
samples per step, times `FIT_NOISE`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array

from drivers.roles import Record
from labrhel.arrays import Array
from labrhel.errors import InstrumentError

FIT_NOISE = 1.061
"""Noise of the centre of a quadratic fit over two steps, in those of the mean over one: sqrt(9/4/2)."""
_HALF_WIDTH = 1.0  # steps
_FEWEST = 5  # samples in a fit
_REMEMBERED = 32  # grids; those of a gradient's passes on a few digitizers


def at_kicks(record: Record, times: Array, step: float) -> Array:
    """Volts at `times` [s after the trigger], evenly apart, for kicks every `step` [s].

    Raises InstrumentError if the record does not reach from the first to the last, or has fewer than five samples in
    two steps.
    """
    volts = record.volts
    return _fits(record.t0, record.dt, len(volts), float(times[0]), float(times[-1]), len(times), step) @ volts


@lru_cache(maxsize=_REMEMBERED)
def _fits(t0: float, dt: float, samples: int, begin: float, end: float, kicks: int, step: float) -> csr_array:
    """Weights (kicks, samples) of all samples in each fit; most are none.

    Kept, since the channels of a digitizer, and the shots of a gradient, are read on the same grid.
    """
    times = np.linspace(begin, end, kicks)
    count = int(2 * _HALF_WIDTH * step / dt)
    if count < _FEWEST:
        raise InstrumentError(f"the record has {count} samples in two steps; it takes {_FEWEST}: sample faster")
    first = np.ceil((times - _HALF_WIDTH * step - t0) / dt - 1e-9).astype(np.intp)
    # At its ends a record may lack half a window; a fit to one side is noisier, not wrong.
    first = np.clip(first, 0, samples - count)
    x = (t0 + dt * (first[:, None] + np.arange(count)) - times[:, None]) / step
    if first[0] < 0 or np.abs(x).min(axis=1).max() > _HALF_WIDTH:
        raise InstrumentError(
            f"the record reaches from {t0:g} s to {t0 + dt * (samples - 1):g} s after the trigger, the kicks from "
            f"{begin:g} s to {end:g} s: is the digitizer triggered by this shot?"
        )
    # Value at x = 0 of a + b x + c x^2: the normal equations in sums of powers, by the cofactors of their first row.
    square = x * x
    s1, s2, s3, s4 = x.sum(1), square.sum(1), (square * x).sum(1), (square * square).sum(1)
    a, b, c = s2 * s4 - s3**2, s2 * s3 - s1 * s4, s1 * s3 - s2**2
    weights = a[:, None] + b[:, None] * x + c[:, None] * square
    weights /= (count * a + s1 * b + s2 * c)[:, None]
    columns = first[:, None] + np.arange(count)
    return csr_array((weights.ravel(), columns.ravel(), np.arange(0, columns.size + 1, count)), (kicks, samples))
