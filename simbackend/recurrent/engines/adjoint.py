"""Gradients by the reversible adjoint: the limit eps -> 0 of the echoes, at their cost in time and memory.

The path is run backwards from its end state, which the reversible leapfrog does to rounding, and the adjoint (the
difference of two echoes over 2 eps) goes along.  Nothing but the end state is kept, and under friction the velocities
at the kicks, without which the path would not come back.
"""

from __future__ import annotations

from labrhel.arrays import Array
from labrhel.learning.units import BackwardRun, ForwardRun
from simbackend.recurrent.engines.judging import judge
from simbackend.recurrent.engines.kernel_engine import KernelEngine
from simbackend.recurrent.engines.nudging import response_ratio
from simbackend.recurrent.models.damped import friction_of, start_of


class AdjointEngine(KernelEngine):
    """The exact gradient of the discrete unit, to rounding times growth."""

    name = "adjoint"

    def backward(self, run: ForwardRun, cotangent: Array) -> BackwardRun:
        """Gradients, given dL/d(outputs) (batch, steps, d_out)."""
        return self._tangent(run, cotangent)

    def _tangent(self, run: ForwardRun, cotangent: Array, eps: float | None = None) -> BackwardRun:
        kind = run.inputs.dtype
        # A linear unit's difference form is its own limit: one kernel does for both.
        back = self._back(run, cotangent, eps=None if self.model.linear else eps)
        q, p, dq, dp = back.ends
        gradients = {name: value.astype(kind) for name, value in back.parameters.items()}
        response = 0.0 if eps is None else response_ratio(eps, back.response, back.position)
        retrace = back.missed(run, q, p) if run.tape is None else 0.0
        return BackwardRun(
            parameters=gradients,
            inputs=back.inputs,
            start=start_of(friction_of(self.model, run.theta), run.theta["d"], dq, dp),
            response_ratio=response,
            growth=back.growth,
            retrace_error=retrace,
            warnings=judge(
                self.model, gradients, kind, run.inputs.shape[1], growth=back.growth, retrace=retrace, response=response
            ),
            bending=0.0 if self.model.linear else response * response,
        )
