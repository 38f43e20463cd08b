"""The exact gradient of a task by reverse-mode differentiation of the discrete model: what echoes are checked against.

Of an oscillator network, compiled; `simbackend.dynamics.separable_adjoint` is that of any model.  It runs the leapfrog
forward, keeps the tape, and goes back over it (`kernels.network.backpropagate`).
With mu_k from there, F = f - dV/dq and v_k the mean velocity at kick k:
    dL/dtheta = d sum_k mu_k . dF/dtheta,      dL/dG = -d sum_k mu_k v_k^T (symmetrised),      dL/dm = -dL/d(1/m)/m^2
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.learning.task import Task, TrialSequence
from labrhel.model.interface import Model
from labrhel.model.leapfrog import KickMatrices
from simbackend.kernels import network as kernels
from simbackend.models.oscillator_network import POWERS, OscillatorNetwork


def exact_gradient(task: Task, sequences: Sequence[TrialSequence], theta: Arrays) -> tuple[float, dict[str, Array]]:
    """Loss of the batch and its gradient for every parameter of model and read-out."""
    model = task.model
    assert isinstance(model, OscillatorNetwork)
    return summed(model, task, sequences, theta, tape, backpropagate)


M = TypeVar("M", bound=Model)


def summed(
    model: M,
    task: Task,
    sequences: Sequence[TrialSequence],
    theta: Arrays,
    tape: Callable[[M, Arrays, Array, float], tuple[Array, Array]],
    backpropagate: Callable[[M, Arrays, Array, Array, Array, Array, float], dict[str, Array]],
) -> tuple[float, dict[str, Array]]:
    """Loss and gradient over the sequences of a batch, read-out included.

    `tape` and `backpropagate` as below, for this kind of model.
    """
    readout, loss = task.readout(theta), task.loss(sequences)
    total_loss, total = 0.0, dict[str, Array]()
    for sequence in sequences:
        steps = task.steps(sequence)
        silence = np.zeros(steps)
        played = {name: wave.on_grid(task.step, steps) for name, wave in sequence.inputs.items()}
        u = np.stack([played.get(name, silence) for name in model.inputs])
        begun = task.begun(theta, sequence)
        q, p = tape(model, begun, u, task.step)
        seen = task.capabilities.position_matrix.values
        rows = [
            task.capabilities.channels_of(task.capabilities.channel(name).kind).index(name) for name in task.channels
        ]
        x = np.real(seen[rows] @ q[:, :: task.every])  # a quadrature of complex amplitudes is a real part
        outputs = readout.outputs(x)
        rho = loss.slope(outputs, sequence.target, sequence.weight)
        total_loss += loss.value(outputs, sequence.target, sequence.weight)
        error = np.zeros_like(q)
        error[:, :: task.every] = seen[rows].conj().T @ readout.error(rho)
        parts = {**backpropagate(model, begun, u, q, p, error, task.step), **readout.gradients(x, rho)}
        for name, value in parts.items():
            total[name] = total.get(name, np.zeros_like(value)) + value
    return total_loss, total


def tape(model: OscillatorNetwork, theta: Arrays, u: Array, step: float) -> tuple[Array, Array]:
    """Positions at the kicks (n, steps), momenta before, between and after them (n, steps + 1)."""
    n, steps = model.size, u.shape[1]
    kick = KickMatrices.of(model.mass(theta), model.friction(theta), step)
    positions, momenta = np.empty((n, steps)), np.empty((n, steps + 1))
    drive = model.input_force(u, theta)
    q = np.array(model.value("initial_position", theta))
    momenta[:, 0] = model.value("initial_momentum", theta)
    inverse_mass = 1 / model.mass(theta)
    powers = np.array([model.value(name, theta) for name in POWERS])
    kernels.record_tape(
        q, momenta, positions, drive, inverse_mass, powers, model.edges, np.array(model.value("coupling", theta)),
        model.one_way(theta), kick.keep, kick.push, step,
    )  # fmt: skip
    return positions, momenta


def backpropagate(
    model: OscillatorNetwork, theta: Arrays, u: Array, q: Array, p: Array, error: Array, step: float
) -> dict[str, Array]:
    """dL/dtheta for every model parameter, given dL/dq at the kicks."""
    mass, friction = model.mass(theta), model.friction(theta)
    kick = KickMatrices.of(mass, friction, step)
    mu = np.empty_like(q)
    inverse_mass_gradient, start_q, start_p = (np.zeros(model.size) for _ in range(3))
    powers = np.array([model.value(name, theta) for name in POWERS])
    kernels.backpropagate(
        q, np.ascontiguousarray(p[:, :-1]), np.ascontiguousarray(p[:, 1:]), error, 1 / mass, powers, model.edges,
        np.array(model.value("coupling", theta)), model.one_way(theta), friction, kick.keep, kick.push, step, mu,
        inverse_mass_gradient, start_q, start_p,
    )  # fmt: skip
    v = (p[:, :-1] + p[:, 1:]) / 2 / mass[:, None]
    weights, offset = model.value("input", theta), model.value("input_offset", theta)
    i, j = model.edges[:, 0], model.edges[:, 1]
    rubbed = -step * mu @ v.T
    gradient = {name: -step * np.sum(mu * q**power, axis=1) for name, power in POWERS.items()}
    gradient |= {
        "coupling": -step * np.sum((mu[j] - mu[i]) * (q[j] - q[i]), axis=1),
        "friction": (rubbed + rubbed.T) / 2,
        "mass": -inverse_mass_gradient / mass**2,
        "input": step * mu @ (u + offset[:, None]).T,
        "input_offset": step * weights.T @ mu.sum(axis=1),
        "initial_position": start_q,
        "initial_momentum": start_p,
    }
    if len(model.links):
        gradient["directed"] = -step * np.sum(mu[model.links[:, 0]] * q[model.links[:, 1]], axis=1)
    if len(model.spins):
        i, j = model.spins[:, 0], model.spins[:, 1]
        gradient["gyroscopic"] = -step * np.sum(mu[i] * v[j] - mu[j] * v[i], axis=1)
    return gradient
