"""How strongly to nudge, by what came back: noise, bias and what converters made of the nudge are measured.

What a pair of echoes misses of the forward path, over its response to the nudge, is its *doubt* d = miss/r.  It costs
no shot, and bounds what may be wrong: noise that nobody declared is in it, the even part of an anharmonic answer (whose
odd part is the bias, of the order of d^2), and rounding that the rig amplifies.  Where there is no doubt nothing more
is fired.  Else a second pair, nudged a little differently so that no two roundings are the same, tells the spread;
where that is not small, nudges of other strengths are fired, each twice and once at its double, and

    error(x eps)^2 = (bias x^2)^2 + (noise/x)^2,             least at x = (noise^2/(2 bias^2))^(1/6),

noise from the spread of equal pairs and from the distortion of the achieved nudge, bias from what the double changes.

Source: the usual balance of truncation and noise of a difference quotient; tested in this project (docs/rules.md).
"""

from __future__ import annotations

import typing
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array
from labrhel.shots.operations import Protocol

UNDOUBTED = 0.01
"""Doubt up to which a rig without declared noise is believed without another shot."""

GOOD, POOR, USELESS = 0.01, 0.05, 0.05
"""Relative errors of a gradient: not worth another shot, worth a warning, and refused."""

MOST_PAIRS = 24
"""Sets of echoes at the same nudge that are averaged at most, where single ones are too noisy."""

FIRST_RESPONSE, STRONGEST_RESPONSE, WEAKEST_RESPONSE = 0.03, 0.3, 1e-5
"""Response ratio that a noisy rig is nudged to at first, and those between which it is searched."""

_OTHER = 1.1  # factor between nudges that count as equal: enough for every rounding to come out differently
_ROUNDS = 4  # of three sets of echoes each
_NEAR = 1.7  # factor of eps within which the error is nearly the least
_WIDEST = 10.0  # factor of eps from round to round
_APART = 3.0  # down from a nudge whose bias is beyond its law
_LAWFUL = 0.1  # relative bias up to which it is believed to grow with the square of the nudge
_BELIEVED = 3  # samples from which a spread is believed
_AIMED_NOISE = 0.003


@dataclass(frozen=True, slots=True)
class Sample:
    """The echoes of a batch nudged by `asked`, of which `eps` was achieved.

    `response` ratio and `miss`, relative to the forward pass; `slope`: the gradient of the rig's parameters as a
    vector; `distortion`: what the converters added to the nudge does to it, relative to its size.
    """

    asked: float
    eps: float
    response: float
    miss: float
    slope: Array
    distortion: float = 0.0

    @property
    def doubt(self) -> float:
        """Miss over response; infinite where nothing answered."""
        return self.miss / self.response if self.response > 0 else float("inf")


@dataclass(frozen=True, slots=True)
class Aim:
    """Where a search ended: the nudge `asked`, its `response` ratio, and how far one gradient is off there, relatively.

    `noise`: spread of single gradients; `bias`: by the nudge; `distortion`: of the nudge; `doubt`: what is usual on
    this rig; `samples` were fired at this nudge.  `pairs`: how many sets of echoes a gradient here is the mean of.
    """

    asked: float
    response: float
    noise: float
    bias: float
    distortion: float
    doubt: float
    samples: tuple[Sample, ...]

    @property
    def pairs(self) -> int:
        """As many as bring the noise below three tenths of what is warned of, within reason."""
        wanted = min(self.noise / (0.3 * POOR), MOST_PAIRS)
        return min(MOST_PAIRS, max(1, int(np.ceil(wanted**2))))

    @property
    def error(self) -> float:
        """All three together, of a gradient."""
        return float(np.sqrt(self.noise**2 / self.pairs + self.bias**2 + self.distortion**2))

    @property
    def worst(self) -> str:
        """The largest of the three, in words."""
        parts = {
            "noise from echo to echo": self.noise / np.sqrt(self.pairs),
            "the strength of the nudge": self.bias,
            "the converters of the drive ports": self.distortion,
        }
        return max(parts, key=lambda name: parts[name])


class Fire(typing.Protocol):
    """Fires a set of echoes at a nudge, whatever a rule makes of that; `anew` with a forward pass of its own."""

    def __call__(self, asked: float, *, anew: bool) -> Protocol[Sample]: ...


def searched(fire: Fire, first: Sample, start: float) -> Protocol[Aim]:
    """The best nudge, from a `first` sample that is in doubt; `start`: what the model says gives FIRST_RESPONSE.

    One more set of echoes where nearly equal ones agree, at most twelve on top where they do not.
    """
    again = yield from fire(_OTHER * first.asked, anew=True)
    point = Point.of([first, again])
    # Of a bias b a nudge of 1.1 shows 0.21 b, and a doubt d stands for a bias of d^2: one of the two must exclude it.
    hidden = min(point.noise / (_OTHER**2 - 1) * np.sqrt(2), point.doubt**2)
    if point.error <= GOOD and hidden <= GOOD:
        return point.aim(0.0)
    x = point.error / _AIMED_NOISE if point.error < USELESS and first.response > 0 else np.inf
    asked = min(start, x * first.asked)
    found: list[tuple[float, Aim]] = []
    for _ in range(_ROUNDS):
        one = yield from fire(asked, anew=False)
        high = yield from fire(2 * asked, anew=False)
        other = yield from fire(_OTHER * asked, anew=True)
        point = Point.of([one, other])
        bias, is_lawful = point.bias(high)
        found.append((point.aim(bias).error, point.aim(bias)))
        x = point.best(bias) if is_lawful else 1 / _APART
        x = float(np.clip(x, WEAKEST_RESPONSE / point.response, STRONGEST_RESPONSE / point.response))
        x = float(np.clip(x, 1 / _WIDEST, _WIDEST))
        if (is_lawful and 1 / _NEAR <= x <= _NEAR) or point.aim(bias).error <= GOOD:
            break
        asked *= x
    aim = min(found, key=lambda item: item[0])[1]
    samples = list(aim.samples)
    # Two samples say little of a spread, so it is asked again with each that is added.
    while len(samples) < aim.pairs or (len(samples) < _BELIEVED and aim.noise > GOOD):
        samples.append((yield from fire(aim.asked, anew=True)))
        aim = Point.of(samples).aim(aim.bias)
    return aim


@dataclass(frozen=True, slots=True)
class Point:
    """Two samples at nearly the same nudge: their mean gradient, its size, and the spread of one, relative to it."""

    samples: tuple[Sample, ...]
    slope: Array
    size: float
    noise: float

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Point:
        """Of two samples or more; noise is infinite where it hides the gradient."""
        slopes = np.stack([item.slope for item in samples])
        mean, count = slopes.mean(axis=0), len(samples)
        variance = float(np.sum(slopes.var(axis=0, ddof=1)))
        seen = float(np.sum(mean**2)) - variance / count
        size = float(np.sqrt(max(seen, 0.0)))
        return cls(tuple(samples), mean, size, float(np.sqrt(variance)) / size if size > 0 else float("inf"))

    @property
    def response(self) -> float:
        """Response ratio, in the mean of the samples."""
        return float(np.mean([item.response for item in self.samples])) or 1e-300

    @property
    def doubt(self) -> float:
        """The largest of the samples."""
        return max(item.doubt for item in self.samples)

    @property
    def distortion(self) -> float:
        """Of the nudge, in the mean of the samples."""
        return float(np.mean([item.distortion for item in self.samples]))

    @property
    def error(self) -> float:
        """Noise and distortion together."""
        return float(np.hypot(self.noise, self.distortion))

    def bias(self, high: Sample) -> tuple[float, bool]:
        """Relative bias of this nudge, by what a nudge `high` changes, and whether that is small enough for its law."""
        mine = float(np.mean([item.asked for item in self.samples]))
        ratio = high.asked / mine
        if not np.isfinite(self.noise):
            return 0.0, True  # noise that hides the gradient hides its bias, too
        variance = (self.noise * self.size) ** 2
        spread = variance * (1 / len(self.samples) + 1 / ratio**2)
        seen = float(np.sum((high.slope - self.slope) ** 2))
        bias = float(np.sqrt(max(seen - spread, 0.0))) / (ratio**2 - 1) / self.size
        return bias, not (seen > 4 * spread and bias > _LAWFUL)

    def best(self, bias: float) -> float:
        """Factor to the nudge at which the error is least."""
        if not np.isfinite(self.error):
            return float("inf")
        # Where the bias is below the noise, what the noise leaves room for is taken for it.
        bias = max(bias, 0.05 * self.error, 1e-12)
        return float((self.error**2 / (2 * bias**2)) ** (1 / 6))

    def aim(self, bias: float) -> Aim:
        """Where a search ends that ends at this nudge."""
        return Aim(self.samples[0].asked, self.response, self.noise, bias, self.distortion, self.doubt, self.samples)
