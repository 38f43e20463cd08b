"""Any model by the readable leapfrog, all passes of a batch side by side; rules make their sums from its traces."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.model.leapfrog import leapfrog
from labrhel.shots.compiled import CompiledPass
from simbackend.dynamics.propagator import Motion, Propagator, Push
from simbackend.models.simulable import Simulable


class ReadableLeapfrog(Propagator):
    """A `simbackend.dynamics.propagator.Propagator` that asks the model for its force, at positions (n, batch)."""

    accumulates: ClassVar[bool] = False

    def __init__(
        self, model: Simulable, theta: Arrays, knobs: Arrays, drive_matrix: Array, one_sided: Array, threads: int
    ) -> None:
        super().__init__(model, theta, knobs, drive_matrix, one_sided, threads)
        self._model, self._theta = model, theta

    def run(
        self, q: Array, p: Array, push: Push, item: CompiledPass, step: float, every: int, wants: tuple[bool, bool]
    ) -> Motion:
        """Run the shots by the readable leapfrog."""
        forces = self.ports_to_force[:, push.columns] @ push.drive + self.bias[:, None]
        if push.shaking is not None:
            forces = forces + push.shaking
        with np.errstate(over="ignore", invalid="ignore"):  # the rig reports a motion that diverges, in words
            ran = leapfrog(
                self._force, self.mass, self.friction, np.moveaxis(forces, 1, 0), step, q.T, p.T, self.kick(step)
            )
        q[:], p[:] = ran.end_position.T, ran.end_momentum.T
        kept = [np.moveaxis(motion[..., ::every], 0, 1) for motion in (ran.q, ran.v)]
        trace_q, trace_v = (motion if wanted else motion[..., :0] for motion, wanted in zip(kept, wants, strict=True))
        return Motion(trace_q, trace_v, [{} for _ in q])

    def _force(self, q: Array) -> Array:
        force = self._model.force(q, self._theta)
        return force + self.one_sided @ q if self.one_sided.size else force
