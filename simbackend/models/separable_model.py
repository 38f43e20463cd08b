"""A model of your own: write V(q; theta), its force and its slopes, and the rest is here.

    H = sum_i p_i^2/(2 m_i) + V(q; theta) - q . W (u + o),     M q'' + G q' = -dV/dq + W (u + o)

Masses, friction, input map and offset, and the initial state are those of the oscillator network, whose code serves
them.  docs/adding-a-model.md shows a chain of pendulums, checked, run and trained.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from labrhel.model.derivatives import jacobian
from labrhel.model.interface import ParameterSpec
from simbackend.models.oscillator_network import POWERS, OscillatorNetwork


@dataclass(frozen=True, slots=True)
class Term:
    """A parameter of V: its shape, its nominal value (a number fills the shape), what it means, its unit."""

    shape: tuple[int, ...]
    nominal: ArrayLike
    meaning: str
    unit: str = "1"


class SeparableModel(ABC):
    """Base of a `labrhel.model.interface.Model` with the potential parameters `terms`, by name.

    `nominal` overrides nominal values, of terms and of mass, friction, input, input_offset, initial_position and
    initial_momentum alike.  Raises ConfigurationError for unknown names and wrong shapes.
    """

    def __init__(
        self,
        size: int,
        terms: Mapping[str, Term],
        *,
        inputs: Sequence[str] = ("u1",),
        nominal: Mapping[str, ArrayLike] | None = None,
        time_unit: float = 1.0,
        position_unit: str = "1",
        input_unit: str = "1",
    ) -> None:
        given = dict(nominal or {})
        own = {name: given.pop(name, term.nominal) for name, term in terms.items()}
        # Springs and powers of q are the network's own business; here V is the user's.
        alien = sorted(set(given) & {*POWERS, "coupling"})
        if alien:
            raise ConfigurationError(f"unknown parameter {alien[0]!r}; the terms of V are: {', '.join(terms)}")
        self._common = OscillatorNetwork(
            size, inputs=inputs, nominal=given, time_unit=time_unit, position_unit=position_unit, input_unit=input_unit
        )
        self.size, self.inputs, self.time_unit = size, self._common.inputs, time_unit
        self.position_unit, self.input_unit, self.force_unit = position_unit, input_unit, self._common.force_unit
        self.terms = dict(terms)
        specs = {
            name: ParameterSpec(term.shape, term.unit, "potential", self._fitted(name, own[name]), term.meaning)
            for name, term in terms.items()
        }
        shared = {name: spec for name, spec in self._common.parameters.items() if name not in (*POWERS, "coupling")}
        self.parameters: Mapping[str, ParameterSpec] = MappingProxyType(specs | shared)

    @abstractmethod
    def potential(self, q: Array, theta: Arrays) -> float:
        """V at positions (n,)."""

    @abstractmethod
    def force(self, q: Array, theta: Arrays) -> Array:
        """-dV/dq at positions (n,) or (n, steps), without inputs."""

    @abstractmethod
    def slopes(self, q: Array, theta: Arrays) -> dict[str, Array]:
        """dV/dtheta of every term at positions (n, steps): (*shape of the parameter, steps)."""

    def value(self, name: str, theta: Arrays) -> Array:
        """The value of a parameter, nominal where `theta` does not name it."""
        return np.asarray(theta[name], float) if name in theta else self.parameters[name].nominal

    def shape_parameter(self, name: str, value: ArrayLike) -> Array:
        """A number, or an array that fits, as the full array of that parameter."""
        return self._fitted(name, value) if name in self.terms else self._common.shape_parameter(name, value)

    def mass(self, theta: Arrays) -> Array:
        """Masses (n,)."""
        return self._common.mass(self._shared(theta))

    def friction(self, theta: Arrays) -> Array:
        """Friction matrix (n, n)."""
        return self._common.friction(self._shared(theta))

    def input_force(self, u: Array, theta: Arrays) -> Array:
        """W (u + o) for inputs (inputs, steps)."""
        return self._common.input_force(u, self._shared(theta))

    def hessian(self, q: Array, theta: Arrays) -> Array:
        """d2V/dq2 (n, n) at positions (n,), from the force."""
        return -jacobian(lambda x: self.force(x, theta), q)

    def observables(
        self, names: Sequence[str], q: Array, v: Array, u: Array, dt: float, theta: Arrays
    ) -> dict[str, Array]:
        """sum_k dt * dH/dtheta from traces at the kicks, q and v (n, steps), u (inputs, steps)."""
        slopes = self.slopes(q, theta) if any(name in self.terms for name in names) else {}
        shared = [name for name in names if name not in self.terms]
        found = self._common.observables(shared, q, v, u, dt, self._shared(theta))
        return found | {name: dt * np.sum(slopes[name], axis=-1) for name in names if name in self.terms}

    def is_linear(self, theta: Arrays) -> bool:
        """False; a model whose force is linear in q may say so, and gets a larger eps."""
        return False

    def largest_step(self, theta: Arrays) -> float:
        """2/omega_max of the force, linearised at the origin."""
        root = 1 / np.sqrt(self.mass(theta))
        fastest = float(np.linalg.eigvalsh(self.hessian(np.zeros(self.size), theta) * root[:, None] * root)[-1])
        return np.inf if fastest <= 0 else 2 / np.sqrt(fastest)

    def _fitted(self, name: str, value: ArrayLike) -> Array:
        shape, array = self.terms[name].shape, np.asarray(value, dtype=float)
        if array.shape not in ((), shape) or not np.isfinite(array).all():
            raise ConfigurationError(f"{name} must be finite, with the shape {shape} or a single number")
        return np.array(np.broadcast_to(array, shape))

    def _shared(self, theta: Arrays) -> dict[str, Array]:
        return {name: value for name, value in theta.items() if name in self._common.parameters}
