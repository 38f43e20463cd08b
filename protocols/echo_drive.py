"""What brings a rig back along its forward path: the preparation, and the drive of the echo, without input and nudge.

On a lossy rig the echo is given, open loop, f_comp = -2 G v(recorded), or it would lose what it should regain.  A rig
that cannot reverse its state is brought from rest into the reversed end state first (`protocols.preparation`).  Both
together are one drive along one path, from the start that the rig knows to the end of the echo; `protocols.lock`
improves it as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.learning.task import Task
from labrhel.program import GivenState
from protocols.forward import ForwardPass
from protocols.preparation import affordable_preparation, end_state, fitted_end_state


@dataclass(frozen=True, slots=True)
class EchoDrive:
    """`path` (n, kicks) that the rig should take and `force` (n, kicks) that should make it.

    The first `prepared` kicks bring the rig from rest into the reversed end state; 0 on a rig that reverses it.
    """

    path: Array
    force: Array
    prepared: int

    @classmethod
    def of(cls, task: Task, theta: Arrays, forward: ForwardPass, friction: Array, *, from_rest: bool) -> EchoDrive:
        """What the nominal model says, for the friction matrix `friction` that is to be compensated."""
        path, force = forward.q[:, ::-1], -2 * friction @ forward.v[:, ::-1]
        if not from_rest:
            return cls(path, force, 0)
        model, step, started = task.model, forward.program.dt, forward.program.prepare
        momentum = started.momentum.values if isinstance(started, GivenState) else np.zeros(model.size)
        if any(channel.noise or channel.converter for channel in task.capabilities.channels):
            q, p = fitted_end_state(model, theta, forward.q, forward.u, step)
        else:
            q, p = end_state(model, theta, forward.q, forward.u, step, momentum)
        peak = float(np.abs(model.input_force(forward.u, theta)).max())
        first = affordable_preparation(model, theta, q, -p, step, forward.steps, peak)
        return cls(
            np.concatenate([first.path, path], axis=1),
            np.concatenate([first.force, force], axis=1),
            first.force.shape[1],
        )

    def prepared_as(self, other: EchoDrive) -> EchoDrive:
        """The same echo after the preparation of another drive."""
        if not other.prepared:
            return self
        parts = [(other.path, self.path), (other.force, self.force)]
        path, force = (
            np.concatenate([theirs[:, : other.prepared], own[:, self.prepared :]], axis=1) for theirs, own in parts
        )
        return replace(self, path=path, force=force, prepared=other.prepared)

    @property
    def preparation_force(self) -> Array:
        """Of the preparation (n, prepared)."""
        return self.force[:, : self.prepared]

    @property
    def echo_force(self) -> Array:
        """Of the echo (n, steps)."""
        return self.force[:, self.prepared :]
