"""Gradients by reverse-mode differentiation over a tape (BPTT): what all others are compared with.

The forward pass keeps the position at each kick and the momentum before it, 2 n numbers a step and sequence: the
memory that echoes do without.
"""

from __future__ import annotations

from labrhel.arrays import Array, Arrays
from labrhel.learning.units import ForwardRun, UnitState
from simbackend.recurrent.engines.adjoint import AdjointEngine


class TapeEngine(AdjointEngine):
    """The exact gradient of the discrete unit over the path that was taken."""

    name = "bptt"

    def forward(self, theta: Arrays, inputs: Array, start: UnitState | None = None) -> ForwardRun:
        """Run the unit and keep the tape, else as `KernelEngine.forward`."""
        return self._run(theta, inputs, start, taped=True)
