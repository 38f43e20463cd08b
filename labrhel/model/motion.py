"""A run of a nominal model without a rig around it, for protocols that have to know where it would go."""

from __future__ import annotations

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.model.interface import Model, Run, RunsPasses
from labrhel.model.leapfrog import leapfrog


def run(model: Model, theta: Arrays, forces: Array, step: float, position: Array, momentum: Array) -> Run:
    """Passes side by side from `position` and `momentum` (batch, n), all under the same `forces` (n, steps).

    `forces` at the kicks are all that pushes: inputs and their offset are in them, or are not there.  Model units.
    A model that `RunsPasses` runs itself, any other by the readable leapfrog.
    """
    if isinstance(model, RunsPasses):
        ran = model.run_passes(theta, forces, step, position, momentum)
        if ran is not None:
            return ran
    pushes = np.repeat(forces[:, None], len(position), axis=1)
    passes = leapfrog(
        lambda q: model.force(q, theta), model.mass(theta), model.friction(theta), pushes, step, position.T, momentum.T
    )
    return Run(np.moveaxis(passes.q, 0, 1), passes.end_position.T, passes.end_momentum.T)
