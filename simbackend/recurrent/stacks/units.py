"""The two recurrent units of the paper as torch modules: random initial values, and what keeps them physical.

Engines take the parameters of `simbackend.recurrent.models.linear_hru` and `nonlinear_hru`.  Trained are other
coordinates, in
which no step of an optimizer leaves the physical range:

    d = sigmoid(step)               a step below 1 [model time]
    A = softplus(frequency)         linear: stiffness > 0; nonlinear: gain of the saturating spring > 0
    alpha = softplus(stiffness)     nonlinear only

With d < 1 the leapfrog is stable while the stiffness stays below 4.  Initial values follow LinOSS (Rusch & Rus 2024):
step and A uniform in (0, 1), B and C uniform within 1/sqrt(fan-in), b and c (the logit of the scale s) zero; alpha
starts uniform in (0, 1) too.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

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


UnitFactory = Callable[[Size], Unit]
"""What makes the unit of each block of a stack."""


class LinearUnit(Unit):
    """H = |p|^2/2 + q.A q/2 - q.B u, read out as y = C q."""

    def __init__(self, engine: Engine, size: Size) -> None:
        n = size.state
        super().__init__(
            engine,
            {
                "step": torch.rand(n),
                "frequency": _inverse_softplus(_open_unit(n)),
                "B": _uniform(n, size.inputs),
                "C": _uniform(size.outputs, n),
            },
        )

    def theta(self) -> dict[str, Tensor]:
        x = self.coordinates
        return {"d": torch.sigmoid(x["step"]), "A": softplus(x["frequency"]), "B": x["B"], "C": x["C"]}


class NonlinearUnit(Unit):
    """H = |p|^2/2 + alpha |q|^2/2 + sum_i s_i log cosh(A_i q_i + (B u)_i + b_i)/A_i, s = sigmoid(c); y = C q."""

    def __init__(self, engine: Engine, size: Size) -> None:
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
        )

    def theta(self) -> dict[str, Tensor]:
        x = self.coordinates
        return {
            "d": torch.sigmoid(x["step"]),
            "A": softplus(x["frequency"]),
            "B": x["B"],
            "b": x["b"],
            "alpha": softplus(x["stiffness"]),
            "c": x["c"],
            "C": x["C"],
        }


def _uniform(rows: int, columns: int) -> Tensor:
    return (2 * torch.rand(rows, columns) - 1) / math.sqrt(columns)


def _open_unit(count: int) -> Tensor:
    # Away from 0: an A of 1e-3 is as good as none, and its logarithm would be far from all others.
    return 0.05 + 0.95 * torch.rand(count)


def _inverse_softplus(values: Tensor) -> Tensor:
    return torch.log(torch.expm1(values))
