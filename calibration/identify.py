"""All errors of a rig at once, by least squares from a handful of shots.

Minimises  sum ((shown - predicted(x)) / sigma)^2 + sum ((x - start) / spread)^2  by SciPy's trust region.  The first
samples come first: over a long pass a spring that is a few per cent off slips whole periods, and a fit that
begins there ends in the wrong minimum.  So windows of growing length, each started from the last.  The covariance is
that of the linearised problem, widened where the residual is larger than the noise, which then is what the model lacks.

Source: output-error identification, Ljung, System Identification (1999), chapter 7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from calibration.path_model import BenchModel, Record
from calibration.unknowns import Unknown
from labrhel.arrays import Array

_WINDOWS = (0.06, 0.12, 0.25, 0.5, 1.0)  # of the pass
_ROUNDS = 25  # predictions of all shots in each window, those for slopes apart
_NEAR, _DONE = 1e-3, 1e-8  # of the cost, by which a round lowers it: the next window goes on, or the fit is done
FITS = 1.2
"""Residual over noise up to which what is left counts as noise; beyond it neighbours are alike, and count as fewer."""

_NEVER = 1e-15  # steps and slopes end nothing


@dataclass(frozen=True, slots=True)
class Identified:
    """The unknowns with their covariance; `misfit`: rms of residual over noise, 1 where the model tells all, infinite
    where the fitted model has no motion over the whole pass.

    `residual`: by record (channels, steps), in units of the noise; `slopes` (residuals, unknowns) of them by the
    unknowns, in standard deviations of what was plausible, None where the last fit did not see all records.
    """

    unknowns: tuple[Unknown, ...]
    values: Array
    covariance: Array
    misfit: float
    residual: tuple[Array, ...]
    slopes: Array | None = None

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
) -> Identified:
    """Fit `unknowns` to the records of `channels` with that rms `noise`."""
    names = [item.name for item in unknowns]
    start, spread = (np.array([getattr(item, name) for item in unknowns]) for name in ("start", "spread"))
    sigma = np.array([noise[channel] for channel in channels])[:, None]

    def residual(z: Array, record: Record, steps: int) -> Array:
        """In units of the noise (channels, samples), at `z` standard deviations of what was thought before."""
        values = dict(zip(names, (start + spread * z).tolist(), strict=True))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # of a motion that diverges
            forward, echo = bench.shows(record, values, channels, steps)
        shown, read = rows(record, steps)
        parts = [((shown - forward[:, :: record.every]) / sigma)[:, record.skip :]]
        if echo is not None and read is not None:
            parts.append(((read - echo) / sigma)[:, record.skip :])
        return np.sqrt(record.repeats) * np.concatenate(parts, axis=1)

    known: dict[tuple[int, int], tuple[Array, Array | None]] = {}

    def rows(record: Record, steps: int) -> tuple[Array, Array | None]:
        """What the channels showed in these steps of a shot, and of its echo; put together once."""
        if (asked := (id(record), steps)) not in known:
            samples = -(-steps // record.every)
            shown = np.stack([record.shown[channel][:samples] for channel in channels])
            echo = None if record.echo is None else np.stack([record.echo[name][:steps] for name in channels])
            known[asked] = shown, echo
        return known[asked]

    z, covariance, slopes = np.zeros(len(names)), np.eye(len(names)), None
    for share in _WINDOWS:
        # A flip comes at the end of the pass: only the last window sees it.
        used = [record for record in records if not record.flipped or share == _WINDOWS[-1]]
        enough = _DONE if share == _WINDOWS[-1] else _NEAR
        steps = max(12, int(share * max(map(_kicks, used))))

        def left(z: Array, used: Sequence[Record] = used, steps: int = steps) -> Array:
            return np.concatenate([*(residual(z, record, steps).ravel() for record in used), z])

        with np.errstate(over="ignore", invalid="ignore"):
            if not np.isfinite(np.sum(left(z) ** 2)):
                continue  # over so long a window the model diverges; the shorter ones have told what they can
            found = least_squares(left, z, x_scale="jac", ftol=enough, xtol=_NEVER, gtol=_NEVER, max_nfev=_ROUNDS)
        z, covariance = found.x, np.linalg.inv(found.jac.T @ found.jac)
        slopes = found.jac[: -len(names)] if share == _WINDOWS[-1] else None
    longest = max(map(_kicks, records))
    unexplained = tuple(residual(z, record, longest) for record in records)
    with np.errstate(over="ignore", invalid="ignore"):
        misfit = float(np.sqrt(np.mean([np.mean(item**2) for item in unexplained])))
    misfit = misfit if np.isfinite(misfit) else np.inf
    covariance = np.outer(spread, spread) * covariance * max(1.0, misfit) ** 2
    if FITS < misfit < np.inf:
        covariance = covariance * samples_alike(unexplained)
    return Identified(tuple(unknowns), start + spread * z, covariance, misfit, unexplained, slopes)


def samples_alike(residual: Sequence[Array]) -> float:
    """Neighbouring residuals that say the same, 1 of white ones: 1 + 2 sum of the autocorrelation, to where it ends.

    Source: Geyer, Stat. Sci. 7, 473 (1992), the initial positive sequence.
    """
    power = sum(np.mean(np.abs(np.fft.rfft(rows, 2 * rows.shape[1])) ** 2, axis=0) for rows in _of_one_length(residual))
    together = np.fft.irfft(power)
    together = together[: len(together) // 2] / together[0]
    ends = np.flatnonzero(together <= 0.05)
    return float(max(1.0, 1 + 2 * np.sum(together[1 : ends[0] if len(ends) else len(together)])))


def _of_one_length(residual: Sequence[Array]) -> list[Array]:
    shortest = min(rows.shape[1] for rows in residual)
    return [rows[:, :shortest] for rows in residual]


def _kicks(record: Record) -> int:
    return max(1 + (len(wave) - 1) * record.every for wave in record.shown.values())
