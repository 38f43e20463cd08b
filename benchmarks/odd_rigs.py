"""Rigs whose forces no echo of theirs shows: friction that is not linear in the velocity, and couplings one way.

Drag pulls with c |v| v, dry friction with c v/|v|; both retrace as well as friction that is linear.  The gradient that
counts is that of the rig as it is: central differences of its own loss.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from labrhel.arrays import Array
from labrhel.shots.compiled import CompiledPass
from simbackend.dynamics.propagator import Motion, Push
from simbackend.dynamics.readable import ReadableLeapfrog
from simbackend.imperfections import Imperfections
from simbackend.rigs.reference import ReferenceTask
from simbackend.rigs.simulated import SimulatedRig

_ROUNDS = 3  # of the velocity at a kick, the mean of before and after


class _Odd(ReadableLeapfrog):
    """A leapfrog with a force -law(v) beside the friction, v the mean velocity of the kick, as of the linear one."""

    drag = 0.0
    dry = 0.0

    def run(
        self, q: Array, p: Array, push: Push, item: CompiledPass, step: float, every: int, wants: tuple[bool, bool]
    ) -> Motion:
        """Run the shots, kick by kick."""
        forces = np.moveaxis(self.ports_to_force[:, push.columns] @ push.drive + self.bias[:, None], 1, 0)
        kick, x, momentum, mass = self.kick(step), q.T.copy(), p.T.copy(), self.mass[:, None]
        seen, fast = (np.empty((*x.shape, item.steps)) for _ in range(2))
        for k in range(item.steps):
            x = x + step / 2 * momentum / mass
            given = forces[..., k] + self._force(x)
            after = momentum
            for _ in range(_ROUNDS):
                mean = (momentum + after) / (2 * mass)
                after = kick.keep @ momentum + kick.push @ (step * (given - self._law(mean)))
            seen[..., k], fast[..., k] = x, (momentum + after) / (2 * mass)
            momentum = after
            x = x + step / 2 * momentum / mass
        q[:], p[:] = x.T, momentum.T
        kept = [np.moveaxis(motion[..., ::every], 0, 1) for motion in (seen, fast)]
        trace_q, trace_v = (motion if wanted else motion[..., :0] for motion, wanted in zip(kept, wants, strict=True))
        return Motion(trace_q, trace_v, [{} for _ in q])

    def _law(self, v: Array) -> Array:
        # Dry friction sticks where it would turn a velocity around: a steep straight piece instead of a jump.
        return self.drag * np.abs(v) * v + self.dry * np.tanh(v / 0.02)


def odd(rig: ReferenceTask, drag: float = 0.0, dry: float = 0.0, wrong: Imperfections | None = None) -> ReferenceTask:
    """The task on a rig with `drag` and `dry` friction beside its own, and nothing else wrong but `wrong`."""
    law = type("Odd", (_Odd,), {"drag": drag, "dry": dry})
    made = SimulatedRig(rig.model, imperfections=wrong or Imperfections(), propagator=law)
    offered = replace(made.capabilities, reversals=rig.task.capabilities.reversals)
    return replace(rig, rig=made, task=replace(rig.task, capabilities=offered))


def measured_gradient(rig: ReferenceTask, names: tuple[str, ...], shift: float = 1e-4) -> dict[str, Array]:
    """DL/dtheta (1e-7 of itself) by central differences of the rig's own loss."""
    found = {}
    for name in names:
        value = np.array(rig.theta[name], float)
        slope = np.empty_like(value)
        for index in np.ndindex(value.shape):
            losses = []
            for sign in (1, -1):
                moved = value.copy()
                moved[index] += sign * shift
                losses.append(_loss(rig, {**rig.theta, name: moved}))
            slope[index] = (losses[0] - losses[1]) / (2 * shift)
        found[name] = slope
    return found


def _loss(rig: ReferenceTask, theta: dict[str, Array]) -> float:
    from labrhel.executor import execute
    from labrhel.learning.rules import GradientRequest
    from protocols.forward.forward import run_forward

    return execute(run_forward(GradientRequest(rig.task, rig.sequences, theta, ())), rig.handler()).batch.loss


def off(found: dict[str, Array], exact: dict[str, Array]) -> float:
    """Relative error of a gradient, all parameters as one vector."""
    mine, theirs = (np.concatenate([np.ravel(part[name]) for name in exact]) for part in (found, exact))
    return float(np.linalg.norm(mine - theirs) / np.linalg.norm(theirs))
