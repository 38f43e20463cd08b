"""Trainable parameters: unit, bounds, and the transform between what a rig is set to and what an optimizer moves.

The optimizer sees one flat vector x.  For each entry, value = transform(x), and dL/dx = dL/dvalue * dvalue/dx.
    identity   value = scale * x
    log        value = scale * exp(x)          positive parameters over decades
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError


class Transform(enum.StrEnum):
    """How an optimizer's coordinate becomes a parameter value."""

    IDENTITY = "identity"
    LOG = "log"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One named array of trainable values with the mask of entries that are trained (None: all).

    `symmetric` matrices train their upper triangle, so that a shared entry is one coordinate.
    """

    name: str
    value: Array
    unit: str = ""
    low: float = -np.inf
    high: float = np.inf
    transform: Transform = Transform.IDENTITY
    scale: float = 1.0
    mask: NDArray[np.bool_] | None = None
    symmetric: bool = False

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ConfigurationError(f"the bounds of {self.name} need low <= high, not [{self.low}, {self.high}]")
        if not (self.scale > 0 and np.isfinite(self.scale)):
            raise ConfigurationError(f"the scale of {self.name} must be positive, not {self.scale}")
        if self.symmetric and not np.array_equal(self.value, self.value.T):
            raise ConfigurationError(f"{self.name} is trained as a symmetric matrix, but its value is not symmetric")
        trained = self.value[self.trained]
        if self.transform is Transform.LOG and (trained <= 0).any():
            raise ConfigurationError(f"{self.name} has a value <= 0, which the log transform cannot reach")
        if (trained < self.low).any() or (trained > self.high).any():
            raise ConfigurationError(f"{self.name} starts outside its bounds [{self.low:g}, {self.high:g}]")

    @property
    def trained(self) -> NDArray[np.bool_]:
        """Mask of the entries that are coordinates of the optimizer."""
        mask = np.ones(self.value.shape, bool) if self.mask is None else self.mask
        return np.triu(mask) if self.symmetric and self.value.ndim == 2 else mask


class ParameterSet:
    """The trainable parameters of an experiment as one flat vector, and back."""

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        if not parameters or not any(parameter.trained.any() for parameter in parameters):
            raise ConfigurationError("nothing is trained; mark at least one parameter with train: true")
        self.parameters = tuple(parameters)

    def __len__(self) -> int:
        return sum(int(parameter.trained.sum()) for parameter in self.parameters)

    @property
    def names(self) -> list[str]:
        """A name per coordinate, such as `coupling[3]`."""
        return [
            f"{parameter.name}[{','.join(map(str, index))}]"
            for parameter in self.parameters
            for index in np.argwhere(parameter.trained)
        ]

    def flat(self) -> Array:
        """Starting coordinates x (size,)."""
        return np.concatenate(
            [_inverse(parameter, parameter.value[parameter.trained]) for parameter in self.parameters]
        )

    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper bounds of the coordinates, (size,) each."""
        lows, highs = [], []
        for parameter in self.parameters:
            count = int(parameter.trained.sum())
            log = parameter.transform is Transform.LOG
            low = max(parameter.low, 0.0) if log else parameter.low
            with np.errstate(divide="ignore"):
                lows.append(np.full(count, _inverse(parameter, np.array(low))))
                highs.append(np.full(count, _inverse(parameter, np.array(parameter.high))))
        return np.concatenate(lows), np.concatenate(highs)

    def values(self, x: Array) -> dict[str, Array]:
        """Coordinates -> parameter arrays; untrained entries keep their values."""
        values, start = {}, 0
        for parameter in self.parameters:
            trained = parameter.trained
            stop = start + int(trained.sum())
            values[parameter.name] = _filled(parameter, _forward(parameter, x[start:stop]))
            start = stop
        return values

    def filled(self, entries: Array) -> dict[str, Array]:
        """Values of the trained entries (size,), as `entries` gives them -> parameter arrays; to the bit."""
        values, start = {}, 0
        for parameter in self.parameters:
            stop = start + int(parameter.trained.sum())
            values[parameter.name] = _filled(parameter, entries[start:stop])
            start = stop
        return values

    def entries(self, x: Array) -> Array:
        """Coordinates -> values of the trained entries (size,) in their own units, in the order of `names`."""
        values = self.values(x)
        return np.concatenate([values[parameter.name][parameter.trained] for parameter in self.parameters])

    def pull_back(self, x: Array, gradient: Arrays) -> Array:
        """dL/dx (size,) from dL/dvalue by name."""
        parts, start = [], 0
        for parameter in self.parameters:
            trained = parameter.trained
            stop = start + int(trained.sum())
            slope = np.asarray(gradient[parameter.name], float)
            if parameter.symmetric:
                slope = slope + slope.T - np.diag(np.diag(slope))  # an entry off the diagonal stands twice
            parts.append(slope[trained] * _slope(parameter, x[start:stop]))
            start = stop
        return np.concatenate(parts)


def _filled(parameter: Parameter, entries: Array) -> Array:
    array = parameter.value.copy()
    array[parameter.trained] = entries
    return np.triu(array) + np.triu(array, 1).T if parameter.symmetric else array


def _forward(parameter: Parameter, x: Array) -> Array:
    return parameter.scale * (np.exp(x) if parameter.transform is Transform.LOG else x)


def _inverse(parameter: Parameter, value: Array) -> Array:
    return np.log(value / parameter.scale) if parameter.transform is Transform.LOG else value / parameter.scale


def _slope(parameter: Parameter, x: Array) -> Array:
    return parameter.scale * (np.exp(x) if parameter.transform is Transform.LOG else np.ones_like(x))
