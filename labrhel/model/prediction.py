"""What the nominal model says a shot does, pass by pass, under what the ports of a rig achieve.

The readable leapfrog (`labrhel.model.leapfrog`) runs it whatever the model offers, so that compiled kernels, which
simulated rigs run on, are held to account by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ProgramError
from labrhel.model.interface import Model
from labrhel.model.leapfrog import KickMatrices, leapfrog
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
    mass, friction = model.mass(theta), model.friction(theta)
    kick, motions = KickMatrices.of(mass, friction, shot.dt), list[Motion]()
    for item in shot.passes:
        if item.reversal is not None:
            p = -p
        u = _played(item, model.inputs)
        drive = model.input_force(u, theta)
        forces = capabilities.ports_of(Kind.FORCE)
        if forces:
            drive = drive + capabilities.drive_matrix.values @ _played(item, forces)
        ran = leapfrog(lambda x: model.force(x, theta), mass, friction, drive, shot.dt, q, p, kick)
        q, p = ran.end_position, ran.end_momentum
        motions.append(Motion(ran.q, ran.v, u, q, p))
    return motions


def _played(item: CompiledPass, ports: tuple[str, ...]) -> Array:
    still = np.zeros(item.steps)
    return np.stack([item.achieved[name].values if name in item.achieved else still for name in ports])
