"""What an echo that misses the forward path does to the gradient, as far as a model can tell.

The sums of an echo are taken along the path it ran, and its nudge answers to the stiffness there.  A twin can do the
same sum along both paths (`protocols.twin`), with the same error,

    bias ~ g_twin(mean of the echoes) - g_twin(forward pass),

a small difference of two gradients by the same model: how wrong the model is hardly matters where the miss is small.
It bounds the bias, and is not taken off: on rigs that miss by much it is no better than the gradient it would correct.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.model.interface import Model
from protocols.forward.forward import ForwardPass
from protocols.twin import backwards


def bias_of_miss(
    model: Model,
    theta: Arrays,
    passes: Sequence[ForwardPass],
    misses: Sequence[Array],
    step: float,
    names: Sequence[str],
) -> dict[str, Array]:
    """By name, for the `misses` (n, steps) of the mean echoes of every pass, in the order of the echo."""
    total: dict[str, Array] = {}
    rubbed = [name for name in names if name in model.parameters and model.parameters[name].kind == "friction"]
    for item, miss in zip(passes, misses, strict=True):
        astray = replace(item, q=item.q + miss[:, ::-1])
        with np.errstate(over="ignore", invalid="ignore"):
            there, here = (backwards(model, theta, path, step) for path in (astray, item))
            ends = [back.gradients([name for name in names if name not in rubbed]) for back in (there, here)]
        # Friction is correlated with the recorded velocity, wherever the echo ran.
        slope = -step * (there.response - here.response) @ item.v.T
        for name in names:
            term = (slope + slope.T) / 2 if name in rubbed else ends[0][name] - ends[1][name]
            total[name] = total[name] + term if name in total else term
    return total
