"""All errors of a rig at once, by least squares from a handful of shots.

Minimises  sum ((shown - predicted(x)) / sigma)^2 + sum ((x - start) / spread)^2  by Gauss-Newton with damping.  The
first samples come first: over a long pass a spring that is a few per cent off slips whole periods, and a fit that
begins there goes astray.  So windows of growing length, each started from the last.  The covariance is that of the
linearised problem, widened where the residual is larger than the noise, which then is what the model lacks.

Source: output-error identification, Ljung, System Identification (1999), chapter 7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.path_model import BenchModel, Record
from calibration.unknowns import Unknown
from labrhel.arrays import Array

_WINDOWS = (0.06, 0.12, 0.25, 0.5, 1.0)  # of the pass
_ROUNDS = 8  # in each window
_SHIFT = 1e-4  # of the spread, for slopes
_DONE = 1e-3  # of a standard error


@dataclass(frozen=True, slots=True)
class Identified:
    """The unknowns with their covariance; `misfit`: rms of residual over noise, 1 where the model tells all.

    `residual`: by record (channels, steps), in units of the noise.
    """

    unknowns: tuple[Unknown, ...]
    values: Array
    covariance: Array
    misfit: float
    residual: tuple[Array, ...]

    @property
    def errors(self) -> Array:
        """Standard errors."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def by_name(self) -> dict[str, float]:
        """Values by name."""
        return {item.name: float(value) for item, value in zip(self.unknowns, self.values, strict=True)}


def identify(
    bench: BenchModel,
    records: Sequence[Record],
    channels: Sequence[str],
    noise: Mapping[str, float],
    unknowns: Sequence[Unknown],
    watch: Callable[[float], None] = lambda share: None,
) -> Identified:
    """Fit `unknowns` to the records of `channels` with that rms `noise`; `watch` hears the share that is done."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # a motion that diverges costs infinitely much
        return _identify(bench, records, channels, noise, unknowns, watch)


def _identify(
    bench: BenchModel,
    records: Sequence[Record],
    channels: Sequence[str],
    noise: Mapping[str, float],
    unknowns: Sequence[Unknown],
    watch: Callable[[float], None],
) -> Identified:
    names = [item.name for item in unknowns]
    start = np.array([item.start for item in unknowns])
    spread = np.array([item.spread for item in unknowns])
    sigma = np.array([noise[channel] for channel in channels])[:, None]

    def residual(x: Array, record: Record, steps: int) -> Array:
        values = dict(zip(names, x, strict=True))
        forward, echo = bench.shows(record, values, channels, steps)
        samples = -(-steps // record.every)
        shown = np.stack([record.shown[channel][:samples] for channel in channels])
        parts = [((shown - forward[:, :: record.every]) / sigma)[:, record.skip :]]
        if echo is not None and record.echo is not None:
            read = np.stack([record.echo[channel][:steps] for channel in channels])
            parts.append(((read - echo) / sigma)[:, record.skip :])
        return np.concatenate(parts, axis=1)

    def cost(x: Array, steps: int, used: Sequence[Record]) -> float:
        total = float(np.sum(((x - start) / spread) ** 2))
        for record in used:
            total += float(np.sum(residual(x, record, steps) ** 2))
        return total if np.isfinite(total) else np.inf

    x, covariance = start.copy(), np.diag(spread**2)
    for stage, share in enumerate(_WINDOWS):
        # A flip comes at the end of the pass: only the last window sees it.
        used = [record for record in records if not record.flipped or share == _WINDOWS[-1]]
        steps = max(12, int(share * max(map(_kicks, used))))
        damping, now, step = 1e-3, cost(x, steps, used), np.zeros_like(x)
        for turn in range(_ROUNDS):
            normal, right = np.diag(1 / spread**2), (x - start) / spread**2
            for record in used:
                here = residual(x, record, steps).ravel()
                slopes = np.empty((len(x), len(here)))
                for index in range(len(x)):
                    shifted = x.copy()
                    shifted[index] += _SHIFT * spread[index]
                    slopes[index] = (residual(shifted, record, steps).ravel() - here) / (_SHIFT * spread[index])
                normal, right = normal + slopes @ slopes.T, right + slopes @ here
            if not (np.isfinite(normal).all() and np.isfinite(right).all()):
                break  # a step away the model diverges: go no further in this window
            covariance = np.linalg.inv(normal)
            error = np.sqrt(np.diag(covariance))
            moved = False
            while damping < 1e6:
                step = -np.linalg.solve(normal + damping * np.diag(np.diag(normal)), right)
                then = cost(x + step, steps, used)
                if then <= now:
                    x, now, moved = x + step, then, True
                    damping = max(damping / 10, 1e-9)
                    break
                damping *= 10
            watch((stage + (turn + 1) / _ROUNDS) / len(_WINDOWS))
            if not moved or np.max(np.abs(step) / error) < _DONE:
                break
    longest = max(map(_kicks, records))
    left = tuple(residual(x, record, longest) for record in records)
    misfit = float(np.sqrt(np.mean([np.mean(item**2) for item in left])))
    return Identified(tuple(unknowns), x, covariance * max(1.0, misfit) ** 2, misfit, left)


def _kicks(record: Record) -> int:
    return max(1 + (len(wave) - 1) * record.every for wave in record.shown.values())
