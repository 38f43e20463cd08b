"""Which oscillators an entry of a parameter acts at: where its gradient has to be read.

    dL/dtheta = -d sum_k a_k . dr_k/dtheta,       r = M q'' + G q' - F(q; theta) - W (u + o)

needs the response a in the rows where dr/dtheta is not zero, and the record of every oscillator that it depends on.
Both are found by asking the model at a motion drawn at random, so that they hold for any model.

Source: the adjoint method, term by term (docs/physics.md).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from labrhel.arrays import Array, Arrays
from labrhel.model.interface import Model

_KICKS = 4
_SHIFT = 1e-3
_ABSENT = 1e-6  # of the largest slope: rounding of central differences


def oscillators_of(model: Model, theta: Arrays, name: str) -> NDArray[np.bool_]:
    """Oscillators that entries of the parameter `name` act at, or on account of (shape of the parameter, n).

    None of the initial state, which acts in no force.
    """
    value = np.array(theta.get(name, model.parameters[name].nominal), float)
    found = np.zeros((*value.shape, model.size), bool)
    if model.parameters[name].kind in ("position", "momentum"):
        return found
    random = np.random.default_rng(0)
    motion, other = random.standard_normal((2, 3, model.size, _KICKS))
    u = random.standard_normal((len(model.inputs), _KICKS))
    for index in np.ndindex(value.shape):
        slope = _slope_by(model, theta, name, value, index, u)
        here = slope(motion)
        least = _ABSENT * float(np.abs(here).max())
        found[index] = np.abs(here).max(axis=1) > least
        for j in range(model.size):
            moved = motion.copy()
            moved[:, j] = other[:, j]
            found[index][j] |= bool(np.abs(slope(moved) - here).max() > least)
    return found


def _slope_by(
    model: Model, theta: Arrays, name: str, value: Array, index: tuple[int, ...], u: Array
) -> Callable[[Array], Array]:
    """dr/dtheta (n, kicks) of one entry, as a function of positions, velocities and accelerations (3, n, kicks)."""
    ends = []
    for sign in (1, -1):
        moved = value.copy()
        moved[index] += sign * _SHIFT * max(1.0, abs(float(value[index])))
        ends.append({**theta, name: moved})

    def left(motion: Array, at: Arrays) -> Array:
        q, v, bent = motion
        return model.mass(at)[:, None] * bent + model.friction(at) @ v - model.force(q, at) - model.input_force(u, at)

    return lambda motion: left(motion, ends[0]) - left(motion, ends[1])
