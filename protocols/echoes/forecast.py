"""What the nominal model says of an echo: its response, how far a mistake grows, and what a nudge does.

All of it is said along the *recorded* path, where a model that is wrong by per cents is wrong by per cents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from labrhel.arrays import Array
from labrhel.model.leapfrog import leapfrog
from protocols.echoes.plan import Achieved, EchoPlan, EchoReading
from protocols.forward.forward import ForwardPass
from protocols.inference.correlation import hessian_along
from protocols.twin import backwards

_MISTRUST = 0.3  # of a small correction by the model
ROUNDING = float(np.finfo(float).eps)


@dataclass(frozen=True, slots=True)
class Forecast:
    """`response`: ratio per unit of nudge.  `growth`: the most that a small mistake grows by in an echo, as the norm of
    the transition matrix in coordinates (q, p/(m w)), w the fastest frequency of the linear part.
    """

    response: float
    growth: float

    @classmethod
    def of(cls, plan: EchoPlan, passes: Sequence[ForwardPass]) -> Forecast:
        """Of the echoes of these passes; takes no shot."""
        model, theta, step = plan.task.model, plan.theta, plan.task.step
        with np.errstate(over="ignore", invalid="ignore"):
            answers = [backwards(model, theta, item, step).response for item in passes]
            answered = sum(float(np.sum(answer**2)) for answer in answers)
            size = max(sum(float(np.sum(item.q**2)) for item in passes), 1e-300)
            growth = max(_growth(plan, item) for item in passes)
        return cls(float(np.sqrt(answered / size)), growth)

    def amplified(self, response: float, steps: int) -> float:
        """Rounding that has grown, relative to a nudge's `response` ratio."""
        return ROUNDING * float(np.sqrt(steps)) * self.growth / max(response, 1e-300)


def _growth(plan: EchoPlan, item: ForwardPass) -> float:
    model, theta, step = plan.task.model, plan.theta, plan.task.step
    n, mass = model.size, model.mass(theta)
    scale = mass * 2 / min(model.largest_step(theta), item.steps * step)  # p = m w q
    stiffness = iter(hessian_along(model, theta, item.q)[::-1])
    start = np.eye(2 * n)
    silence = np.broadcast_to(np.zeros((n, 1, 1)), (n, 2 * n, item.steps))
    ran = leapfrog(
        lambda q: -next(stiffness) @ q, mass, model.friction(theta), silence, step, start[:n],
        scale[:, None] * start[n:],
    )  # fmt: skip
    seen = np.concatenate([ran.q, mass[:, None, None] * ran.v / scale[:, None, None]])
    norms = np.sqrt(np.sum(seen**2, axis=(0, 1)))
    return float(np.nanmax(norms)) if np.isfinite(norms).any() else float("inf")


def undistorted(
    plan: EchoPlan, passes: Sequence[ForwardPass], reading: EchoReading, nudges: Achieved
) -> tuple[EchoReading, float]:
    """The reading without what the nudge had added, by the model, and the size of what may be left of that.

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
    sizes = [float(np.sqrt(sum(np.sum(np.square(part)) for part in parts.values()))) for parts in (added, terms)]
    return replace(reading, terms=terms), _MISTRUST * sizes[0] / max(sizes[1], 1e-300)
