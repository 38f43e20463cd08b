"""What differs between equal shots: whether noise explains it, how large it is, and what it does to fitted values.

With d the deviation of one shot from the mean of its R equals, in units of the noise, s what is shown and s' its slope,

    d = g s - tau s' + noise              g: a gain that is another one in each shot, tau: a trigger

is fitted shot by shot; a sum of squares beyond that of noise is jitter.  What any such difference does to the values z
of a least-squares fit (slopes J, H = J^T J + 1) is seen without a name for it, in whole shots:

    v = H^-1 J^T d / sqrt(R),        covariance(z) = sum over shots of v v^T R / (R - 1)

widened by Student's t, since R is small.

Source: the sandwich covariance of clustered data, Liang & Zeger, Biometrika 73, 13 (1986); degrees of freedom after
Satterthwaite, Biometrics Bulletin 2, 110 (1946).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import gammaincinv, ndtri, stdtrit

from calibration.identify import FITS, Identified
from calibration.path_model import Record
from calibration.unknowns import Unknown
from labrhel.arrays import Array

ENOUGH, MOST = 2, 6
"""Shots of each kind where noise explains what differs, and where it does not."""

_CORNERS = 1 / np.sqrt(4 * np.pi)  # of the rms of two triggers' sum: half of the mean size of one, which is how much
_BLURS = np.sqrt(
    0.25 - 0.5 / np.pi
)  # ... it blurs motions with corners; and how much both do more or less in each shot
_CHANCE = 0.999  # of noise to differ by less
_LEVEL = 0.95  # of the interval that the widened error is right for


def averaged(equal: Sequence[Record], number: int = 0, late: float = 0.0) -> Record:
    """The mean of equal shots: the `number`-th of a fit, whose triggers together change by `late` (rms) [kicks]."""
    first = equal[0]
    shown = {name: np.mean([item.shown[name] for item in equal], axis=0) for name in first.shown}
    echoes = [item.echo for item in equal if item.echo is not None]
    echo = {name: np.mean([item[name] for item in echoes], axis=0) for name in first.echo} if first.echo else None
    over = {name: sum(item.over_range[name] for item in equal) for name in first.over_range}
    each = late / np.sqrt(2)  # outputs and readings have one each
    return replace(first, shown=shown, echo=echo, over_range=over, repeats=len(equal), number=number, jitter=each)


@dataclass(frozen=True, slots=True)
class Spread:
    """What differs between equal shots.

    `excess`: mean square of it over that of noise.  `gain` [1] and `late` [kicks]: rms by which gains and triggers
    change from shot to shot, 0 where noise explains it.  `is_noise`: whether noise explains all of it.  `deviations`:
    by kind of shot (repeats, residuals), in units of the noise.
    """

    excess: float
    gain: float
    late: float
    is_noise: bool
    deviations: tuple[Array, ...]

    def unknowns(self, records: Sequence[Record], step: float) -> list[Unknown]:
        """What was another one in each of the shots that `records` are the means of, and is nobody's gain or delay.

        Shots that contradict each other by more than the noise would bend whatever is weakly told.
        """
        found = []
        for record in records:
            own, share = f"shot[{record.number}]", 1 / np.sqrt(record.repeats)
            if self.gain:
                found += [Unknown(f"{own}.{port}.gain", 1.0, self.gain * share) for port in record.played]
            if self.late:
                for item in ("outputs", "readings", "echo") if record.flipped else ("outputs", "readings"):
                    found.append(Unknown(f"{own}.{item}.delay", 0.0, self.late * step * share, "s"))
                    found.append(Unknown(f"{own}.{item}.blur", 0.0, _CORNERS * self.late))
                # Of one push only the sum of both shows, and of its echo what the flip has made of it.  How blurred
                # each is would tell them apart, in a model that knew every shot's trigger; of a mean it is wrong.
                found.append(Unknown(f"{own}.motion.delay", 0.0, step, "s"))
        return found

    def widened(self, found: Identified) -> Identified:
        """The fit to the means, with errors that are those of whole shots where these are larger."""
        repeats = len(self.deviations[0])
        if self.is_noise or found.slopes is None or repeats < 2:
            return found
        bread = np.linalg.inv(found.slopes.T @ found.slopes + np.eye(found.slopes.shape[1]))
        parts, start = [], 0
        for block in self.deviations:
            slopes = found.slopes[start : start + block.shape[1]]
            start += block.shape[1]
            v = block @ slopes @ bread / np.sqrt(repeats)
            parts.append(v.T @ v * repeats / (repeats - 1))
        meat = np.sum(parts, axis=0)
        own = np.array([np.diag(part) for part in parts])
        freedom = (repeats - 1) * np.diag(meat) ** 2 / np.maximum(np.sum(own**2, axis=0), 1e-300)
        spread = np.array([item.spread for item in found.unknowns])
        wide = spread * _students(freedom)
        # A fit that knows what jitters has it in its own errors; of another cause only whole shots tell.
        tells = bool(self.gain or self.late) or found.misfit > self.fits
        least = np.diag(found.covariance) if tells else np.diag(bread) * spread**2
        size = np.maximum(1.0, np.sqrt(least / np.maximum(wide**2 * np.diag(meat), 1e-300)))
        return replace(found, covariance=np.outer(wide * size, wide * size) * meat)

    @property
    def fits(self) -> float:
        """Misfit of a fit to the means up to which it leaves as little of one shot as a fit to one shot may.

        Means have less noise, so that what is left, and is the same in every shot, counts for more; where neither noise
        nor jitter explains what differs, it may be as much as that.
        """
        if self.is_noise or self.gain or self.late:
            return float(np.sqrt(1 + (FITS**2 - 1) * len(self.deviations[0])))
        return FITS * float(np.sqrt(self.excess))

    def words(self, unit: float) -> str:
        """What jitters, and by how much; `unit` [s] is the time between two kicks."""
        named = [f"gains change by {100 * self.gain:.2g} %"] if self.gain else []
        named += [f"triggers by {1e6 * self.late * unit:.2g} us"] if self.late else []
        other = f"by {np.sqrt(self.excess):.2g} times the noise, and no gain or trigger explains it"
        return (
            f"equal shots differ: {' and '.join(named) or other} (rms) from shot to shot; standard errors are those of "
            f"{len(self.deviations[0])} whole shots of each kind"
        )


def spread_of(rounds: Sequence[Sequence[Record]], channels: Sequence[str], noise: Mapping[str, float]) -> Spread:
    """Of rounds of the same shots, read at `channels` with that rms `noise`."""
    sigma = np.array([noise[name] for name in channels])[:, None]
    repeats, kinds = len(rounds), list(zip(*rounds, strict=True))
    blocks, gains, lates, bends, chance = [], [], [], [], 0.0
    freedom = 0
    for equal in kinds:
        passes = [_passes(item, channels, sigma) for item in equal]
        mean = [np.mean(part, axis=0) for part in zip(*passes, strict=True)]
        away = np.array([np.concatenate([a - b for a, b in zip(item, mean, strict=True)], axis=1).ravel()
                         for item in passes])  # fmt: skip
        columns = _columns(mean)
        inverse = np.linalg.pinv(columns.T @ columns)
        fitted = away @ columns @ inverse
        own = np.diag(inverse)
        chance += float(np.sum((away @ columns @ inverse) * (away @ columns)))
        freedom += (repeats - 1) * columns.shape[1]
        if len(equal[0].played) == 1:
            gains.append((np.sum(fitted[:, 0] ** 2) / (repeats - 1), own[0]))
            bends.append(_bends(mean))
        lates += [(np.sum(fitted[:, i] ** 2) / (repeats - 1), own[i]) for i in range(1, columns.shape[1])]
        blocks.append(away)
    count = sum(block.shape[1] for block in blocks)
    excess = max(1.0, float(sum(np.sum(block**2) for block in blocks)) / (count * (repeats - 1)))
    is_noise = chance <= _most(freedom) and excess <= FITS**2
    gain = late = 0.0
    if not is_noise:
        late = _jitter(lates, repeats)
        # Triggers that are late by more or less blur more or less, which is next to a gain.
        blurs = (_BLURS * late * np.array(bends)) ** 2
        gain = _jitter([(seen, noise + blur) for (seen, noise), blur in zip(gains, blurs, strict=True)], repeats)
    return Spread(excess, gain, late, is_noise, tuple(blocks))


def _passes(record: Record, channels: Sequence[str], sigma: Array) -> list[Array]:
    """What a shot shows (channels, samples) of each pass, in units of the noise."""
    parts = [record.shown] + ([] if record.echo is None else [record.echo])
    return [(np.stack([part[name] for name in channels]) / sigma)[:, record.skip :] for part in parts]


def _columns(mean: Sequence[Array]) -> Array:
    """What a gain, and the trigger of each pass, would change (residuals, columns)."""
    whole = np.concatenate(list(mean), axis=1).ravel()
    columns = [whole]
    for number in range(len(mean)):
        slopes = [np.gradient(part, axis=1) if i == number else np.zeros_like(part) for i, part in enumerate(mean)]
        columns.append(-np.concatenate(slopes, axis=1).ravel())
    return np.stack(columns, axis=1)


def _bends(mean: Sequence[Array]) -> float:
    """Second differences of what is shown, over itself."""
    return float(np.sqrt(sum(np.sum(np.diff(part, 2) ** 2) for part in mean) / sum(np.sum(part**2) for part in mean)))


def _jitter(found: Sequence[tuple[float, float]], repeats: int) -> float:
    """Rms of what has these variances, with those by noise; 0 where noise explains them."""
    seen, noise = (np.array(part) for part in zip(*found, strict=True)) if found else (np.zeros(0), np.zeros(0))
    if not np.sum(seen / noise) * (repeats - 1) > _most(len(seen) * (repeats - 1)):
        return 0.0
    return float(np.sqrt(max(float(np.mean(seen - noise)), 0.0)))


def _most(freedom: int) -> float:
    """Sum of squares of noise, that chance seldom exceeds."""
    return 2 * float(gammaincinv(freedom / 2, _CHANCE))  # of chi squared; to import scipy.stats takes half a second


def _students(freedom: Array) -> Array:
    """Of few repeats: by how much wider an interval is than one of a standard error that is known."""
    return stdtrit(np.maximum(freedom, 1.0), (1 + _LEVEL) / 2) / ndtri((1 + _LEVEL) / 2)
