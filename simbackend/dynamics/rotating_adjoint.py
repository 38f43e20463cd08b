"""The exact gradient of a task on an array in the rotating frame, by reverse mode through the mid-point rule.

In real form x = (Re a, Im a), with m = (x + x')/2 and x' = x + d F(m), F' the Jacobian at m (2 n, 2 n),

    s = (1 - (d/2) F'^T)^-1 (2 lambda' + e),     lambda = s - lambda',     dL/dtheta = (d/2) sum_k s . dF/dtheta

with lambda the adjoint of x and e = dL/dm.  It shares no formula with the echoes: no conjugation of the motion, and the
derivatives of F, or of H, by the parameters are central differences, exact where these are linear in them, as in all.
Source: the discrete adjoint of an implicit Runge-Kutta step (Sanz-Serna, SIAM Review 58, 3 (2016)).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.learning.task import Task, TrialSequence
from simbackend.dynamics.adjoint import summed
from simbackend.models.kerr_array import KerrArray

_SHIFT = 1e-3
_OF_H = ("detuning", "coupling", "flux", "loss")


def exact_gradient(task: Task, sequences: Sequence[TrialSequence], theta: Arrays) -> tuple[float, dict[str, Array]]:
    """Loss of the batch and its gradient for every parameter of model and read-out."""
    model = task.model
    assert isinstance(model, KerrArray)
    return summed(model, task, sequences, theta, _tape, _backpropagate)


def _tape(model: KerrArray, theta: Arrays, u: Array, step: float) -> tuple[Array, Array]:
    """Amplitudes at the kicks (n, steps); the second of the pair is empty."""
    start = model.value("initial_position", theta) + 1j * model.value("initial_momentum", theta)
    return model.pass_of(theta, model.field(u, theta), step, start)[0], np.empty((0, 0))


def _backpropagate(
    model: KerrArray, theta: Arrays, u: Array, a: Array, _: Array, error: Array, step: float
) -> dict[str, Array]:
    """DL/dtheta of every parameter of the model, given dL/dRe m + i dL/dIm m at the kicks."""
    n, steps = a.shape
    jacobians = _jacobians(model, theta, a)
    inverse = np.linalg.inv(np.eye(2 * n) - step / 2 * jacobians)
    source = np.concatenate([np.real(error), np.imag(error)])
    lam, s = np.zeros(2 * n), np.empty((2 * n, steps))
    for k in reversed(range(steps)):
        s[:, k] = inverse[k].T @ (2 * lam + source[:, k])
        lam = s[:, k] - lam
    gradient = {"initial_position": lam[:n], "initial_momentum": lam[n:]}
    products = (s[:n] - 1j * s[n:]) @ a.T  # with which dH_ij changes the loss, but for -i d/2
    for name, spec in model.parameters.items():
        if name in gradient:
            continue
        value = np.array(model.value(name, theta))
        found = np.empty(spec.shape)
        for index in np.ndindex(value.shape):
            ends = []
            for sign in (1, -1):
                moved = value.copy()
                moved[index] += sign * _SHIFT
                there = {**theta, name: moved}
                ends.append(model.matrix(there) if name in _OF_H else _speed(model, there, a, u))
            slope = (ends[0] - ends[1]) / (2 * _SHIFT)
            felt = np.sum(products * -1j * slope) if name in _OF_H else np.sum((s[:n] - 1j * s[n:]) * slope)
            found[index] = step / 2 * float(np.real(felt))
        gradient[name] = (found + found.T) / 2 if spec.kind == "friction" else found
    return gradient


def _speed(model: KerrArray, theta: Arrays, a: Array, u: Array) -> Array:
    bent = model.kerr(theta)[:, None] * np.abs(a) ** 2 * a
    return -1j * (model.matrix(theta) @ a + bent + model.field(u, theta))


def _jacobians(model: KerrArray, theta: Arrays, a: Array) -> Array:
    """DF/dx (steps, 2 n, 2 n)."""
    linear, g = -1j * model.matrix(theta), model.kerr(theta)
    by_a = linear[None] + np.zeros((a.shape[1], 1, 1))
    each = np.arange(model.size)
    by_a[:, each, each] += (-2j * g[:, None] * np.abs(a) ** 2).T
    by_conj = np.zeros_like(by_a)
    by_conj[:, each, each] = (-1j * g[:, None] * a**2).T
    return np.block([
        [by_a.real + by_conj.real, by_conj.imag - by_a.imag],
        [by_a.imag + by_conj.imag, by_a.real - by_conj.real],
    ])  # fmt: skip
