"""An oscillator network in the registers of an FPGA board: coefficients as codes, and runs on codes.

    H = sum p_i^2/(2 m_i) + sum [k_i q_i^2/2 + b_i q_i^4/4] + sum_(i,j) K_ij (q_j - q_i)^2/2 - q . W u

The integer map is defined in `simbackend.fixed_point.reference`.  Two formats: the state's, for positions, momenta,
inputs and nudges, and the coefficients', for d/(2m), d k, d b, d K and d W, with d the step.  The host adds the input
offset to the input, since both are codes of the same port.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ProgramError
from labrhel.wire.fixed_point import Codes, Format
from simbackend.fixed_point.kernel import run_steps
from simbackend.models.oscillator_network import OscillatorNetwork

_ABSENT = ("quadratic", "quartic", "friction")


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


@dataclass(frozen=True, slots=True)
class FixedPointNetwork:
    """Coefficient codes of a network for one step d [model time].

    `drift_codes`, `stiffness_codes`, `cubic_codes` (n,), `edges` (edges, 2), `coupling_codes` (edges,),
    `input_codes` (n, inputs).
    """

    state: Format
    coefficient: Format
    step: float
    drift_codes: Codes
    stiffness_codes: Codes
    cubic_codes: Codes
    edges: Codes
    coupling_codes: Codes
    input_codes: Codes

    @classmethod
    def of(
        cls, model: OscillatorNetwork, theta: Arrays, step: float, state: Format, coefficient: Format
    ) -> FixedPointNetwork:
        """The nearest codes of a network's parameters; the inverse, on codes, of `parameters`.

        Raises ProgramError for terms the integer core does not have (quadratic, quartic, friction), LimitError for
        a coefficient beyond its format.
        """
        for name in _ABSENT:
            if np.any(model.value(name, theta)):
                raise ProgramError(
                    f"the integer leapfrog has no {name} term: set it to zero, or run the network in floating point"
                )

        def scaled(name: str) -> Codes:
            return coefficient.to_codes(step * model.value(name, theta), f"step times {name}")

        return cls(
            state=state,
            coefficient=coefficient,
            step=step,
            drift_codes=coefficient.to_codes(step / (2 * model.mass(theta)), "half the step over a mass"),
            stiffness_codes=scaled("stiffness"),
            cubic_codes=scaled("cubic"),
            edges=model.edges,
            coupling_codes=scaled("coupling"),
            input_codes=scaled("input"),
        )

    def parameters(self) -> dict[str, Array]:
        """The parameters [model units] that the codes stand for: what the board really runs.

        Raises ProgramError if a mass was so large that its drift code is zero.
        """
        if not self.drift_codes.all():
            raise ProgramError("a drift code is zero, so its mass is infinite: keep more bits below the point")
        names = ("stiffness", "cubic", "coupling", "input")
        codes = (self.stiffness_codes, self.cubic_codes, self.coupling_codes, self.input_codes)
        found = {name: self.coefficient.to_values(item) / self.step for name, item in zip(names, codes, strict=True)}
        return found | {"mass": self.step / (2 * self.coefficient.to_values(self.drift_codes))}

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
            np.empty(n, np.int64),
            positions,
            momenta,
        )
        return FixedPointRun(FixedPointState(q, p), int(overflows), positions, momenta)
