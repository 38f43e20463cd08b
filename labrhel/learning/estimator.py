"""How echoes nudged at several strengths are combined into a derivative.

one-sided    (X(eps) - X(0)) / eps                                error of order eps; for demonstrations
symmetric    S(eps) = (X(eps) - X(-eps)) / (2 eps)                order eps^2; exact on linear rigs
four-point   (4 S(eps) - S(2 eps)) / 3                            order eps^4, for twice the echoes
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from labrhel.arrays import Array


class Order(enum.StrEnum):
    """In which order the echoes of one gradient are fired; A is all nudges of the estimator, B the same backwards.

    A rig that drifts between + and - adds the drift to the gradient.  AB fires them once.  ABBA cancels a drift that
    is linear in the shots; ABBABAAB (the Thue-Morse order) a quadratic one as well.
    """

    AB = "ab"
    ABBA = "abba"
    ABBABAAB = "abbabaab"

    def of(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        """The levels of all echoes of one sequence."""
        backwards = levels[::-1]
        turns = {
            Order.AB: (levels,),
            Order.ABBA: (levels, backwards),
            Order.ABBABAAB: (levels, backwards, backwards, levels),
        }[self]
        return tuple(level for turn in turns for level in turn)


class Estimator(enum.StrEnum):
    """Which echoes are run, and how they are combined; error in eps of order 1, 2 and 4."""

    ONE_SIDED = "one_sided"
    SYMMETRIC = "symmetric"
    FOUR_POINT = "four_point"

    @property
    def weights(self) -> dict[int, float]:
        """Nudge level (in units of eps) -> weight; the derivative by eps is sum of weight * value / eps."""
        return {
            Estimator.ONE_SIDED: {1: 1.0, 0: -1.0},
            Estimator.SYMMETRIC: {1: 0.5, -1: -0.5},
            Estimator.FOUR_POINT: {1: 2 / 3, -1: -2 / 3, 2: -1 / 12, -2: 1 / 12},
        }[self]

    @property
    def order(self) -> int:
        """Power of eps that the error grows with."""
        return {Estimator.ONE_SIDED: 1, Estimator.SYMMETRIC: 2, Estimator.FOUR_POINT: 4}[self]

    @property
    def pairs(self) -> tuple[tuple[int, int, float], ...]:
        """(level, level, weight): the derivative by eps is sum of weight * (X(a eps) - X(b eps)) / ((a - b) eps)."""
        return {
            Estimator.ONE_SIDED: ((1, 0, 1.0),),
            Estimator.SYMMETRIC: ((1, -1, 1.0),),
            Estimator.FOUR_POINT: ((1, -1, 4 / 3), (2, -2, -1 / 3)),
        }[self]

    def derivative(self, values: Mapping[int, Array], eps: float) -> Array:
        """Derivative by eps from values by nudge level; opposite levels are subtracted first, to lose no digits."""
        terms = [
            (weight / eps) * (values[level] - values[-level if -level in self.weights else 0])
            for level, weight in self.weights.items()
            if level > 0
        ]
        return sum(terms[1:], start=terms[0])
