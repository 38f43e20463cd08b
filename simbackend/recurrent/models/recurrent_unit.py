"""What the gradient engines ask of the model of a recurrent unit, and what its models share.

A unit is n oscillators of mass 1, driven by d_in inputs and read out as y = C q.  Where they do not couple, each has a
time step d_i of its own, which may be trained (Rusch & Rus, LinOSS, 2024):

    q_h = q + (d/2) p;   p' = p + d F(q_h, u_k);   q' = q_h + (d/2) p';   y_k = C q'

With its own step a unit's Hamiltonian of a pass is d_i H_i, so the observable of d_i is H_i itself.  Arrays: positions
and momenta (..., n), inputs (..., d_in); parameters in model units, all of them trainable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from labrhel.model.interface import ParameterKind


@dataclass(frozen=True, slots=True)
class UnitParameter:
    """One parameter: its axes by name (n, d_in, d_out), where its gradient is read, what it means, its least value."""

    axes: tuple[str, ...]
    kind: ParameterKind
    meaning: str
    least: float = field(default=-math.inf, kw_only=True)


@dataclass(frozen=True, slots=True)
class KernelForm:
    """A unit as the kernels take it: F = -stiffness q - weight t, t = tanh(gain q + x) or -x, x = B u + bias.

    `gain` is None for linear units.  Coupled units, which have none, add -cubic q^3 + coupling q, the matrix (n, n)
    symmetric without a diagonal.  `frequency` (n,), of small oscillations, weighs positions and momenta.  `friction`
    (n,) adds -friction p; lossless units have none.
    """

    step: Array
    stiffness: Array
    weight: Array
    frequency: Array
    bias: Array
    gain: Array | None
    cubic: Array | None = None
    coupling: Array | None = None
    friction: Array | None = None


@dataclass(frozen=True, slots=True)
class UnitSums:
    """What the kernels summed over steps and batch, per unit (n,); `slope_input` (n, d_in) is sum g u^T.

    With D = (q+ - q-)/(2 eps) at the kick, m the mean position and g = D dt/dx:  gain: g m;  stiffness: D m;
    scale: t D;  kinetic: (p Dp + p' Dp')/2, with what friction adds to it (`models.damped`);  bias: g;  friction: D v,
    v the velocity of the forward pass at the kick, 0 in lossless units.  In coupled units gain is m D (m^2 + h^2),
    h = eps D, and `coupling` (n, n) is D m^T.
    """

    gain: Array
    stiffness: Array
    scale: Array
    kinetic: Array
    bias: Array
    friction: Array
    slope_input: Array
    coupling: Array | None = None


class RecurrentUnit(Protocol):
    """The model of a unit; all functions but the last two are the readable form that the kernels are tested against."""

    name: str
    linear: bool
    coupled: bool
    damped: bool
    parameters: Mapping[str, UnitParameter]

    def force(self, theta: Arrays, q: Array, u: Array) -> Array:
        """F = -dH/dq (..., n), inputs included."""
        ...

    def observables(self, theta: Arrays, q: Array, p: Array, after: Array, u: Array) -> dict[str, Array]:
        """D_i dH_i/dtheta of one step, summed over the batch; p before and after the kick, q at it."""
        ...

    def input_observable(self, theta: Arrays, q: Array, u: Array) -> Array:
        """Sum_i d_i dH_i/du (..., d_in)."""
        ...

    def force_pair(self, theta: Arrays, mean: Array, difference: Array, eps: float, u: Array) -> tuple[Array, Array]:
        """F at mean +- eps * difference: their mean, and their difference over 2 eps, without cancellation."""
        ...

    def pull_back(self, theta: Arrays, q: Array, u: Array, mu: Array) -> tuple[dict[str, Array], Array, Array]:
        """Mu . dF/dtheta summed over the batch (d and C left out), mu dF/dq (..., n) and mu . dF/du (..., d_in)."""
        ...

    def kernel_form(self, theta: Arrays) -> KernelForm:
        """The constants of the compiled kernels."""
        ...

    def gradients(self, theta: Arrays, sums: UnitSums) -> dict[str, Array]:
        """dL/dtheta of everything but C, from the kernels' sums."""
        ...


def sizes_of(model: RecurrentUnit, theta: Arrays) -> dict[str, int]:
    """Sizes n, d_in and d_out; ConfigurationError if a parameter is missing, unknown, misshapen or not finite."""
    missing, unknown = sorted(set(model.parameters) - set(theta)), sorted(set(theta) - set(model.parameters))
    if missing or unknown:
        wrong = f"parameter {missing[0]} is missing" if missing else f"unknown parameter {unknown[0]!r}"
        raise ConfigurationError(f"{wrong}; the {model.name} has: {', '.join(model.parameters)}")
    sizes: dict[str, int] = {}
    for name, parameter in model.parameters.items():
        shape = np.shape(theta[name])
        expected = f"({', '.join(parameter.axes)}{',' * (len(parameter.axes) == 1)})"
        if len(shape) != len(parameter.axes):
            raise ConfigurationError(f"{name} of the {model.name} has shape {shape}; expected {expected}")
        for axis, length in zip(parameter.axes, shape, strict=True):
            if sizes.setdefault(axis, length) != length:
                raise ConfigurationError(
                    f"{name} of the {model.name} has shape {shape}; expected {expected} with {axis} = {sizes[axis]}"
                )
        if not np.isfinite(theta[name]).all():
            raise ConfigurationError(f"{name} of the {model.name} holds a value that is not a finite number")
        if (np.asarray(theta[name]) < parameter.least).any():
            raise ConfigurationError(
                f"{name} of the {model.name} is {np.min(theta[name]):.3g} somewhere; "
                f"expected {parameter.least:g} or more"
            )
    return sizes
