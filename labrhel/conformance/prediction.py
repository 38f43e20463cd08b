"""What the nominal model says a shot does: a plain leapfrog on the interface `labrhel.model.interface.Model`.

It shares no line with the simulated rigs, so that each holds the other to account.  With v = p/m, drift, kick, drift
of step d, A = 1 + (d/2) G M^-1 and B = 1 - (d/2) G M^-1:

    q_h = q + (d/2) v,     A p' = B p + d (f + force(q_h)),     q' = q_h + (d/2) v'
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ProgramError
from labrhel.model.interface import Model
from labrhel.rig.capabilities import Capabilities, Kind
from labrhel.shots.compiled import CompiledPass, CompiledShot
from labrhel.shots.program import GivenState, Hold


@dataclass(frozen=True, slots=True)
class Motion:
    """One pass: positions and velocities at the kicks (n, steps), inputs (inputs, steps), and the end state (n,)."""

    q: Array
    v: Array
    u: Array
    end_position: Array
    end_momentum: Array

    def traces(self, capabilities: Capabilities) -> dict[str, Array]:
        """What every channel of positions and velocities shows at the kicks (steps,)."""
        shown = {}
        for kind, matrix, of in (
            (Kind.POSITION, capabilities.position_matrix.values, self.q),
            (Kind.VELOCITY, capabilities.velocity_matrix.values, self.v),
        ):
            shown |= dict(zip(capabilities.channels_of(kind), matrix @ of, strict=False))
        return shown


def predicted(model: Model, theta: Arrays, capabilities: Capabilities, shot: CompiledShot) -> list[Motion]:
    """The motion in every pass of a shot, under what its ports achieve.

    Raises ProgramError for a shot that goes on from a held state, which only the rig knows.
    """
    if isinstance(shot.prepare, Hold):
        raise ProgramError("what a held rig does cannot be predicted: only the rig knows its state")
    q = p = np.zeros(model.size)
    if isinstance(shot.prepare, GivenState):
        q, p = shot.prepare.position.values, shot.prepare.momentum.values
    motions = []
    for item in shot.passes:
        if item.reversal is not None:
            p = -p
        u = _played(item, model.inputs)
        drive = model.input_force(u, theta)
        forces = capabilities.ports_of(Kind.FORCE)
        if forces:
            drive = drive + capabilities.drive_matrix.values @ _played(item, forces)
        motions.append(leapfrog(model, theta, u, drive, shot.dt, q, p))
        q, p = motions[-1].end_position, motions[-1].end_momentum
    return motions


def leapfrog(model: Model, theta: Arrays, u: Array, drive: Array, step: float, q: Array, p: Array) -> Motion:
    """One pass under forces (n, steps) at the kicks, from the state (q, p) half a step before the first."""
    mass, (a, b) = model.mass(theta), friction_halves(model, theta, step)
    at_kick, before, after = (np.empty(drive.shape) for _ in range(3))
    for k in range(drive.shape[1]):
        before[:, k] = p / mass
        at_kick[:, k] = q = q + step / 2 * p / mass
        p = np.linalg.solve(a, b @ p + step * (drive[:, k] + model.force(q, theta)))
        after[:, k] = p / mass
        q = q + step / 2 * p / mass
    return Motion(at_kick, (before + after) / 2, u, q, p)


def preparation(model: Model, theta: Arrays, position: Array, momentum: Array, step: float, steps: int) -> Array:
    """Forces (n, steps) that bring the nominal model from rest into (position, momentum), each (n,).

    The path y(t) = s(t/P) x(P - t) is free motion played backwards and grown from zero by s(x) = x^3 (10 - 15 x +
    6 x^2); the force is the inverse of one step along it (docs/physics.md, reversal by drive).
    """
    mass, (a, b) = model.mass(theta), friction_halves(model, theta, step)
    still = np.zeros((model.size, steps))
    x = np.linspace(0.0, 1.0, steps)
    free = leapfrog(model, theta, still, still, step, position, -momentum)
    path = free.q[:, ::-1] * x**3 * (10 - 15 * x + 6 * x**2)
    p = np.zeros((model.size, steps + 1))
    p[:, 1:-1] = mass[:, None] * np.diff(path, axis=1) / step
    p[:, -1] = momentum
    offset = model.input_force(np.zeros((len(model.inputs), 1)), theta)
    return (a @ p[:, 1:] - b @ p[:, :-1]) / step - model.force(path, theta) - offset


def friction_halves(model: Model, theta: Arrays, step: float) -> tuple[Array, Array]:
    """A and B of the kick, (n, n) each."""
    half = step / 2 * model.friction(theta) / model.mass(theta)
    return np.eye(model.size) + half, np.eye(model.size) - half


def _played(item: CompiledPass, ports: tuple[str, ...]) -> Array:
    still = np.zeros(item.steps)
    return np.stack([item.achieved[name].values if name in item.achieved else still for name in ports])
