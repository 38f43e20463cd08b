"""How strongly to nudge: eps from the response r = rms(nudge response) / rms(state), PHYSICS section 2."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from labrhel.arrays import Array
from labrhel.learning.units import ForwardRun

Result = TypeVar("Result")
_TRIALS = 4  # growth may be so strong that no eps gives the wanted response


def response_ratio(eps: float, response: float, position: float) -> float:
    """The ratio r from mean squares of the response over eps and of the positions; 0 if nothing was nudged."""
    return eps * math.sqrt(response / position) if position > 0 else 0.0


def settle(
    run: ForwardRun,
    cotangent: Array,
    attempt: Callable[[float], tuple[float, Result]],
    *,
    low: float,
    target: float,
    high: float,
) -> tuple[float, Result]:
    """An eps whose response lies in [low, high], and what `attempt(eps)`, which also returns r, gave there.

    The first guess takes the response to be the sum of all nudges at random phases; r is proportional to eps, so the
    second guess is good unless the adjoint grows without bound.
    """
    # All in float64: a cotangent of 1e-25 has no square in float32.
    weights = np.asarray(run.theta["C"], float)
    nudges = np.einsum("bko,bko->o", cotangent, cotangent, dtype=float) / max(1, len(cotangent))
    fed = math.sqrt(float(np.mean(nudges @ weights**2)))
    size = math.sqrt(float(np.mean(np.square(run.end.q, dtype=float)))) or 1.0
    eps = target * size / fed if fed > 0 else 1.0
    ratio, result = attempt(eps)
    for _ in range(_TRIALS - 1):
        if fed == 0 or low <= ratio <= high or not (math.isfinite(ratio) and ratio > 0):
            break
        eps *= target / ratio
        ratio, result = attempt(eps)
    return eps, result
