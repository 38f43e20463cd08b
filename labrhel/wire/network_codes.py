"""The coefficients of an oscillator network as a board holds them: codes for one step.

    H = sum p_i^2/(2 m_i) + sum [k_i q_i^2/2 + b_i q_i^4/4 + s_i log cosh q_i]
        + sum_(i,j) K_ij (q_j - q_i)^2/2 - q . W u

Two formats: the state's, for positions, momenta, inputs and nudges, and the coefficients', for d/(2m), d k, d b, d K,
d s and d W, with d the step.  The terms in s are for boards with a table of tanh.  The host adds the input offset to
the input, since both are codes of the same port.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labrhel.arrays import Array, Arrays
from labrhel.errors import ProgramError
from labrhel.model.interface import ParameterSpec
from labrhel.wire.fixed_point import Codes, Format

_SATURATION = "saturation"
_ABSENT = ("quadratic", "quartic", "friction", "directed", "gyroscopic")


class Network(Protocol):
    """What a model must have to run on a board; `simbackend.models.oscillator_network` has."""

    size: int
    inputs: tuple[str, ...]
    edges: NDArray[np.int64]
    parameters: Mapping[str, ParameterSpec]
    time_unit: float
    position_unit: str
    input_unit: str
    force_unit: str

    def value(self, name: str, theta: Arrays) -> Array:
        """A parameter, nominal where `theta` does not name it."""
        ...

    def mass(self, theta: Arrays) -> Array:
        """Masses (n,)."""
        ...

    def shape_parameter(self, name: str, value: ArrayLike, shape: Any = None) -> Array:
        """A value as the full array of its parameter; refuses what cannot be physical."""
        ...


@dataclass(frozen=True, slots=True)
class NetworkCodes:
    """Coefficient codes of a network for one step d [model time].

    `drift_codes`, `stiffness_codes`, `cubic_codes` (n,), `edges` (edges, 2), `coupling_codes` (edges,),
    `input_codes` (n, inputs), `saturation_codes` (n,), or None for a network that has no such forces; `table` as in
    `labrhel.wire.board.Build`.
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
    saturation_codes: Codes | None = None
    table: int = 0

    @classmethod
    def of(cls, model: Network, theta: Arrays, step: float, state: Format, coefficient: Format, table: int = 0) -> Self:
        """The nearest codes of a network's parameters; the inverse, on codes, of `parameters`.

        Raises ProgramError for terms the integer core does not have (quadratic, quartic, friction, directed couplings;
        saturation without a table), LimitError for a coefficient beyond its format.
        """
        saturates = _SATURATION in model.parameters
        if saturates and not table and np.any(model.value(_SATURATION, theta)):
            raise ProgramError(
                "the board has no table of tanh: build one with it (Build(table=1024)), or set saturation to zero"
            )
        for name in _ABSENT:
            if name in model.parameters and np.any(model.value(name, theta)):
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
            saturation_codes=scaled(_SATURATION) if saturates and table else None,
            table=table if saturates else 0,
        )

    def parameters(self) -> dict[str, Array]:
        """The parameters [model units] that the codes stand for: what the board really runs.

        Raises ProgramError if a mass was so large that its drift code is zero.
        """
        if not self.drift_codes.all():
            raise ProgramError("a drift code is zero, so its mass is infinite: keep more bits below the point")
        names = ("stiffness", "cubic", "coupling", "input")
        codes = (self.stiffness_codes, self.cubic_codes, self.coupling_codes, self.input_codes)
        if self.saturation_codes is not None:
            names, codes = (*names, _SATURATION), (*codes, self.saturation_codes)
        found = {name: self.coefficient.to_values(item) / self.step for name, item in zip(names, codes, strict=True)}
        return found | {"mass": self.step / (2 * self.coefficient.to_values(self.drift_codes))}
