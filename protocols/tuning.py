"""How strongly to nudge: the eps at which bias and noise of a gradient balance, from a dozen shots.

The symmetric estimator is off by a bias that grows with the nudge, and by noise that shrinks with it,

    error(eps)^2 = (a eps^2)^2 + (b/eps)^2/N,             least at eps = (b^2/(2 N a^2))^(1/6),

N being how often the gradient is going to be repeated.  Nudges some times apart, of two repeats each, tell both: b from
the spread of the repeats, a from the difference of the means of the two weakest, less what the noise makes of it.
Where the bias is below the noise, what the noise leaves room for is taken for it.  A nudge whose bias is a good part of
the gradient is beyond the law, so the next one is weaker.

Source: the usual balance of truncation and noise of a difference quotient; tested in this project (docs/rules.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import ConfigurationError
from labrhel.learning.estimator import Estimator
from labrhel.learning.gradient import Gradient
from labrhel.learning.readout import READOUT
from labrhel.learning.rules import GradientRequest
from labrhel.shots.operations import Protocol
from protocols.rhel import RHEL

FIRST_RESPONSE = 0.1
"""Response ratio of the weaker nudge."""

MOST_SHOTS = 20
"""Of one sequence; no further nudge is tried that would take more."""

_APART = 3.0
_LAWFUL = 0.1  # relative bias up to which it is believed to grow with the square of the nudge
_WIDEST = 10.0  # beyond the nudges that were tried: farther is guessing


@dataclass(frozen=True, slots=True)
class Tuned:
    """The best `eps`, the relative error expected there (bias and noise), the shots it took to find, and the response.

    `response`: the response ratio at that eps.
    """

    eps: float
    error: float
    shots: int
    response: float


def tuned(rule: RHEL, asked: GradientRequest, repeats: int = 1) -> Protocol[Tuned]:
    """The eps for gradients of `repeats` by this rule; ConfigurationError for another estimator than symmetric."""
    if rule.estimator is not Estimator.SYMMETRIC:
        raise ConfigurationError("eps is tuned for the symmetric estimator; the others balance otherwise")
    base = replace(rule, eps=None, response=FIRST_RESPONSE, repeats=2, precision=None, bound=False)
    weak = yield from base.gradient(asked)
    shots, points = weak.shots, [_Point.of(weak)]
    assert weak.eps is not None and weak.response_ratio is not None
    aim = _APART * weak.eps
    asked = replace(asked, previous=weak.nudge)
    while True:
        found = yield from replace(base, eps=aim, response=None).gradient(asked)
        shots += found.shots
        points.append(_Point.of(found))
        best = _balance(points, repeats)
        tried = [point.eps for point in points]
        is_near = min(tried) / _APART <= best.eps <= max(tried) * _APART
        if (is_near and best.is_lawful) or shots + found.shots > MOST_SHOTS * len(asked.sequences):
            # Beyond its law the bias says nothing of where it ends, only that it is farther down.
            eps = best.eps if best.is_lawful else min(tried) / _APART
            return Tuned(eps, best.error, shots, weak.response_ratio * eps / weak.eps)
        aim = best.eps if best.is_lawful else min(tried) / _APART
        aim = float(np.clip(aim, min(tried) / _WIDEST, max(tried) * _WIDEST))


@dataclass(frozen=True, slots=True)
class _Point:
    """One nudge: the gradient as a vector, and the sum of squares of its standard errors."""

    eps: float
    slope: Array
    variance: float

    @classmethod
    def of(cls, gradient: Gradient) -> _Point:
        assert gradient.eps is not None and gradient.standard_error is not None
        errors = gradient.standard_error
        names = [name for name in gradient.values if name not in READOUT]
        slope = np.concatenate([np.ravel(gradient.values[name]) for name in names])
        return cls(gradient.eps, slope, float(sum(np.sum(np.square(errors[name])) for name in names)))


@dataclass(frozen=True, slots=True)
class _Balance:
    eps: float
    error: float
    is_lawful: bool  # the bias of the weakest nudge is small enough for its law


def _balance(points: Sequence[_Point], repeats: int) -> _Balance:
    # Each mean is of two repeats: the variance of one is twice as large, and b^2 = eps^2 times that.
    b2 = float(np.median([2 * point.variance * point.eps**2 for point in points]))
    low, high = sorted(points, key=lambda point: point.eps)[:2]
    lever = (high.eps**2 - low.eps**2) ** 2
    noise = low.variance + high.variance
    seen = float(np.sum((high.slope - low.slope) ** 2))
    a2 = max(seen - noise, 0.1 * noise) / lever
    size = float(np.linalg.norm(low.slope)) or 1.0
    if not (a2 > 0 and b2 > 0):  # nothing changes with eps, or nothing is noisy
        return _Balance(low.eps if a2 > 0 else high.eps, 0.0, is_lawful=True)
    eps = float((b2 / (2 * repeats * a2)) ** (1 / 6))
    error = float(np.sqrt(a2 * eps**4 + b2 / repeats / eps**2)) / size
    biased = seen > 4 * noise and float(np.sqrt(a2)) * high.eps**2 > _LAWFUL * size
    return _Balance(eps, error, is_lawful=not biased)
