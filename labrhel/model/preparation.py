"""The drive that brings the nominal model from rest into a wanted state.

From the wanted state (q_T, -p_T) with its momentum reversed the model, without friction and input, would go on along
x(t); played backwards and grown from zero by a smooth envelope s,

    y(t) = s(t/P) x(P - t),        s(x) = x^3 (10 - 15 x + 6 x^2),

is a path from rest to (q_T, -p_T) that the rig almost takes by itself, so a long preparation takes little force.  The
force is the inverse of one step of the integrator (`labrhel.model.leapfrog`), exact for any path: with the positions
y_k at the kicks, p_k = M (y_k - y_(k-1))/d before kick k, p_0 = 0 and the wanted momentum after the last,

    f_k = (A p_(k+1) - B p_k)/d + dV/dq(y_k) - W o

Source: derived and tested in this project (docs/physics.md): on random lossy Duffing rigs the echo retraces to 1e-13.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.model.interface import Model
from labrhel.model.leapfrog import KickMatrices
from labrhel.model.motion import run


class Preparation(NamedTuple):
    """The positions (n, steps) at the kicks that a preparation takes the rig along, and the forces (n, steps)."""

    path: Array
    force: Array

    @property
    def peak(self) -> float:
        """Largest force."""
        return float(np.abs(self.force).max())


def preparation(model: Model, theta: Arrays, position: Array, momentum: Array, step: float, steps: int) -> Preparation:
    """From rest to (`position`, `momentum`), each (n,), the state to be reached, in `steps` kicks."""
    n, mass = model.size, model.mass(theta)
    lossless = {**theta, "friction": np.zeros((n, n))}
    (free,) = run(model, lossless, np.zeros((n, steps)), step, position[None], -momentum[None]).q
    x = np.linspace(0.0, 1.0, steps)
    p = np.zeros((n, steps + 1))
    kick = KickMatrices.of(mass, model.friction(theta), step)
    offset = model.input_force(np.zeros((len(model.inputs), 1)), theta)
    with np.errstate(over="ignore", invalid="ignore"):  # a motion without bound has an infinite peak, which is refused
        path = free[:, ::-1] * x**3 * (10 - 15 * x + 6 * x**2)
        p[:, 1:-1] = mass[:, None] * np.diff(path, axis=1) / step
        p[:, -1] = momentum
        return Preparation(
            path, (kick.after @ p[:, 1:] - kick.before @ p[:, :-1]) / step - model.force(path, theta) - offset
        )
