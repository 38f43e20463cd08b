"""The fitted twin: what a good model of the rig says of the gradient, without a single echo.

Fit the nominal model to the forward record (`protocols.inference.fit`), send the error backwards through the twin,
linearised along the *measured* path, and correlate (`protocols.inference.correlation`).  The adjoint runs as the echo
would:

    M a'' + G a' + V''(q_rec) a = e/d          in reversed time, from rest, by the leapfrog of the rig

with the stiffness transposed where couplings are directed.  It is the baseline that every claim of an in-situ win is
measured against: it takes one shot a sequence, and is as good as the model.  A twin that does not contain the rig goes
wrong as the pass gets longer; an echo does not.

Source: the adjoint method on a model fitted by generalised least squares; Hermans et al. (2015) train so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from labrhel.arrays import Array, Arrays
from labrhel.learning.gradient import Gradient
from labrhel.learning.needs import Needs
from labrhel.learning.rules import GradientRequest
from labrhel.model.interface import Model
from labrhel.model.motion import respond_transposed
from labrhel.shots.operations import Protocol
from protocols.forward.forward import ForwardPass, run_forward
from protocols.inference.correlation import Backwards
from protocols.inference.fit import fit

_UNEXPLAINED = 0.05  # of the force, beyond which the gradient comes with a warning


@dataclass(frozen=True, slots=True)
class FittedTwin:
    """The rule.  `refit`: whether the model is fitted to the record at all; else it is taken as it is."""

    refit: bool = True

    needs: ClassVar[Needs] = Needs(positions=True)

    def gradient(self, asked: GradientRequest) -> Protocol[Gradient]:
        """Gradient of the batch's loss for the parameters named in `wanted`."""
        run = yield from run_forward(asked)
        model, step, theta, batch = asked.task.model, asked.task.step, run.asked.theta, run.batch
        found = fit(model, theta, batch.passes, step, run.geometry.noise) if self.refit else None
        believed = theta if found is None else found.theta
        terms: dict[str, Array] = {}
        for item in batch.passes:
            back = backwards(model, believed, item, step)
            for name, term in back.gradients(asked.wanted).items():
                terms[name] = terms[name] + term if name in terms else term
        words = []
        if found is not None and found.after > _UNEXPLAINED:
            words.append(f"the fitted model leaves {found.after:.2g} of the force unexplained: the twin is not the rig")
        return Gradient(
            values=terms | {name: batch.direct[name] for name in asked.wanted if name in batch.direct},
            loss=batch.loss,
            rule="twin/fitted" if self.refit else "twin/nominal",
            shots=run.shots,
            passes=run.passes,
            calibration=batch.calibration,
            warnings=tuple(words),
        )


def backwards(model: Model, theta: Arrays, item: ForwardPass, step: float) -> Backwards:
    """Send the error of a forward pass backwards through `model` at `theta`."""
    back = respond_transposed(model, theta, item.q[:, ::-1], item.error[:, ::-1] / step, step)
    return Backwards(model, theta, item, step, back.q[:, ::-1], back.end_position, back.end_momentum)
