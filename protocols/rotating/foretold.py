"""What the host's model says of the echoes of an array before they are fired: answer, growth of rounding, bias.

All by running the model itself along the recorded path, twice, a little apart: the answer to a nudge, the answer to
one unit of rounding at every kick, and the answer of an echo whose lossy modes are driven only where ports reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from labrhel.arrays import Array
from labrhel.model.rotating import Amplitudes
from protocols.forward.forward import ForwardPass
from protocols.rotating.plan import ConjugationPlan

_APART = 1e-6  # of the motion: its square is below, and its rounding far above, what matters
_ROUNDING = float(np.finfo(float).eps)


def answered(plan: ConjugationPlan, item: ForwardPass, nudge: Amplitudes) -> tuple[Amplitudes, Amplitudes]:
    """Delta (n, steps) and its end (n,) of the model to a nudge of fields (n, steps), per unit of it."""
    size = float(np.sqrt(np.mean(np.abs(item.q) ** 2))) or 1.0
    largest = float(np.abs(nudge).max()) * plan.task.step
    if not largest > 0:
        return np.zeros_like(item.q), np.zeros(len(item.q), complex)
    eps = _APART * size / largest
    theta, step = {**plan.theta, **plan.turned}, plan.task.step
    fields = np.conj(plan.model.field(item.u, plan.theta))[:, ::-1] + plan.compensation(item)
    fields = fields - _left_out(plan, item)
    start = np.conj(plan.end(item))
    plus, minus = (plan.model.pass_of(theta, fields + sign * eps * nudge, step, start) for sign in (1, -1))
    return (plus[0] - minus[0]) / (2 * eps), (plus[1] - minus[1]) / (2 * eps)


def growth_of_rounding(plan: ConjugationPlan, passes: Sequence[ForwardPass]) -> float:
    """What one unit of relative rounding at every kick becomes in the echoes of these passes, over the motion (rms)."""
    random, grown, motion = np.random.default_rng(0), 0.0, 0.0
    for item in passes:
        unit = float(np.sqrt(np.mean(np.abs(item.q) ** 2)))
        drawn = random.standard_normal((2, *item.q.shape))
        delta, _ = answered(plan, item, unit / plan.task.step * (drawn[0] + 1j * drawn[1]))
        grown += float(np.sum(np.abs(delta) ** 2))
        motion += float(np.sum(np.abs(item.q) ** 2))
    ratio = float(np.sqrt(grown / max(motion, 1e-300)))
    return _ROUNDING * ratio if np.isfinite(ratio) else float("inf")


def response_of(plan: ConjugationPlan, passes: Sequence[ForwardPass]) -> float:
    """Root of the sum of squares of delta: the response to a nudge of eps 1."""
    deltas = [answered(plan, item, plan.nudge(item))[0] for item in passes]
    return float(np.sqrt(sum(np.sum(np.abs(delta) ** 2) for delta in deltas)))


def bias_of_missing_ports(plan: ConjugationPlan, passes: Sequence[ForwardPass]) -> dict[str, Array]:
    """By parameter, what lossy modes without a port do to the gradient: echo as it is driven, less the whole one."""
    whole, found = replace(plan, partial=False), dict[str, Array]()
    for item in passes:
        nudge = plan.nudge(item)
        terms = [each.terms(item, *answered(each, item, nudge)) for each in (plan, whole)]
        for name in terms[0]:
            found[name] = found.get(name, 0.0) + terms[0][name] - terms[1][name]
    return found


def _left_out(plan: ConjugationPlan, item: ForwardPass) -> Amplitudes:
    """What `compensation` holds of the inputs, which the model is given whole."""
    return replace(plan, driven=False).compensation(item)
