"""Fit the nominal model to the forward passes: which parameters would have moved the rig as it was seen to move?

The inverse dynamics of the record (`protocols.inference.inverse_dynamics`) must be the force that was played,

    r(theta) = F(q; theta) - W (u + o) = 0            at every kick,

solved by Gauss-Newton for masses, friction and the parameters of V, weighted with the covariance that the noise of the
readings has after two differences, and held to the nominal values where the record does not tell:

    min  r^T C^-1 r + sum ((theta - theta_nominal)/s)^2,        s: a share of the nominal value

What was found is kept only if its masses are masses and the model, run free, then stays closer to the records than
before: noise of another kind than the channels declare, and forces that no model has, could make it anything.

It takes no shot beyond the forward passes, and integrates no motion, so a record that is good leaves no local minima
to fall into.  The input map is the reference of all forces, and is not fitted.  What the model cannot say stays
unexplained, and is for the echo lock.

Source: derived and tested in this project (docs/echo-lock.md); generalised least squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.learning.parameters import Parameter, ParameterSet
from labrhel.model.interface import Model, Run
from labrhel.model.motion import run
from labrhel.shots.program import GivenState
from protocols.forward.forward import ForwardPass
from protocols.inference.inverse_dynamics import InverseDynamics
from protocols.inference.unexplained import Unexplained, entries_of

SPREAD = 0.3
"""Relative uncertainty of a nominal value; a friction that should be zero may as well cost an e-fold a pass."""

_KINDS = ("potential", "kinetic", "friction", "directed", "gyroscopic")
_ROUNDS = 2  # of Gauss-Newton; one suffices where the force is linear in the parameters
_UNKNOWN = 1e-3  # of the force: what acts on every rig and is in no model; bounds the weight of noiseless records
_ABSENT = 0.1  # of the force: prior for a term of V that is zero in the model
_SHIFT = 1e-3  # the step of central differences, exact for parameters that the force is linear in


@dataclass(frozen=True, slots=True)
class Fit:
    """Fitted parameters, and the rms of the forces the model does not explain over that of all, before and after."""

    theta: dict[str, Array]
    before: float
    after: float


def fit(model: Model, theta: Arrays, passes: Sequence[ForwardPass], step: float, noise: Array) -> Fit:
    """Parameters near `theta` that explain the records best; `noise` (n,): rms of the positions in them."""
    if all(item.steps < 2 for item in passes):  # no outcome of any kick is seen
        return Fit(dict(theta), 0.0, 0.0)
    longest = max(item.steps for item in passes) * step
    parameters = ParameterSet(free_parameters(model, theta))
    nominal = parameters.flat()
    spread = spread_of(parameters, float(np.mean(model.mass(theta))) / longest)
    x, sizes = nominal.copy(), []
    for _ in range(_ROUNDS):
        equations = [_Record.of(model, theta, parameters, x, item, step, noise) for item in passes]
        total = float(np.sqrt(np.sum([item.force**2 for item in equations]))) or 1.0
        sizes.append(float(np.sqrt(np.sum([np.sum(item.residual**2) for item in equations]))) / total)
        slopes = np.sqrt(np.sum([np.sum(item.slopes**2, axis=(1, 2)) for item in equations], axis=0))
        # What is zero in the model has no size of its own: it may be as large as a share of all force makes it.
        absent = np.divide(_ABSENT * total, slopes, out=np.ones_like(slopes), where=slopes > 0)
        spread = np.where(spread > 0, spread, absent)
        normal = np.diag(1 / spread**2) + np.sum([item.normal for item in equations], axis=0)
        right = (nominal - x) / spread**2 - np.sum([item.right for item in equations], axis=0)
        x = x + np.linalg.solve(normal, right)
    fitted = {**theta, **parameters.values(x)}
    heavy = bool(np.all(model.mass(fitted) > 0))  # a negative one falls up, and has no frequency
    if not (heavy and _missed(model, fitted, passes, step) < _missed(model, theta, passes, step)):
        return Fit(dict(theta), sizes[0], sizes[0])
    return Fit(fitted, sizes[0], sizes[-1])


def free_parameters(model: Model, theta: Arrays) -> list[Parameter]:
    """What a fit may move, at `theta`."""
    return [
        _free(name, np.array(theta.get(name, spec.nominal), float), symmetric=spec.kind == "friction")
        for name, spec in model.parameters.items()
        if spec.kind in _KINDS and np.size(spec.nominal)  # one oscillator has no couplings
    ]


def _free(name: str, value: Array, *, symmetric: bool) -> Parameter:
    # A product of matrices is symmetric up to rounding only.
    return Parameter(name, (value + value.T) / 2 if symmetric else value, symmetric=symmetric)


def _missed(model: Model, theta: Arrays, passes: Sequence[ForwardPass], step: float) -> float:
    """Sum of squares of what a free run of the model is off the records; infinite where it has no bounded motion."""
    total = 0.0
    for item in passes:
        with np.errstate(over="ignore", invalid="ignore"):
            total += float(np.sum((free_run(model, theta, item, step).q[0] - item.q) ** 2))
    return total if np.isfinite(total) else np.inf


def free_run(model: Model, theta: Arrays, item: ForwardPass, step: float, kicks: int | None = None) -> Run:
    """The model from the start of a pass, under its inputs, for its first `kicks`."""
    started = item.program.prepare
    q = p = np.zeros((1, model.size))
    if isinstance(started, GivenState):
        q, p = started.position.values[None], started.momentum.values[None]
    return run(model, theta, model.input_force(item.u[:, :kicks], theta), step, q, p)


@dataclass(frozen=True, slots=True)
class _Record:
    """One forward pass: r and its slopes (parameters, n, steps), the norm of all force, and its normal equations."""

    residual: Array
    slopes: Array
    force: float
    normal: Array
    right: Array

    @classmethod
    def of(
        cls,
        model: Model,
        theta: Arrays,
        parameters: ParameterSet,
        x: Array,
        item: ForwardPass,
        step: float,
        noise: Array,
    ) -> _Record:
        at = {**theta, **parameters.values(x)}
        rest = Unexplained(model, at, item, step)
        residual = rest.whole
        slopes = np.stack(
            [
                rest.slope(known.name, *entry)
                for known in parameters.parameters
                for entry in entries_of(at[known.name], _SHIFT, symmetric=known.symmetric)
            ]
        )
        played = model.input_force(item.u, theta)
        force = float(np.sqrt(np.sum(played**2) + np.sum(model.force(item.q, theta) ** 2)))
        inverse = InverseDynamics(model, at, step)
        both = np.concatenate([residual[None], slopes])
        weighed = inverse.whitened(both, item.q, noise, _UNKNOWN * force / np.sqrt(residual.size))
        normal = np.tensordot(slopes, weighed[1:], ([1, 2], [1, 2]))
        return cls(residual, slopes, force, normal, np.tensordot(slopes, weighed[0], ([1, 2], [0, 1])))


def spread_of(parameters: ParameterSet, friction: float) -> Array:
    """Standard deviation of the prior of each coordinate, for a friction at least `friction`; 0 where all are zero."""
    found = []
    for item in parameters.parameters:
        typical = SPREAD * float(np.sqrt(np.mean(item.value**2)))
        found.append(np.full(int(item.trained.sum()), max(typical, friction) if item.symmetric else typical))
    return np.concatenate(found)
