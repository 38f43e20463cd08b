"""Gradient engines of recurrent units: one interface, several ways to go backwards in time.

A unit maps an input sequence to an output sequence, y_k = C q_k, and carries the state (q, p) along.  An engine runs
it forward, then, given the cotangent dL/dy of a loss, returns the gradients of all parameters, of the inputs and of
the initial state.  Which parameters there are is the model's; how the gradient is obtained is the engine's: by
physical echoes, by the difference form of two echoes, by the reversible adjoint (eps -> 0), or over a tape (BPTT).

Arrays are C-contiguous and of one floating type (float32 or float64), batch first:
    inputs (batch, steps, d_in)     outputs (batch, steps, d_out)     state (batch, n)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from labrhel.arrays import Array, Arrays


@dataclass(frozen=True, slots=True)
class UnitState:
    """Positions and momenta (batch, n) on the full-step grid."""

    q: Array
    p: Array


@dataclass(frozen=True, slots=True)
class ForwardRun:
    """What a forward pass leaves: outputs, the end state, and whatever the engine needs to go back.

    `tape` is None for engines that keep nothing but the end state.  `record` holds what an echo under friction needs,
    the velocities at the kicks; None in lossless units, and where there is a tape.  Both are private to the engine.
    """

    theta: Arrays
    inputs: Array
    outputs: Array
    start: UnitState
    end: UnitState
    tape: object = None
    record: object = None


@dataclass(frozen=True, slots=True)
class BackwardRun:
    """Gradients of the loss, and how far they can be trusted.

    `parameters` by name; `inputs` (batch, steps, d_in); `start` dL/d(q, p) at the beginning.  `response_ratio` is r of
    the echoes (0 for exact engines), `growth` the largest ratio by which the adjoint grew from where it was fed in,
    `retrace_error` the relative distance of the un-nudged (or mean) echo from the start state.  `rounding` is the
    relative rounding of what the gradient is made of, u/r of echoes, which subtract; None for that of the type, u.
    `bending` is r^2 of units that are not linear, the order of the error that nudges of that size make.
    """

    parameters: Mapping[str, Array]
    inputs: Array
    start: UnitState
    response_ratio: float
    growth: float
    retrace_error: float
    warnings: tuple[str, ...] = ()
    rounding: float | None = None
    bending: float = 0.0


class Engine(Protocol):
    """One way to obtain gradients of a recurrent unit."""

    name: str

    def forward(self, theta: Arrays, inputs: Array, start: UnitState | None = None) -> ForwardRun:
        """Run the unit over the inputs, from rest if no start is given."""
        ...

    def backward(self, run: ForwardRun, cotangent: Array) -> BackwardRun:
        """Gradients, given dL/d(outputs) (batch, steps, d_out)."""
        ...
