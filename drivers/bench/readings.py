"""From a digitizer's samples, which know nothing of kicks, to readings at the kicks.

Each kick is read from the samples within one step of it by a quadratic fit (local regression; Savitzky & Golay 1964 on
an even grid): unbiased to third order in the step, and with the noise of a single reading divided by the root of the
samples per step, times `FIT_NOISE`.
"""

from __future__ import annotations

import numpy as np

from drivers.roles import Record
from labrhel.arrays import Array
from labrhel.errors import InstrumentError

FIT_NOISE = 1.061
"""Noise of the centre of a quadratic fit over two steps, in those of the mean over one: sqrt(9/4/2)."""
_HALF_WIDTH = 1.0  # steps
_FEWEST = 5  # samples in a fit


def at_kicks(record: Record, times: Array, step: float) -> Array:
    """Volts at `times` [s after the trigger], `step` [s] apart.

    Raises InstrumentError if the record does not reach from the first to the last, or has fewer than five samples in
    two steps.
    """
    volts, dt = record.volts, record.dt
    count = int(2 * _HALF_WIDTH * step / dt)
    if count < _FEWEST:
        raise InstrumentError(f"the record has {count} samples in two steps; it takes {_FEWEST}: sample faster")
    first = np.ceil((times - _HALF_WIDTH * step - record.t0) / dt - 1e-9).astype(int)
    # At its ends a record may lack half a window; a fit to one side is noisier, not wrong.
    first = np.clip(first, 0, len(volts) - count)
    where = first[:, None] + np.arange(count)
    x = (record.t0 + dt * where - times[:, None]) / step
    if first[0] < 0 or np.abs(x).min(axis=1).max() > _HALF_WIDTH:
        raise InstrumentError(
            f"the record reaches from {record.t0:g} s to {record.t0 + dt * (len(volts) - 1):g} s after the trigger, "
            f"the kicks from {times[0]:g} s to {times[-1]:g} s: is the digitizer triggered by this shot?"
        )
    # Value at x = 0 of a + b x + c x^2: the normal equations in sums of powers, by the cofactors of their first row.
    square = x * x
    s1, s2, s3, s4 = x.sum(1), square.sum(1), (square * x).sum(1), (square * square).sum(1)
    a, b, c = s2 * s4 - s3**2, s2 * s3 - s1 * s4, s1 * s3 - s2**2
    weights = a[:, None] + b[:, None] * x + c[:, None] * square
    return np.einsum("kj,kj->k", weights, volts[where]) / (count * a + s1 * b + s2 * c)
