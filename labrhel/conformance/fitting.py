"""Scale and delay of a trace against what is expected, with standard errors: y(t) = a s(t - tau).

Least squares of y on (s, -ds/dt) gives (a, a tau).  With only the time of the pulse in the window, when inertia alone
decides how far an oscillator has come, a wrong spring or friction hardly enters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array

Pair = tuple[Array, Array, float]
"""What was read (samples,), what is expected, and the standard deviation of a sample."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Scale [1] and delay [samples], each with its standard error from the declared noise."""

    scale: float
    scale_error: float
    delay: float
    delay_error: float


def fit(pairs: Iterable[Pair]) -> Fit | None:
    """One scale and delay for all pairs, each weighted alike; None if nothing is expected to move."""
    rows, values, sigmas = [], [], []
    for found, expected, sigma in pairs:
        rows.append(np.stack([expected, -np.gradient(expected)], axis=1))
        values.append(found)
        sigmas.append(np.full(len(found), sigma))
    if not rows or not any(np.abs(row[:, 0]).max() > 0 for row in rows):
        return None
    design, y = np.concatenate(rows), np.concatenate(values)
    inverse = np.linalg.pinv(design)
    scale, shifted = inverse @ y
    errors = np.sqrt(inverse**2 @ np.concatenate(sigmas) ** 2)
    size = max(abs(scale), 1e-12)
    return Fit(float(scale), float(errors[0]), float(shifted / size * np.sign(scale)), float(errors[1] / size))
