"""Arrays in the rotating frame as a simulated rig runs them: (q, p) of the rig is (Re a, Im a)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.shots.compiled import CompiledPass
from simbackend.dynamics.propagator import Motion, Propagator, Push
from simbackend.models.kerr_array import KerrArray


class MidpointRule(Propagator):
    """A `simbackend.dynamics.propagator.Propagator` of `labrhel.model.rotating.RotatingFrame`.

    `Motion.q` and `Motion.v` are the quadratures at the kicks.  `friction` (2 n, 2 n) is that of the two quadratures of
    what shakes the array: at the `temperature` T an undriven mode of loss kappa holds |a|^2 = T on average.
    """

    accumulates: ClassVar[bool] = False

    def __init__(
        self, model: KerrArray, theta: Arrays, knobs: Arrays, drive_matrix: Array, one_sided: Array, threads: int
    ) -> None:
        self._model, self._theta = model, theta
        self.mass = self.inverse_mass = np.ones(model.size)
        self.friction = np.kron(np.eye(2), model.friction(theta)) / 4
        weights = model.weights(theta)
        inputs = np.stack([weights, 1j * weights], axis=-1).reshape(model.size, -1)
        self.ports_to_force = np.hstack([inputs, drive_matrix])

    def run(
        self, q: Array, p: Array, push: Push, item: CompiledPass, step: float, every: int, wants: tuple[bool, bool]
    ) -> Motion:
        """Run the shots of a batch, one after the other."""
        fields = self.ports_to_force[:, push.columns] @ push.drive
        if push.shaking is not None:
            fields = fields + push.shaking[:, : self._model.size] + 1j * push.shaking[:, self._model.size :]
        kept = np.empty((*q.shape, -(-item.steps // every)), complex)
        with np.errstate(over="ignore", invalid="ignore"):  # the rig reports a motion that diverges, in words
            for row in range(len(q)):
                m, end = self._model.pass_of(self._theta, fields[row], step, q[row] + 1j * p[row])
                kept[row], q[row], p[row] = m[:, ::every], np.real(end), np.imag(end)
        return Motion(np.ascontiguousarray(np.real(kept)), np.ascontiguousarray(np.imag(kept)), [{} for _ in q])
