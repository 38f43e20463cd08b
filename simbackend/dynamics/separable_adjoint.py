"""The exact gradient of a task on any model, from nothing but its force and its observables.

The readable leapfrog runs forward and keeps the tape; then, with lambda the adjoints of (q', p') and J = dF/dq of the
force F = -dV/dq at every kick,

    mu = A^-T (lambda_p + (d/2) lambda_q/m)
    lambda_qh = lambda_q + e_k + d J^T mu,      lambda_p = B^T mu + (d/2) lambda_qh/m,   lambda_q = lambda_qh

    dL/dtheta = d sum_k mu_k . dF/dtheta = -d/dq (sum_k d dH/dtheta) . mu,       dL/dG, dL/dm as in
    simbackend.dynamics.adjoint

J and the last derivative are complex steps, exact to rounding, if the model's `force` and `slopes` take complex
numbers and are analytic; else central differences, good to about 1e-9 (labrhel.model.derivatives, which decides).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from labrhel.learning.task import Task, TrialSequence
from labrhel.model.derivatives import along, jacobian
from labrhel.model.leapfrog import KickMatrices, leapfrog
from labrhel.model.rotating import is_rotating
from simbackend.dynamics.adjoint import summed
from simbackend.models.simulable import Simulable


def exact_gradient(task: Task, sequences: Sequence[TrialSequence], theta: Arrays) -> tuple[float, dict[str, Array]]:
    """Loss of the batch and its gradient for every parameter of model and read-out.

    Raises ConfigurationError for a model that is no separable Hamiltonian of the kind simulated rigs run.
    """
    model = task.model
    if not isinstance(model, Simulable) or is_rotating(model):
        raise ConfigurationError(
            f"there is no exact gradient for {type(model).__name__}: name one in the entry-point group "
            "labrhel.exact_gradients, under the model's kind"
        )
    return summed(model, task, sequences, theta, tape, backpropagate)


def tape(model: Simulable, theta: Arrays, u: Array, step: float) -> tuple[Array, Array]:
    """Positions at the kicks (n, steps), momenta before, between and after them (n, steps + 1)."""
    mass, offset = model.mass(theta), model.value("input_offset", theta)
    drive = model.value("input", theta) @ (u + offset[:, None])
    start = model.value("initial_position", theta), model.value("initial_momentum", theta)
    ran = leapfrog(lambda q: model.force(q, theta), mass, model.friction(theta), drive, step, *start)
    return ran.q, mass[:, None] * np.column_stack([ran.v_before[:, :1], ran.v_after])


def backpropagate(
    model: Simulable, theta: Arrays, u: Array, q: Array, p: Array, error: Array, step: float
) -> dict[str, Array]:
    """dL/dtheta for every model parameter, given dL/dq at the kicks."""
    mass, friction = model.mass(theta), model.friction(theta)
    kick, half = KickMatrices.of(mass, friction, step), step / 2 / mass
    slope = jacobian(lambda x: model.force(x, theta), q)
    mu, after, before = (np.empty_like(q) for _ in range(3))  # the latter two: lambda_q on either side of the kick
    lam_q, lam_p = np.zeros(model.size), np.zeros(model.size)
    for k in reversed(range(q.shape[1])):
        after[:, k] = lam_q
        pulled = lam_p + half * lam_q
        mu[:, k] = kick.push.T @ pulled
        lam_q = lam_q + error[:, k] + step * slope[:, :, k].T @ mu[:, k]
        before[:, k] = lam_q
        lam_p = kick.keep.T @ pulled + half * lam_q
    p_before, p_after = p[:, :-1], p[:, 1:]
    both = p_before + p_after
    by_inverse_mass = step / 2 * np.sum(before * p_before + after * p_after - friction.T @ mu * both, axis=1)
    v = both / 2 / mass[:, None]
    rubbed = -step * mu @ v.T
    gradient = {
        "mass": -by_inverse_mass / mass**2,
        "friction": (rubbed + rubbed.T) / 2,
        "initial_position": lam_q,
        "initial_momentum": lam_p,
    }
    for name in model.parameters:
        if model.parameters[name].kind == "gyroscopic":
            gradient[name] = _by_friction(model, theta, name, -step * mu @ v.T)
        elif model.parameters[name].kind == "directed":
            gradient[name] = _by_force(model, theta, name, q, step * mu)
        elif name not in gradient:  # of V or of the inputs
            gradient[name] = -along(lambda x, name=name: model.observables([name], x, v, u, step, theta)[name], q, mu)
    return gradient


def _by_friction(model: Simulable, theta: Arrays, name: str, slope: Array) -> Array:
    """Of a parameter that the matrix of the velocities is linear in, by the slope (n, n) of that matrix."""
    found = np.empty(np.shape(model.value(name, theta)))
    for index in np.ndindex(found.shape):
        unit = np.zeros(found.shape)
        unit[index] = 1.0
        ends = [model.friction({**theta, name: sign * unit}) for sign in (1.0, -1.0)]
        found[index] = np.sum(slope * (ends[0] - ends[1])) / 2
    return found


def _by_force(model: Simulable, theta: Arrays, name: str, q: Array, weight: Array) -> Array:
    """sum_k weight_k . dF_k/dtheta of a parameter that no observable belongs to, entry by entry."""
    value = np.array(model.value(name, theta))
    found = np.empty(value.shape)
    for index in np.ndindex(value.shape):
        unit = np.zeros(value.shape)
        unit[index] = 1.0
        moved = along(lambda x: np.sum(weight * model.force(q, {**theta, name: x}))[None], value, unit)
        found[index] = moved[0]
    return found
