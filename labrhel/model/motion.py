"""A run of a nominal model without a rig around it, for protocols that have to know where it would go."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.model.interface import Model
from labrhel.model.leapfrog import leapfrog
from labrhel.shots.compiled import CompiledPass
from labrhel.shots.program import Acquire
from simbackend.dynamics.compiled import CompiledNetwork, runs_compiled
from simbackend.dynamics.propagator import Push
from simbackend.models.oscillator_network import OscillatorNetwork


class Run(NamedTuple):
    """Positions at the kicks (batch, n, steps), and the ends half a step after the last one (batch, n)."""

    q: Array
    end_position: Array
    end_momentum: Array


def run(model: Model, theta: Arrays, forces: Array, step: float, position: Array, momentum: Array) -> Run:
    """Passes side by side from `position` and `momentum` (batch, n), all under the same `forces` (n, steps).

    `forces` at the kicks are all that pushes: inputs and their offset are in them, or are not there.  Model units.
    An oscillator network runs in its compiled kernels, any other model by the readable leapfrog.
    """
    batch, (n, steps) = len(position), forces.shape
    pushes = np.repeat(forces[None], batch, axis=0)
    if isinstance(model, OscillatorNetwork) and runs_compiled(model):
        inputs = len(model.inputs)
        still = {**theta, "input_offset": np.zeros(inputs)}
        network = CompiledNetwork(model, still, still, np.eye(n), np.empty((0, 0)), 1)
        item = CompiledPass(steps, {}, {}, Acquire(()), None, keep=False)
        q, p = np.array(position, float), np.array(momentum, float)
        push = Push(range(inputs, inputs + n), pushes, None)
        return Run(network.run(q, p, push, item, step, 1, (True, False)).q, q, p)
    ran = leapfrog(
        lambda q: model.force(q, theta), model.mass(theta), model.friction(theta), np.moveaxis(pushes, 1, 0),
        step, position.T, momentum.T,
    )  # fmt: skip
    return Run(np.moveaxis(ran.q, 0, 1), ran.end_position.T, ran.end_momentum.T)
