"""What brings a rig back along its forward path: the preparation, and the drive of the echo, without input and nudge.

On a lossy rig the echo is given, open loop, f_comp = -2 G v(recorded), or it would lose what it should regain.  Momenta
that a flip is known to get wrong are put right by the first two kicks.  A rig that cannot reverse its state is brought
from rest into the reversed end state first (`protocols.echoes.preparation`).  All of it is one drive along one path,
from the start that the rig knows to the end of the echo; `protocols.echoes.lock` improves it as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.learning.task import Task
from labrhel.model.preparation import preparation
from labrhel.shots.program import GivenState
from protocols.echoes.preparation import affordable_preparation, end_state, fitted_end_state
from protocols.forward.forward import ForwardPass


@dataclass(frozen=True, slots=True)
class EchoDrive:
    """`path` (n, kicks) that the rig should take and `force` (n, kicks) that should make it.

    The first `prepared` kicks bring the rig from rest into the reversed end state; 0 on a rig that reverses it.
    """

    path: Array
    force: Array
    prepared: int

    @classmethod
    def of(
        cls, task: Task, theta: Arrays, forward: ForwardPass, friction: Array, *, from_rest: bool, kicks: int = 0
    ) -> EchoDrive:
        """What the nominal model says, for the friction matrix `friction` that is to be compensated.

        `kicks`: of the preparation; 0: as few as take little force.
        """
        path, force = forward.q[:, ::-1], -2 * friction @ forward.v[:, ::-1]
        if not from_rest and task.flip is None:
            return cls(path, force, 0)
        model, step = task.model, forward.program.dt
        q, p = reached(task, theta, forward)
        if not from_rest:
            assert task.flip is not None
            return cls(path, _with_flip(force, (task.flip.gain - 1) * p - task.flip.offset, step), 0)
        peak = float(np.abs(model.input_force(forward.u, theta)).max())
        if kicks:
            first = preparation(model, theta, q, -p, step, kicks)
        else:
            first = affordable_preparation(model, theta, q, -p, step, forward.steps, peak)
        return cls(
            np.concatenate([first.path, path], axis=1),
            np.concatenate([first.force, force], axis=1),
            first.force.shape[1],
        )

    @property
    def preparation_force(self) -> Array:
        """Forces of the preparation (n, prepared)."""
        return self.force[:, : self.prepared]

    @property
    def echo_force(self) -> Array:
        """Forces of the echo (n, steps)."""
        return self.force[:, self.prepared :]


def reached(task: Task, theta: Arrays, forward: ForwardPass) -> tuple[Array, Array]:
    """(q_T, p_T) half a step after the last kick of a forward pass: as it was read, else by the nominal model."""
    if forward.end is not None:
        return forward.end
    model, step, started = task.model, forward.program.dt, forward.program.prepare
    if any(channel.noise or channel.converter for channel in task.capabilities.channels):
        return fitted_end_state(model, theta, forward.q, forward.u, step)
    momentum = started.momentum.values if isinstance(started, GivenState) else np.zeros(model.size)
    return end_state(model, theta, forward.q, forward.u, step, momentum)


def _with_flip(force: Array, lacking: Array, step: float) -> Array:
    """`force` (n, steps) with what gives the momenta `lacking` (n,) after a flip.

    The rig drifts by half a step before its first kick, and by a whole one to the second: 3/2 of the impulse, and -1/2
    of it then, leave both the momenta and the positions right.
    """
    found = force.copy()
    found[:, 0] += 1.5 * lacking / step
    if found.shape[1] > 1:
        found[:, 1] -= 0.5 * lacking / step
    return found
