"""Overdamped network that relaxes to a minimum of its energy: the model of equilibrium propagation.

    E = sum_i z_i^2/2 - sum_(i,j) K_ij r(z_i) r(z_j) - sum_i b_i r(z_i) - r(z) . W x,        dz/dt = F = -dE/dz
    F_i = -z_i + r'(z_i) [sum_j K_ij r(z_j) + b_i + (W x)_i]

with r = tanh, or the hard sigmoid r(z) = z of states that are held between 0 and 1.  The optional `nonreciprocity`
N_ij of a coupled pair makes i feel K + N and j feel K - N; there is then no energy, and plain equilibrium propagation
is biased.

Equilibrium propagation: relax freely to z*, then with the extra force -beta dC/dz for +-beta;
    dL/dtheta = (E_theta[+] - E_theta[-]) / (2 beta)         observables K: -r(z_i) r(z_j); b: -r(z_i); W: -r(z_i) x_j
(sign opposite to that of echoes).  The exact gradient, with or without reciprocity, is dL/dtheta = -c . dF/dtheta with
c = J^-T dC/dz, J = dF/dz at z*, over the units that are not held at an end.
Source: Scellier & Bengio, Front. Comput. Neurosci. 11, 24 (2017), where the states are held between 0 and 1 as well;
symmetric estimate: Laborieux et al., Front. Neurosci. 15, 633674 (2021).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from labrhel.model.interface import ParameterKind, ParameterSpec
from simbackend.models.oscillator_network import edges_of


class Unit(enum.StrEnum):
    """How a unit answers to its state: r(z)."""

    TANH = "tanh"
    HARD_SIGMOID = "hard_sigmoid"

    def response(self, z: Array) -> Array:
        """r(z)."""
        return np.tanh(z) if self is Unit.TANH else z

    def slope(self, z: Array) -> Array:
        """r'(z)."""
        return 1 - np.tanh(z) ** 2 if self is Unit.TANH else np.ones_like(z)

    def curvature(self, z: Array) -> Array:
        """r''(z)."""
        return -2 * np.tanh(z) * (1 - np.tanh(z) ** 2) if self is Unit.TANH else np.zeros_like(z)

    def confine(self, z: Array) -> Array:
        """The nearest state that the unit can take."""
        return z if self is Unit.TANH else np.clip(z, 0.0, 1.0)

    def is_free(self, z: Array, force: Array) -> Array:
        """False where a unit is held at an end of its range against a force."""
        return self.confine(z + np.sign(force)) != z if self is Unit.HARD_SIGMOID else np.ones(z.shape, dtype=bool)


@dataclass(frozen=True, slots=True)
class Settled:
    """Where the network came to rest (n,), the largest speed left, the time it took, and whether it was enough."""

    state: Array
    residual: float
    time: float
    settled: bool


class RelaxationNetwork:
    """The network; `theta` maps parameter names to arrays, absent ones take their nominal values.

    Time is in units of the relaxation time of a free unit.
    """

    def __init__(
        self,
        size: int,
        *,
        inputs: Sequence[str] = ("x1",),
        coupling: str | Sequence[Sequence[int]] = "all",
        unit: Unit = Unit.TANH,
        nominal: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        if size < 1:
            raise ConfigurationError(f"a network needs at least one unit, not {size}")
        self.size, self.inputs, self.unit = size, tuple(inputs), unit
        self.edges = edges_of(coupling, size)
        pairs, drives = (len(self.edges),), (size, len(self.inputs))
        default: dict[str, tuple[ParameterKind, tuple[int, ...], str]] = {
            "coupling": ("potential", pairs, "symmetric coupling K_ij of the pairs"),
            "nonreciprocity": ("potential", pairs, "N_ij: of a pair (i, j), i feels K + N and j feels K - N"),
            "bias": ("potential", (size,), "bias b_i"),
            "input": ("input", drives, "input map W"),
        }
        unknown = sorted(set(nominal or {}) - set(default))
        if unknown:
            raise ConfigurationError(f"unknown parameter {unknown[0]!r}; the network has: {', '.join(default)}")
        specs = {}
        for name, (kind, shape, meaning) in default.items():
            given = np.asarray((nominal or {}).get(name, 0.0), dtype=float)
            if given.shape not in ((), shape):
                raise ConfigurationError(f"{name} has shape {given.shape}; expected {shape} or a single number")
            specs[name] = ParameterSpec(shape, "1", kind, np.array(np.broadcast_to(given, shape)), meaning)
        self.parameters: Mapping[str, ParameterSpec] = MappingProxyType(specs)

    def value(self, name: str, theta: Arrays) -> Array:
        """The value of a parameter, nominal where `theta` does not name it."""
        return np.asarray(theta[name], float) if name in theta else self.parameters[name].nominal

    def couplings(self, theta: Arrays) -> Array:
        """What each unit feels of each other one (n, n); symmetric without `nonreciprocity`."""
        matrix, (i, j) = np.zeros((self.size, self.size)), self.edges.T
        mean, skew = self.value("coupling", theta), self.value("nonreciprocity", theta)
        matrix[i, j], matrix[j, i] = mean + skew, mean - skew
        return matrix

    def energy(self, z: Array, x: Array, theta: Arrays) -> float:
        """E of a state (n,) under inputs x (inputs,), the nonreciprocal part left out."""
        r, (i, j) = self.unit.response(z), self.edges.T
        fields = self.value("bias", theta) + self.value("input", theta) @ x
        return float(z @ z / 2 - self.value("coupling", theta) @ (r[i] * r[j]) - fields @ r)

    def force(self, z: Array, x: Array, theta: Arrays) -> Array:
        """dz/dt of a state (n,) under inputs x (inputs,)."""
        return -z + self.unit.slope(z) * self._field(z, x, theta)

    def jacobian(self, z: Array, x: Array, theta: Arrays) -> Array:
        """dF_i/dz_j (n, n); symmetric without `nonreciprocity`."""
        slope = self.unit.slope(z)
        own = -1 + self.unit.curvature(z) * self._field(z, x, theta)
        return np.diag(own) + slope[:, None] * self.couplings(theta) * slope

    def observables(self, z: Array, x: Array) -> dict[str, Array]:
        """dE/dtheta at a state (n,): what equilibrium propagation compares; none for the nonreciprocal part."""
        r, (i, j) = self.unit.response(z), self.edges.T
        return {"coupling": -r[i] * r[j], "bias": -r, "input": -np.outer(r, x)}

    def force_slopes(self, cotangent: Array, z: Array, x: Array) -> dict[str, Array]:
        """The row vector `cotangent` (n,) times dF/dtheta at a state, for every parameter."""
        r, pushed, (i, j) = self.unit.response(z), cotangent * self.unit.slope(z), self.edges.T
        return {
            "coupling": pushed[i] * r[j] + pushed[j] * r[i],
            "nonreciprocity": pushed[i] * r[j] - pushed[j] * r[i],
            "bias": pushed,
            "input": np.outer(pushed, x),
        }

    def relax(
        self,
        x: Array,
        theta: Arrays,
        *,
        start: Array | None = None,
        nudge: Callable[[Array], Array] | None = None,
        tolerance: float = 1e-10,
        step: float = 0.2,
        longest: float = 2000.0,
    ) -> Settled:
        """Follow dz/dt = F + nudge(z) from `start` (the origin if None) until no unit moves faster than `tolerance`.

        Explicit Euler steps of `step`, whose size does not move the fixed point.  Gives up after the time `longest`,
        with `settled` False.
        """
        z = self.unit.confine(np.zeros(self.size) if start is None else np.array(start, dtype=float))
        residual = np.inf
        for count in range(int(longest / step)):
            push = self.force(z, x, theta) + (0.0 if nudge is None else nudge(z))
            moved = self.unit.confine(z + step * push)
            residual = float(np.abs(moved - z).max()) / step
            if residual <= tolerance:
                return Settled(z, residual, count * step, settled=True)
            z = moved
        return Settled(z, residual, longest, settled=False)

    def implicit_gradient(self, z: Array, slope: Array, x: Array, theta: Arrays) -> dict[str, Array]:
        """The exact dL/dtheta of a cost C at the free fixed point z, given `slope` dC/dz there (n,)."""
        free = np.flatnonzero(self.unit.is_free(z, self.force(z, x, theta)))
        cotangent = np.zeros(self.size)
        cotangent[free] = -np.linalg.solve(self.jacobian(z, x, theta)[np.ix_(free, free)].T, slope[free])
        return self.force_slopes(cotangent, z, x)

    def _field(self, z: Array, x: Array, theta: Arrays) -> Array:
        inputs = self.value("bias", theta) + self.value("input", theta) @ x
        return self.couplings(theta) @ self.unit.response(z) + inputs
