"""A first guess of the resonator behind a recording, for a model to begin with: no more than that.

One oscillator q'' + c q' + k q = b u, seen as y = q, has at every frequency of the record

    (-w^2 + i w c + k) Y - b U = t0 + i w t1,

where t0 and t1 are what begins and ends in the middle of a motion.  Linear in k, c, b, t0 and t1, it is solved by least
squares, again and again with the rows over the last |-w^2 + i w c + k|, so that noise at high frequencies, which w^2
blows up, does not count for more than it is.

Source: C. K. Sanathanan, J. Koerner, IEEE Trans. Autom. Control 8, 56 (1963); the terms of the ends: R. Pintelon,
J. Schoukens, System Identification (2012), chapter 6.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from labrhel.arrays import Array

_ROUNDS = 20
_HIGHEST = 6.0  # of the frequency of the peak: above it is little of a resonator, and much of other things
_NYQUIST = 0.8  # of the samples
_LEAST_LOSS = 1e-3  # of the resonance


class Resonator(NamedTuple):
    """`stiffness` over mass [1/time^2], `friction` over mass [1/time], `gain` [1/time^2, output per input]."""

    stiffness: float
    friction: float
    gain: float

    @property
    def frequency(self) -> float:
        """Of the resonance [rad/time]."""
        return float(np.sqrt(self.stiffness))


def resonator(output: Array, interval: float, drive: Array | None = None) -> Resonator:
    """That of `output` (samples,) every `interval`, driven by `drive` (samples,), or ringing down without one."""
    y = np.fft.rfft(output - output.mean())[1:]
    u = np.zeros_like(y) if drive is None else np.fft.rfft(drive - drive.mean())[1:]
    w = 2 * np.pi * np.fft.rfftfreq(len(output), interval)[1:]
    peak = float(w[np.argmax(np.abs(y))])
    seen = (w <= _HIGHEST * peak) & (w <= _NYQUIST * np.pi / interval)
    if seen.sum() < 4 or not np.abs(y).max():
        return Resonator(peak**2, 0.1 * peak, peak**2)
    s, y, u = 1j * w[seen] / peak, y[seen] / np.abs(y).max(), u[seen] / (np.abs(u).max() or 1.0)
    columns = [y, s * y, -np.ones_like(y), -s] + ([-u] if u.any() else [])
    k, c, b = 1.0, 0.3, 1.0
    for _ in range(_ROUNDS):
        weight = 1 / np.abs(s**2 + c * s + k)
        rows = weight[:, None] * np.stack(columns, axis=1)
        right = -weight * s**2 * y
        found = np.linalg.lstsq(np.vstack([rows.real, rows.imag]), np.concatenate([right.real, right.imag]))[0]
        k, c = (float(found[0]) if found[0] > 0 else 1.0), max(float(found[1]), _LEAST_LOSS)
        b = float(found[4]) if u.any() else 0.0
    size = 1.0 if drive is None else _largest(output) / (_largest(drive) or 1.0)
    return Resonator(k * peak**2, c * peak, b * peak**2 * size)


def _largest(values: Array) -> float:
    return float(np.abs(np.fft.rfft(values - values.mean())[1:]).max())
