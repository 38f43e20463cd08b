"""A run of a nominal model without a rig around it, for protocols that have to know where it would go."""

from __future__ import annotations

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.model.derivatives import jacobian
from labrhel.model.interface import (
    Directed,
    KnowsHessians,
    Model,
    Response,
    Run,
    RunsPasses,
    RunsResponses,
    RunsTransposed,
)
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


def respond(model: Model, theta: Arrays, path: Array, forces: Array, step: float) -> Response:
    """The answer a from rest of the model linearised along `path` (n, steps), to `forces` (n, steps), at the kicks:

        M a'' + G a' + V''(path) a = forces,        by the leapfrog of the rig

    A model that `RunsResponses` runs itself, any other by derivatives of its force.
    """
    if isinstance(model, RunsResponses):
        ran = model.run_response(theta, path, forces, step)
        if ran is not None:
            return ran
    return _linearised(model, theta, hessian_along(model, theta, path), forces, step, model.friction(theta))


def respond_transposed(model: Model, theta: Arrays, path: Array, forces: Array, step: float) -> Response:
    """The answer of the transposed model, which is the adjoint: `respond`, but with the stiffness transposed.

        M a'' + G^T a' + J(path)^T a = forces,     J = -dF/dq: S - N where couplings that act one way make it S + N

    On reciprocal models the same bits as `respond`.
    """
    if not is_directed(model, theta):
        return respond(model, theta, path, forces, step)
    ran = model.run_transposed(theta, path, forces, step) if isinstance(model, RunsTransposed) else None
    if ran is not None:
        return ran
    turned = np.swapaxes(hessian_along(model, theta, path), 1, 2)
    return _linearised(model, theta, turned, forces, step, model.friction(theta).T)


def _linearised(model: Model, theta: Arrays, stiffness: Array, forces: Array, step: float, friction: Array) -> Response:
    each, still = iter(stiffness), np.zeros(model.size)
    ran = leapfrog(
        lambda a: -next(each) @ a,  # that of this kick: one is asked for at each
        model.mass(theta), friction, forces, step, still, still,
    )  # fmt: skip
    return Response(ran.q, ran.end_position, ran.end_momentum)


def is_directed(model: Model, theta: Arrays) -> bool:
    """True of a model with directed couplings or gyroscopic forces, whose adjoint is not its own motion."""
    return isinstance(model, Directed) and model.is_directed(theta)


def antisymmetry_along(model: Model, theta: Arrays, path: Array) -> Array:
    """J - J^T (steps, n, n) along positions (n, steps), J = -dF/dq: twice the N of a stiffness S + N."""
    stiffness = quick_hessian_along(model, theta, path)
    return stiffness - np.swapaxes(stiffness, 1, 2)


def hessian_along(model: Model, theta: Arrays, path: Array) -> Array:
    """The stiffness -dF/dq (steps, n, n) along positions (n, steps): V'' of a reciprocal model."""
    return np.moveaxis(jacobian(lambda q: -model.force(q, theta), path), 2, 0)


def quick_hessian_along(model: Model, theta: Arrays, path: Array) -> Array:
    """`hessian_along` up to rounding, by a model that `KnowsHessians`: for what goes into no shot.

    Of shots a replay compares every bit.
    """
    found = model.hessian_along(theta, path) if isinstance(model, KnowsHessians) else None
    return hessian_along(model, theta, path) if found is None else found
