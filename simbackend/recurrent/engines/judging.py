"""Whether a gradient can be trusted: what the engines say in words about growth, retrace and response.

A lossless nonlinear unit under a random input is a randomly modulated oscillator, whose adjoint may grow
exponentially, and rounding grows with it.  Measured on random units (steps 0.02 to 0.3, inputs 0.3 to 1, 1000 to
10,000 steps), the relative error of the gradient by rounding is within a factor of 3 of

    growth * u * sqrt(steps)/2        growth <= 1e3; u: unit round-off, of which echoes see u/r, since they subtract

and 3 to 20 times the retrace error of the path that was run backwards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from labrhel.arrays import Array
from simbackend.recurrent.models.recurrent_unit import RecurrentUnit

_RUINED = 1e-2  # relative error from which a gradient is called ruined
_RETRACE = 3e-3  # retrace error that goes with it
_RESPONSE = 0.1  # nudged further, a nonlinear unit leaves the linear response: an error of order r^2


def judge(
    model: RecurrentUnit,
    gradients: Mapping[str, Array],
    dtype: np.dtype,
    steps: int,
    *,
    growth: float,
    retrace: float = 0.0,
    response: float = 0.0,
    noise: float | None = None,
    eps: float | None = None,
) -> tuple[str, ...]:
    """Warnings about a gradient, none if all is well; `noise` is the relative rounding of its terms, if not u.

    `eps` is the strength of the nudge if it was given, and not chosen: it is the first to be doubted.
    """
    if not all(np.isfinite(array).all() for array in gradients.values()):
        return (
            "the gradient is not finite, since the adjoint overflowed: "
            + ("" if eps is None else f"leave out eps, which is {eps:g}, ")
            + "shorten the sequence, lower d or the inputs",
        )
    words = []
    error = growth * (float(np.finfo(dtype).eps) if noise is None else noise) * math.sqrt(steps) / 2
    forgets = model.linear or model.coupled or model.damped  # what friction would not help, or cannot be given to
    remedy = "" if eps is None else f"leave out eps, which is {eps:g}, "
    remedy += "shorten the sequence, lower d or the inputs" + ("" if forgets else ", or give the unit friction")
    remedy += ", or use float64" if dtype == np.float32 else ""
    if error > _RUINED:
        cause = f"the adjoint grew {growth:.0e}-fold and rounding with it" if growth > 10 else "rounding adds up"
        words.append(f"{cause}, to a relative error of the gradient near {min(error, 1.0):.0e} in {dtype}: {remedy}")
    if retrace > _RETRACE:
        words.append(
            f"the path run backwards missed its start by {retrace:.0e} of the state, so this is not the gradient of "
            f"the path that was taken: {remedy}, or keep a tape (bptt)"
        )
    if response > _RESPONSE and not model.linear:
        words.append(
            f"the nudged echoes moved by {response:.0e} of the state, which a nonlinear unit does not answer linearly: "
            "lower eps, leave it to be chosen, or use the adjoint"
        )
    return tuple(words)
