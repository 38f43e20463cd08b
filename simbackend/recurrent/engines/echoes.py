"""Gradients by physical echoes: two or four nudged runs of the unit itself, as a rig would make them.

    dL/dtheta = -(1/(2 eps)) sum_k D[d dH/dtheta]        (PHYSICS section 2; estimators: `labrhel.learning.estimator`)

The echoes of a pair run side by side, each with arithmetic of its own, and what they add to an observable is
subtracted step by step; no trace is kept.  Nonlinear observables are read by their mid-point forms (see the model).
The nudge reaches echo step 0 as a kick before it, and each later one after the step that retraced its sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array
from labrhel.learning.estimator import Estimator
from labrhel.learning.units import BackwardRun, ForwardRun, UnitState
from simbackend.recurrent.engines.checks import checked_eps, held_eps
from simbackend.recurrent.engines.judging import judge
from simbackend.recurrent.engines.kernel_engine import Backward, KernelEngine
from simbackend.recurrent.engines.nudging import response_ratio, settle
from simbackend.recurrent.models.damped import friction_of, start_of
from simbackend.recurrent.models.recurrent_unit import RecurrentUnit

RESPONSES = {np.dtype(np.float32): 3e-3, np.dtype(np.float64): 1e-5}
"""Response ratio to aim at: there the symmetric estimator's error of order r^2 meets that of rounding, of order u/r."""
LINEAR_RESPONSE = 0.3
"""Linear units are exact at any eps: echoes as far apart as the state is large lose no digits."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """A difference quotient of everything between two levels of nudge."""

    back: Backward
    start: UnitState
    retrace_error: float


class EchoEngine(KernelEngine):
    """Physical echoes of a simulated unit; `eps` multiplies the cotangent; None: it is chosen from the response."""

    name = "echoes"
    quick = True

    def __init__(
        self,
        model: RecurrentUnit,
        *,
        estimator: Estimator = Estimator.SYMMETRIC,
        eps: float | None = None,
        threads: int = 0,
        input_gradient: bool = True,
    ) -> None:
        super().__init__(model, threads=threads, input_gradient=input_gradient)
        self._estimator, self._eps = Estimator(estimator), checked_eps(eps)

    def backward(self, run: ForwardRun, cotangent: Array) -> BackwardRun:
        """Gradients, given dL/d(outputs) (batch, steps, d_out)."""
        upper, lower, _ = self._estimator.pairs[0]

        def attempt(eps: float) -> tuple[float, _Pair]:
            pair = self._pair(run, cotangent, upper * eps, lower * eps)
            return response_ratio(eps, pair.back.response, pair.back.position), pair

        if self._eps is None:
            target = LINEAR_RESPONSE if self.model.linear else RESPONSES[run.inputs.dtype]
            eps, first = settle(run, cotangent, attempt, low=target / 5, target=target, high=3 * target)
        else:
            eps = held_eps(self._eps, run.inputs.dtype)
            _, first = attempt(eps)
        pairs = [first] + [self._pair(run, cotangent, a * eps, b * eps) for a, b, _ in self._estimator.pairs[1:]]
        weights = [weight for _, _, weight in self._estimator.pairs]
        names = first.back.parameters
        kind = run.inputs.dtype
        gradients = {
            name: _weighed([pair.back.parameters[name] for pair in pairs], weights).astype(kind) for name in names
        }
        response = response_ratio(eps, first.back.response, first.back.position)
        # Nothing came back: either nothing was nudged, or the nudge was lost in rounding.
        noise = np.finfo(kind).eps / response if response > 0 else (math.inf if np.any(cotangent) else 0.0)
        return BackwardRun(
            parameters=gradients,
            inputs=_weighed([pair.back.inputs for pair in pairs], weights),
            start=UnitState(
                _weighed([pair.start.q for pair in pairs], weights), _weighed([pair.start.p for pair in pairs], weights)
            ),
            response_ratio=response,
            growth=first.back.growth,
            retrace_error=first.retrace_error,
            warnings=judge(
                self.model, gradients, kind, run.inputs.shape[1], growth=first.back.growth, retrace=first.retrace_error,
                response=response, noise=float(noise), eps=self._eps,
            ),
            rounding=float(noise),
            bending=0.0 if self.model.linear else response * response,
        )  # fmt: skip

    def _pair(self, run: ForwardRun, cotangent: Array, upper: float, lower: float) -> _Pair:
        back = self._back(run, cotangent, levels=(upper, lower))
        qa, pa, qb, pb = back.ends
        mean = (qb, pb) if lower == 0 else ((qa + qb) / 2, (pa + pb) / 2)
        kind = run.inputs.dtype
        dq, dp = (qa - qb) / back.apart, (pa - pb) / back.apart
        found = start_of(friction_of(self.model, run.theta), run.theta["d"], dq, dp)
        start = UnitState(found.q.astype(kind), found.p.astype(kind))
        return _Pair(back, start, back.missed(run, *mean))


def _weighed(values: list[Array], weights: list[float]) -> Array:
    if len(values) == 1:
        return values[0]
    return sum(weight * value for weight, value in zip(weights, values, strict=True))  # pyright: ignore[reportReturnType]
