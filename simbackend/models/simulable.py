"""What a simulated rig asks of a model, beyond what learning rules ask (`labrhel.model.interface.Model`)."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labrhel.arrays import Array, Arrays
from labrhel.model.interface import Model


@runtime_checkable
class Simulable(Model, Protocol):
    """A model with the parameters mass, friction, input, input_offset and those of V, in units of its own.

    The oscillator network and every `simbackend.models.separable_model.SeparableModel` are.
    """

    position_unit: str
    input_unit: str
    force_unit: str

    def value(self, name: str, theta: Arrays) -> Array:
        """The value of a parameter, nominal where `theta` does not name it."""
        ...

    def shape_parameter(self, name: str, value: ArrayLike) -> Array:
        """A number, or an array that fits, as the full array of that parameter."""
        ...

    def hessian(self, q: Array, theta: Arrays) -> Array:
        """d2V/dq2 (n, n) at positions (n,)."""
        ...


@runtime_checkable
class Sprung(Protocol):
    """A model whose coupled pairs pull at each other through a spring for each pair."""

    def springs(self, theta: Arrays) -> tuple[NDArray[np.int64], Array]:
        """The coordinates of the pairs (pairs, 2), and the stiffness of the spring between them (pairs,)."""
        ...
