"""The recurrent units of the paper as torch modules: random initial values, and what keeps them physical.

Each is lossless, or damped with a friction of every oscillator's own.  Engines take the parameters of
`simbackend.recurrent.models.linear_hru`, `nonlinear_hru` and `damped`.  Trained are other coordinates, in which no step
of an optimizer leaves the physical range:

    d = sigmoid(step)               a step below 1 [model time]
    A = softplus(frequency)         linear: stiffness > 0; nonlinear: gain of the saturating spring > 0
    alpha = softplus(stiffness)     nonlinear only
    g = softplus(friction)          damped only

With d < 1 the leapfrog is stable while the stiffness stays below 4.  Initial values follow LinOSS (Rusch & Rus 2024):
step and A uniform in (0, 1), B and C uniform within 1/sqrt(fan-in), b and c (the logit of the scale s) zero; alpha
starts uniform in (0, 1) too.  log g starts uniform in (log 0.01, log 1): a unit forgets in about 2/g, so that together
they cover memories of 2 to 200 [model time].  `Beginning` puts other values there, and may fix them.

A soft oscillator with friction, A < g^2/4, is an integrator that leaks at the rate A/g: a stiffness drawn down to 1e-4
gives memories of 10,000 [model time] beside short ones.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from labrhel.learning.units import Engine
from simbackend.recurrent.stacks.layer import Unit


@dataclass(frozen=True, slots=True)
class Size:
    """Inputs, oscillators and outputs of a unit."""

    inputs: int
    state: int
    outputs: int


Start = float | tuple[float, float] | None
"""Where a number of each oscillator begins: all there, drawn between two with a uniform logarithm, or as usual."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where step, friction and stiffness of the oscillators begin, and whether they are trained from there.

    The stiffness is A of linear units, alpha of nonlinear ones.
    """

    step: Start = None
    friction: Start = None
    stiffness: Start = None
    trains_step: bool = True
    trains_friction: bool = True
    trains_stiffness: bool = True


_DRAWN = Beginning()
_FRICTION = (0.01, 1.0)

UnitFactory = Callable[[Size], Unit]
"""What makes the unit of each block of a stack."""


class _WithFriction(Unit):
    """What all units share: their step, their stiffness, and their friction if they are damped."""

    damped: ClassVar[bool] = False
    stiff: ClassVar[str] = "frequency"
    """The coordinate of the stiffness."""

    def __init__(self, engine: Engine, initial: Mapping[str, Tensor], beginning: Beginning) -> None:
        count = len(initial["step"])
        initial = dict(initial)
        if beginning.step is not None:
            initial["step"] = torch.logit(_begun(beginning.step, count).double()).float()
        if beginning.stiffness is not None:
            initial[self.stiff] = _inverse_softplus(_begun(beginning.stiffness, count).float())
        if self.damped:
            initial["friction"] = _inverse_softplus(_begun(beginning.friction or _FRICTION, count).float())
        super().__init__(engine, initial)
        self.coordinates["step"].requires_grad_(beginning.trains_step)
        self.coordinates[self.stiff].requires_grad_(beginning.trains_stiffness)
        if self.damped:
            self.coordinates["friction"].requires_grad_(beginning.trains_friction)

    def _friction(self) -> dict[str, Tensor]:
        return {"g": softplus(self.coordinates["friction"])} if self.damped else {}


class LinearUnit(_WithFriction):
    """H = |p|^2/2 + q.A q/2 - q.B u, read out as y = C q."""

    def __init__(self, engine: Engine, size: Size, beginning: Beginning = _DRAWN) -> None:
        n = size.state
        super().__init__(
            engine,
            {
                "step": torch.rand(n),
                "frequency": _inverse_softplus(_open_unit(n)),
                "B": _uniform(n, size.inputs),
                "C": _uniform(size.outputs, n),
            },
            beginning,
        )

    def theta(self) -> dict[str, Tensor]:
        x = self.coordinates
        lossless = {"d": torch.sigmoid(x["step"]), "A": softplus(x["frequency"]), "B": x["B"], "C": x["C"]}
        return lossless | self._friction()


class ComplexUnit(_WithFriction):
    """The linear unit on complex positions, as published: two real copies that share step and stiffness; y = Re(C q).

    Real and imaginary parts of q and B stand one below the other, (2n,) and (2n, d_in); C reads both, (d_out, 2n).
    """

    def __init__(self, engine: Engine, size: Size, beginning: Beginning = _DRAWN) -> None:
        n = size.state
        super().__init__(
            engine,
            {
                "step": torch.rand(n),
                "frequency": _inverse_softplus(_open_unit(n)),
                "B": _uniform(2 * n, size.inputs),
                "C": torch.cat([_uniform(size.outputs, n), _uniform(size.outputs, n)], dim=1),
            },
            beginning,
        )

    def theta(self) -> dict[str, Tensor]:
        x = self.coordinates
        return {
            "d": torch.sigmoid(x["step"]).repeat(2),
            "A": softplus(x["frequency"]).repeat(2),
            "B": x["B"],
            "C": x["C"],
        }


class NonlinearUnit(_WithFriction):
    """H = |p|^2/2 + alpha |q|^2/2 + sum_i s_i log cosh(A_i q_i + (B u)_i + b_i)/A_i, s = sigmoid(c); y = C q."""

    stiff = "stiffness"

    def __init__(self, engine: Engine, size: Size, beginning: Beginning = _DRAWN) -> None:
        n = size.state
        super().__init__(
            engine,
            {
                "step": torch.rand(n),
                "frequency": _inverse_softplus(_open_unit(n)),
                "stiffness": _inverse_softplus(_open_unit(n)),
                "B": _uniform(n, size.inputs),
                "b": torch.zeros(n),
                "c": torch.zeros(n),
                "C": _uniform(size.outputs, n),
            },
            beginning,
        )

    def theta(self) -> dict[str, Tensor]:
        x = self.coordinates
        lossless = {
            "d": torch.sigmoid(x["step"]),
            "A": softplus(x["frequency"]),
            "B": x["B"],
            "b": x["b"],
            "alpha": softplus(x["stiffness"]),
            "c": x["c"],
            "C": x["C"],
        }
        return lossless | self._friction()


class DampedLinearUnit(LinearUnit):
    """The linear unit with friction, p' = F - g p."""

    damped = True


class DampedNonlinearUnit(NonlinearUnit):
    """The nonlinear unit with friction, p' = F - g p."""

    damped = True


UNITS: Mapping[str, type[LinearUnit] | type[ComplexUnit] | type[NonlinearUnit]] = MappingProxyType(
    {
        "linear": LinearUnit,
        "complex": ComplexUnit,
        "nonlinear": NonlinearUnit,
        "damped": DampedLinearUnit,
        "damped_nonlinear": DampedNonlinearUnit,
    }
)
"""By the names that configurations give them."""


def _uniform(rows: int, columns: int) -> Tensor:
    return (2 * torch.rand(rows, columns) - 1) / math.sqrt(columns)


def _open_unit(count: int) -> Tensor:
    # Away from 0: an A of 1e-3 is as good as none, and its logarithm would be far from all others.
    return 0.05 + 0.95 * torch.rand(count)


def _begun(start: float | tuple[float, float], count: int) -> Tensor:
    if not isinstance(start, tuple):
        return torch.full((count,), start, dtype=torch.float64)
    low, high = start
    return 10 ** (math.log10(high) + math.log10(low / high) * torch.rand(count))


def _inverse_softplus(values: Tensor) -> Tensor:
    # Beyond 20 softplus is the same to 2e-9, and expm1 overflows in float32 from 89 on.
    return torch.where(values > 20, values, torch.log(torch.expm1(values)))
