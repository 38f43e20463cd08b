"""What the nominal model says of an echo: its response, and what a nudge does.

All of it is said along the *recorded* path, where a model that is wrong by per cents is wrong by per cents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from labrhel.arrays import Array
from protocols.echoes.plan import Achieved, EchoPlan, EchoReading
from protocols.forward.forward import ForwardPass
from protocols.twin import backwards

_MISTRUST = 0.3  # of a small correction by the model


def forecast_response(plan: EchoPlan, passes: Sequence[ForwardPass]) -> float:
    """Response ratio per unit of nudge of the echoes of these passes; takes no shot."""
    model, theta, step = plan.task.model, plan.theta, plan.task.step
    with np.errstate(over="ignore", invalid="ignore"):
        answers = [backwards(model, theta, item, step).response for item in passes]
        answered = sum(float(np.sum(answer**2)) for answer in answers)
        size = max(sum(float(np.sum(item.q**2)) for item in passes), 1e-300)
    return float(np.sqrt(answered / size))


def undistorted(
    plan: EchoPlan, passes: Sequence[ForwardPass], reading: EchoReading, nudges: Achieved
) -> tuple[EchoReading, dict[str, Array]]:
    """The reading without what the nudge had added, by the model, and by parameter how much of it may be left.

    The gradient is linear in the nudge, and what a converter adds is known, so this is a correction of the order of the
    distortion, wrong by that times the error of the model.
    """
    names = tuple(reading.terms)
    added: dict[str, Array] = {}
    for item, nudge in zip(passes, nudges.added, strict=True):
        back = backwards(plan.task.model, plan.theta, replace(item, error=nudge[:, ::-1]), plan.task.step)
        for name, term in back.gradients(names).items():
            added[name] = added[name] + term if name in added else term
    terms = {name: term - added[name] for name, term in reading.terms.items()}
    return replace(reading, terms=terms), {name: _MISTRUST * np.abs(term) for name, term in added.items()}
