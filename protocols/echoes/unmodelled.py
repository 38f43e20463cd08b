"""Couplings of a rig that the model does not have, and what they do to a gradient by the asymmetric echo.

The pairs of echoes converge to the answer of (S + N_true - 2 N): an error of N is in no change from pair to pair.
It moves the adjoint by T(2 d (N_true - N) a), to first order, which tells its effect, and that of its uncertainty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from labrhel.arrays import Array
from protocols.echoes.blocks import norm_of
from protocols.inference.beyond import Beyond

UNTOLD = 0.05
"""Of the gradient: a larger uncertainty is none that the motion tells, and N is believed as it is in the model."""

_DRAWS = 4  # of the signs of uncertain entries, whose mean square is that of all of them one by one


@dataclass(frozen=True, slots=True)
class Unmodelled:
    """`pull`: N_true - N (n, n) as far as it is certain; `floor`: by parameter what is not known of it.

    `share` of the gradient that `pull` moves, `error` the one that is not known, `unsure` the part of it that a wrong
    mass may be as well; all 0, and not `told`, where the motion was too short or too noisy to say it.  `where`: between
    which two oscillators the first and the last of them are largest.
    """

    pull: Array | None = None
    floor: dict[str, Array] = field(default_factory=dict)
    share: float = 0.0
    error: float = 0.0
    unsure: float = 0.0
    told: bool = False
    where: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))

    @classmethod
    def of(cls, found: Beyond | None, effect: Callable[[Array], dict[str, Array]], size: float) -> Unmodelled:
        """With the `effect` of a pull on the gradient by parameter, and the size of that."""
        if found is None or not size > 0 or not np.all(np.isfinite(found.error)):
            return cls()
        certain = found.is_certain
        signs = np.random.default_rng(0).choice([-1.0, 1.0], (_DRAWS, *found.error.shape))
        spread = found.error if certain else np.hypot(found.error, found.value)
        draws = [effect(spread * (np.triu(sign) - np.triu(sign).T)) for sign in signs]
        floor = {name: np.sqrt(np.mean([draw[name] ** 2 for draw in draws], axis=0)) for name in draws[0]}
        if not certain:
            error = norm_of(floor) / size
            return cls(None, floor, error=error, told=True) if error <= UNTOLD else cls()
        pull = np.where(found.sure, found.value, 0.0)
        rest = found.value - pull
        unsure = effect(rest)
        floor = {name: np.hypot(term, unsure[name]) for name, term in floor.items()}
        shares = [norm_of(terms) / size for terms in (effect(pull), floor, unsure)]
        return cls(pull, floor, *shares, told=True, where=(_largest(pull), _largest(rest)))


def _largest(pull: Array) -> tuple[int, int]:
    place = int(np.argmax(np.triu(np.abs(pull))))
    return place // len(pull), place % len(pull)
