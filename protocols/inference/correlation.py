"""The gradient from the response to the error, and the record of the forward pass: no sum of the rig takes part.

Let r(theta) = F(q; theta) - W (u + o) be what the forward record leaves unexplained, zero for the true parameters
(`protocols.inference.unexplained`), and a (n, steps) the response of the rig to the error, sent through it
backwards in time, in the order of the forward pass.  a is the adjoint of the motion, so

    dL/dtheta = -d sum_k a_k . dr_k/dtheta                 stiffness: -d sum a q;  friction: -d sum a v^T;  and so on

for every parameter of potential, mass, friction and input.  That a was sent through a rig which the host knows badly
does not matter here; what the host must know is how the force depends on theta.

Source: the adjoint method; the discrete form is tested in this project against reverse mode (docs/rules.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from labrhel.learning.readout import READOUT
from labrhel.model.derivatives import along
from labrhel.model.interface import KnowsPulls, Model
from labrhel.model.motion import hessian_along, is_directed
from protocols.forward.forward import ForwardPass
from protocols.inference.unexplained import INERT, InertiaSlopes, Unexplained, entries_of, start_momentum

_SHIFT = 1e-4  # of central differences, exact for parameters that the force is linear in


@dataclass(frozen=True, slots=True)
class Backwards:
    """The error sent backwards along one forward pass: the response a (n, steps), in the order of that pass, and the
    state (n,) in which it ends, half a step before the first kick; unknown where nothing reads it.
    """

    model: Model
    theta: Arrays
    item: ForwardPass
    step: float
    response: Array
    position: Array
    momentum: Array

    @classmethod
    def of_motion(cls, model: Model, theta: Arrays, item: ForwardPass, step: float, q: Array, v: Array) -> Backwards:
        """Of readings at the kicks (n, steps), in the order they were taken; the model takes them half a step on."""
        mass = model.mass(theta)
        # After the last kick: v is the mean of the velocities before and after it, the kick the model's own.
        kick = item.error[:, 0] - step * hessian_along(model, theta, item.q[:, :1])[0] @ q[:, -1]
        lost = step * model.friction(theta) @ v[:, -1]
        p = mass * v[:, -1] + (kick - lost) / 2
        return cls(model, theta, item, step, q[:, ::-1], q[:, -1] + step / 2 * p / mass, p)

    def gradients(self, names: Sequence[str]) -> dict[str, Array]:
        """DL/dtheta of the parameters of the model among `names`, the initial state included.

        With dq, dp the end state of the response, dL/dq(0) = dp + G dq, dL/dp(0) = dq + (d^2/4) M^-1 G M^-1 dp.
        """
        model, known = self.model, self.model.parameters
        unknown = [name for name in names if name not in known and name not in READOUT]
        if unknown:
            raise ConfigurationError(f"there is no parameter {unknown[0]!r} to differentiate by")
        state = [name for name in names if name in known and known[name].kind in ("position", "momentum")]
        rest = [name for name in names if name in known and name not in state]
        friction, mass = model.friction(self.theta), model.mass(self.theta)
        if is_directed(model, self.theta):
            friction = friction.T  # an adjoint runs with the transpose of what is not symmetric
        dragged = self.step**2 / 4 * friction @ (self.momentum / mass) / mass
        at_start = self.momentum + friction @ self.position
        ends = {"initial_position": at_start, "initial_momentum": self.position + dragged}
        found = correlated(model, self.theta, self.item, self.response, self.step, rest, at_start)
        return found | {name: ends[name] for name in state}


def _observed(model: Model, theta: Arrays, item: ForwardPass, step: float, name: str, q: Array) -> Array:
    """sum_k d dH/dtheta of a parameter, where the pass had run along q (n, steps)."""
    return model.observables([name], q, item.v, item.u, step, theta)[name]


def correlated(
    model: Model,
    theta: Arrays,
    item: ForwardPass,
    response: Array,
    step: float,
    names: Sequence[str],
    at_start: Array | None = None,
) -> dict[str, Array]:
    """DL/dtheta by name, of the response a (n, steps) in the order of the forward pass.

    `at_start`: dL/dq(0) (n,), which a mass needs that starts with a momentum: it moves the first kick by (d/2) p(0)/m.
    """
    theta = {name: model.parameters[name].nominal for name in names} | dict(theta)
    found: dict[str, Array] = {}
    of_masses = None if at_start is None else at_start * start_momentum(model, item) / model.mass(theta) ** 2 / 2
    for name in names:
        kind, value = model.parameters[name].kind, np.asarray(theta[name], float)
        if kind in ("potential", "input"):
            # The force is -d/dq of dH/dtheta, whose sums a model knows for all entries at once.
            found[name] = -along(partial(_observed, model, theta, item, step, name), item.q, response)
            continue
        if kind == "directed" and isinstance(model, KnowsPulls):
            found[name] = step * model.pulled(name, item.q, response, theta)
            continue
        if kind in INERT:
            inertia = InertiaSlopes.of(model, theta, item, step)
            slope = -step * inertia.summed(response, name, _SHIFT, of_masses)
        else:
            rest = Unexplained(model, theta, item, step)
            sums = [np.sum(response * rest.slope(name, *entry)) for entry in entries_of(value, _SHIFT)]
            slope = -step * np.reshape(sums, value.shape)
        found[name] = (slope + slope.T) / 2 if kind == "friction" else slope
    return found
