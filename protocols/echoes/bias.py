"""What an echo that misses the forward path does to the gradient, as far as a model can tell.

The sums of an echo are taken along the path it ran, and its nudge answers to the stiffness there.  A twin can do the
same sum along both paths (`protocols.twin`), with the same error,

    bias ~ g_twin(mean of the echoes) - g_twin(forward pass),

a small difference of two gradients by the same model: how wrong the model is hardly matters where the miss is small.
It bounds the bias, and is not taken off: on rigs that miss by much it is no better than the gradient it would correct.
What the nudge itself adds, of order eps^p by the estimator, shows in the echoes at twice the nudge,

    |g(2 eps) - g(eps)| / (2^p - 1)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.model.interface import Model
from protocols.echoes.blocks import Block
from protocols.echoes.plan import EchoPlan
from protocols.forward.forward import ForwardPass
from protocols.inference.inverse_dynamics import InverseDynamics
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
        displaced = replace(item, q=item.q + miss[:, ::-1])
        with np.errstate(over="ignore", invalid="ignore"):
            there, here = (backwards(model, theta, path, step) for path in (displaced, item))
            ends = [back.gradients([name for name in names if name not in rubbed]) for back in (there, here)]
        # Friction is correlated with the recorded velocity, wherever the echo ran.
        slope = -step * (there.response - here.response) @ item.v.T
        for name in names:
            term = (slope + slope.T) / 2 if name in rubbed else ends[0][name] - ends[1][name]
            total[name] = total[name] + term if name in total else term
    return total


def bias_of_retrace(plan: EchoPlan, blocks: Sequence[Block]) -> dict[str, Array]:
    """What the retrace error of the blocks costs, averaged over them; zero where it is noise alone."""
    passes = blocks[0].batch.passes
    misses = [np.mean(rows, axis=0) for rows in zip(*(block.reading.miss for block in blocks), strict=True)]
    inverse = InverseDynamics(plan.task.model, plan.theta, plan.task.step)
    noise = plan.geometry.noise * np.sqrt(2.0 / len(blocks))
    smooth = [inverse.smooth(miss, item.q[:, ::-1], noise) for miss, item in zip(misses, passes, strict=True)]
    return bias_of_miss(plan.task.model, plan.theta, passes, smooth, plan.task.step, tuple(blocks[0].reading.terms))


def bound_of_bias(plan: EchoPlan, blocks: Sequence[Block], stronger: Block | None) -> dict[str, Array]:
    """By parameter: the bias of the retrace error, and of the nudge where echoes were fired at twice its strength."""
    bias = {name: np.abs(term) for name, term in bias_of_retrace(plan, blocks).items()}
    if stronger is None:
        return bias
    weak, strong, powers = blocks[0].reading.terms, stronger.reading.terms, 2**plan.estimator.order - 1
    return {name: np.abs(strong[name] - weak[name]) / powers + bias[name] for name in weak}
