"""Gradients by the difference form of two echoes: what they would measure at `eps`, free of cancellation.

The mean m of the echoes and their scaled difference D are carried instead of the echoes (PHYSICS section 2), so
rounding does not grow as eps shrinks: float32 is as good as float32 BPTT for any small eps.  Software only.
Linear units do not depend on eps.
"""

from __future__ import annotations

from labrhel.arrays import Array
from labrhel.learning.units import BackwardRun, ForwardRun
from simbackend.recurrent.engines.adjoint import AdjointEngine
from simbackend.recurrent.engines.checks import checked_eps, held_eps
from simbackend.recurrent.engines.nudging import settle
from simbackend.recurrent.models.recurrent_unit import RecurrentUnit

_TARGET, _LARGEST = 1e-9, 1e-7
"""Response ratios to aim at and to put up with when eps is not given: errors of order r^2 below any rounding."""


class DifferenceEngine(AdjointEngine):
    """Two echoes in difference form; `eps` multiplies the cotangent; None: it is chosen from the response."""

    name = "difference"

    def __init__(
        self,
        model: RecurrentUnit,
        *,
        eps: float | None = None,
        threads: int = 0,
        input_gradient: bool = True,
    ) -> None:
        super().__init__(model, threads=threads, input_gradient=input_gradient)
        self._eps = checked_eps(eps)

    def backward(self, run: ForwardRun, cotangent: Array) -> BackwardRun:
        """Gradients, given dL/d(outputs) (batch, steps, d_out)."""
        if self._eps is not None:
            return self._tangent(run, cotangent, held_eps(self._eps, run.inputs.dtype))

        def attempt(eps: float) -> tuple[float, BackwardRun]:
            found = self._tangent(run, cotangent, eps)
            return found.response_ratio, found

        return settle(run, cotangent, attempt, low=0.0, target=_TARGET, high=_LARGEST)[1]
