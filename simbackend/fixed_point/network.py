"""An oscillator network in the registers of an FPGA board: runs on codes.

The integer map is defined in `simbackend.fixed_point.reference`, the codes in `labrhel.wire.network_codes`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import ProgramError
from labrhel.wire.fixed_point import Codes
from labrhel.wire.network_codes import NetworkCodes
from labrhel.wire.tanh_table import points, reach_of, shift_of
from simbackend.fixed_point.kernel import run_steps


@dataclass(frozen=True, slots=True)
class FixedPointState:
    """Positions and momenta (n,) in codes of the state's format."""

    q_codes: Codes
    p_codes: Codes


@dataclass(frozen=True, slots=True)
class FixedPointRun:
    """The end of a pass, how many words did not fit (the board's flag is "not zero"), and the trace if kept.

    `position_codes` (n, steps) at the kicks, `momentum_codes` (n, steps + 1) before, between and after them, both
    int32; of length 0 where no trace was kept.
    """

    end: FixedPointState
    overflows: int
    position_codes: Array
    momentum_codes: Array


class FixedPointNetwork(NetworkCodes):
    """The coefficient codes of a network, and what a board does with them."""

    __slots__ = ()

    def state_of(self, position: Array, momentum: Array) -> FixedPointState:
        """The nearest codes of positions and momenta (n,) [model units]; LimitError if one does not fit."""
        return FixedPointState(self.state.to_codes(position, "a position"), self.state.to_codes(momentum, "a momentum"))

    def flipped(self, state: FixedPointState) -> FixedPointState:
        """(q, p) -> (q, -p), in words: the time reversal."""
        return FixedPointState(state.q_codes, self.state.wrap_codes(-state.p_codes))

    def run(
        self, start: FixedPointState, drive_codes: Codes, kick_codes: Codes | None = None, *, trace: bool = True
    ) -> FixedPointRun:
        """Run one pass of as many steps as `drive_codes` (inputs, steps) has.

        `kick_codes` (n, steps) are nudges, step times force, in momentum codes.  Raises ProgramError for shapes that
        disagree.
        """
        n, (inputs, steps) = len(self.drift_codes), drive_codes.shape
        if inputs != self.input_codes.shape[1]:
            raise ProgramError(f"{inputs} inputs are driven; the network has {self.input_codes.shape[1]}")
        if start.q_codes.shape != (n,) or start.p_codes.shape != (n,):
            raise ProgramError(f"a start of {start.q_codes.size} oscillators; the network has {n}")
        if kick_codes is not None and kick_codes.shape != (n, steps):
            raise ProgramError(f"nudges have shape {kick_codes.shape}; {n} oscillators and {steps} steps need both")
        q, p = (np.array(codes, dtype=np.int64) for codes in (start.q_codes, start.p_codes))
        kept = steps if trace else 0
        positions = np.empty((n, kept), np.int32)
        momenta = np.empty((n, steps + 1 if trace else 0), np.int32)
        overflows = run_steps(
            q,
            p,
            np.ascontiguousarray(drive_codes, dtype=np.int64),
            np.ascontiguousarray(np.empty((n, 0)) if kick_codes is None else kick_codes, dtype=np.int64),
            self.state.word,
            self.state.fraction,
            self.coefficient.word,
            self.coefficient.fraction,
            self.drift_codes,
            self.stiffness_codes,
            self.cubic_codes,
            self.edges,
            self.coupling_codes,
            self.input_codes,
            *self._tanh(),
            np.empty(n, np.int64),
            positions,
            momenta,
        )
        return FixedPointRun(FixedPointState(q, p), int(overflows), positions, momenta)

    def _tanh(self) -> tuple[Codes, Codes, int, int]:
        """Coefficients and table of the saturating forces, empty where there are none."""
        if self.saturation_codes is None:
            return np.empty(0, np.int64), np.empty(0, np.int64), 0, 0
        table = points(self.state, self.table)
        return self.saturation_codes, table, shift_of(self.state, self.table), reach_of(self.state)
