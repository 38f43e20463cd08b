"""Does a model keep the contract of `labrhel.model.interface.Model`?  Ask before you train a model of your own.

Every check compares two things the model says with each other, by central differences at random states, so that a
wrong sign, a factor 1/2 or a term left out of one function shows by name:

    force      -dV/dq where the model has a `potential`; else its Jacobian is symmetric, as that of any force from a V,
               unless the model says that it has directed couplings, which it then has
    observable d/dq_i (dH/dtheta) = -dF_i/dtheta, and dV/dtheta itself where there is a `potential`
    reversal   the leapfrog with this force retraces after a flip, with friction compensated: it does if the force is a
               function of the positions alone, and not of what was asked before
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.model.interface import Model
from labrhel.model.leapfrog import leapfrog
from labrhel.model.motion import is_directed

_TINY = 1e-5  # central differences are then good to 1e-9 of smooth functions of order one
_LOOSE = 1e-6  # relative error allowed to a central difference
_EXACT = 1e-10
_STEPS = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what it compared, the relative error it found, the error it allows."""

    check: str
    error: float
    allowed: float

    @property
    def passed(self) -> bool:
        """True if the error is allowed; NaN is not."""
        return self.error <= self.allowed

    def __str__(self) -> str:
        return f"{'ok' if self.passed else 'WRONG':6}{self.check}: {self.error:.1e} (allowed {self.allowed:.0e})"


def check_model(model: Model, random: np.random.Generator, amplitude: float = 0.5) -> tuple[Finding, ...]:
    """All checks at nominal parameters, at random positions of size `amplitude` [position units]."""
    theta = {name: spec.nominal for name, spec in model.parameters.items()}
    q = amplitude * random.normal(size=model.size)
    trace = amplitude * random.normal(size=(model.size, 7))
    with np.errstate(over="ignore", invalid="ignore"):  # a wrong force may diverge, which is a finding
        return (
            _finding(
                "the force of a trace is that of its columns", model.force(trace, theta), _columns(model, trace, theta)
            ),
            _force(model, q, theta),
            *_observables(model, trace, theta, random),
            *_matrices(model, theta),
            *_linearity(model, q, theta),
            _reversal(model, q, theta),
        )


def failures(findings: tuple[Finding, ...]) -> tuple[str, ...]:
    """The checks that failed, in words; empty if the model keeps the contract."""
    return tuple(str(finding) for finding in findings if not finding.passed)


def _finding(check: str, found: Array, expected: Array, allowed: float = _EXACT) -> Finding:
    if np.shape(found) != np.shape(expected):
        return Finding(f"{check} (shape {np.shape(found)}, expected {np.shape(expected)})", np.inf, allowed)
    scale = max(float(np.linalg.norm(expected)), 1e-3)  # two things that both vanish agree
    return Finding(check, float(np.linalg.norm(found - expected)) / scale, allowed)


def _columns(model: Model, trace: Array, theta: Arrays) -> Array:
    return np.stack([model.force(column, theta) for column in trace.T], axis=1)


def _slope(function: Callable[[Array], Array | float], at: Array) -> Array:
    """Derivative of `function` by each entry of `at`, those on the last axes."""
    parts = []
    for index in np.ndindex(at.shape):
        ends = []
        for sign in (1, -1):
            moved = np.array(at, dtype=float)
            moved[index] += sign * _TINY
            ends.append(np.asarray(function(moved)))
        parts.append((ends[0] - ends[1]) / (2 * _TINY))
    whole = np.stack(parts, axis=-1) if parts else np.empty((*np.shape(function(at)), 0))
    return whole.reshape((*whole.shape[:-1], *at.shape))


def _force(model: Model, q: Array, theta: Arrays) -> Finding:
    potential = getattr(model, "potential", None)
    if potential is not None:
        expected = -_slope(lambda x: potential(x, theta), q)
        return _finding("the force is minus the slope of the potential", model.force(q, theta), expected, _LOOSE)
    jacobian = _slope(lambda x: model.force(x, theta), q)
    friction = model.friction(theta)
    if is_directed(model, theta):
        apart = np.linalg.norm(jacobian - jacobian.T) > _LOOSE * np.linalg.norm(jacobian)
        spins = not np.allclose(friction, friction.T)
        words = "a model that says it is directed has a Jacobian, or a friction, that is not symmetric"
        return Finding(words, 1.0 - float(apart or spins), 0.0)
    return _finding("the force comes from a potential: its Jacobian is symmetric", jacobian, jacobian.T, _LOOSE)


def _observables(model: Model, trace: Array, theta: Arrays, random: np.random.Generator) -> Iterator[Finding]:
    q, v = trace[:, :1], random.normal(size=(model.size, 1))
    u = random.normal(size=(len(model.inputs), 1))
    potential = getattr(model, "potential", None)
    for name, spec in model.parameters.items():
        if spec.kind == "potential":

            def read(at: Array, name: str = name) -> Array:
                return model.observables([name], at[:, None], v, u, 1.0, theta)[name]

            bent = _slope(read, q[:, 0])
            pulled = _slope(lambda value, name=name: model.force(q[:, 0], {**theta, name: value}), theta[name])
            yield _finding(f"observable {name}: dO/dq = -dF/d{name}", bent, -np.moveaxis(pulled, 0, -1), _LOOSE)
            if potential is not None:
                slope = _slope(lambda value, name=name: potential(q[:, 0], {**theta, name: value}), theta[name])
                yield _finding(f"observable {name} = dV/d{name}", read(q[:, 0]), slope, _LOOSE)
            whole = model.observables([name], trace, 0 * trace, np.zeros((len(u), trace.shape[1])), 0.3, theta)[name]
            parts = 0.3 * np.sum([read(column) for column in trace.T], axis=0)
            yield _finding(f"observable {name} is summed over the kicks, times the step", whole, parts)
        elif spec.kind == "kinetic":
            found = model.observables([name], q, v, u, 1.0, theta)[name]
            yield _finding(f"observable {name} = -v^2/2", found, -(v[:, 0] ** 2) / 2)


def _matrices(model: Model, theta: Arrays) -> Iterator[Finding]:
    friction = model.friction(theta)
    if not is_directed(model, theta):
        yield _finding("the friction matrix is symmetric", friction, friction.T)
    yield Finding("no mode gains energy", max(0.0, -float(np.linalg.eigvalsh((friction + friction.T) / 2)[0])), 1e-12)
    yield Finding("every mass is positive", float(not (model.mass(theta) > 0).all()), 0.0)


def _linearity(model: Model, q: Array, theta: Arrays) -> Iterator[Finding]:
    if model.is_linear(theta):
        still = model.force(0 * q, theta)
        twice = model.force(2 * q, theta) - still
        yield _finding("a model that says it is linear has a linear force", twice, 2 * (model.force(q, theta) - still))
    if is_directed(model, theta):
        return  # modes of a stiffness that is not symmetric may have no real frequency
    root = 1 / np.sqrt(model.mass(theta))
    stiffness = -_slope(lambda x: model.force(x, theta), np.zeros(model.size)) * root[:, None] * root
    slowest, *_, fastest = np.linalg.eigvalsh(np.atleast_2d(stiffness + stiffness.T) / 2)[[0, -1]]
    if fastest > 0 and slowest >= 0:  # what is pushed away from the middle has no frequency there
        limit = np.array([2 / np.sqrt(fastest)])
        yield _finding("the largest step is 2/omega_max", np.array([model.largest_step(theta)]), limit, 1e-3)


def _reversal(model: Model, q: Array, theta: Arrays) -> Finding:
    mass, friction = model.mass(theta), model.friction(theta)
    longest = model.largest_step(theta)
    step = 0.05 * (longest if np.isfinite(longest) else 1.0)
    still = np.zeros((model.size, _STEPS))

    def pull(x: Array) -> Array:
        return model.force(x, theta)

    forward = leapfrog(pull, mass, friction, still, step, q, np.zeros(model.size))
    drive = -(friction @ (forward.v_before + forward.v_after))[:, ::-1]
    echo = leapfrog(pull, mass, friction, drive, step, forward.end_position, -forward.end_momentum)
    return _finding("a flip retraces the motion", echo.q[:, ::-1], forward.q)
