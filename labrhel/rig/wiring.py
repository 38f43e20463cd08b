"""Maps between the model's world and the instruments': ports and parameters, each way, tested inverse pairs.

The ideal maps are identities.  `WiredPortMap` is what a bench needs: the channel an output is wired to, gain with
polarity, coupling and the divider formed by source and load impedance (a generator set for 50 ohm that drives a
high impedance delivers twice what it says).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from labrhel.frozen import Digested, FrozenArray


class Coupling(enum.StrEnum):
    """DC passes everything; AC blocks the mean, which the compiler must then not need."""

    DC = "dc"
    AC = "ac"


@dataclass(frozen=True, slots=True, eq=False)
class Wire(Digested):
    """One port or channel and the instrument terminal it is wired to.

    device = value / gain + offset, with `gain` [model unit per device unit at the terminal, polarity included]
    multiplied by the divider load/(source + load) relative to the matched load the instrument assumes.
    """

    terminal: str
    gain: float = 1.0
    offset: float = 0.0  # [device unit]
    source_ohm: float = 0.0
    load_ohm: float = np.inf
    assumed_load_ohm: float | None = None  # what the instrument's display assumes; None: the real load
    coupling: Coupling = Coupling.DC
    unit: str = ""

    def __post_init__(self) -> None:
        if self.gain == 0 or not np.isfinite(self.gain):
            raise ConfigurationError(f"the gain of terminal {self.terminal!r} must be finite and not zero")

    @property
    def factor(self) -> float:
        """Model value per displayed device value."""
        if self.assumed_load_ohm is None:
            return self.gain
        return self.gain * _divider(self.source_ohm, self.load_ohm) / _divider(self.source_ohm, self.assumed_load_ohm)


def _divider(source: float, load: float) -> float:
    return 1.0 if np.isinf(load) else load / (source + load)


@dataclass(frozen=True, slots=True, eq=False)
class WiredPortMap(Digested):
    """Port map from a table of wires; a port or channel without a wire is passed through unchanged."""

    wires: Mapping[str, Wire] = field(default_factory=dict)

    def to_device(self, name: str, values: Array) -> Array:
        """Model values of a port -> device values at its terminal."""
        wire = self.wires.get(name)
        return values if wire is None else values / wire.factor + wire.offset

    def to_model(self, name: str, values: Array) -> Array:
        """Device values at a terminal -> model values of the port or channel; inverse of `to_device`."""
        wire = self.wires.get(name)
        return values if wire is None else (values - wire.offset) * wire.factor


IDEAL_PORTS = WiredPortMap()


@dataclass(frozen=True, slots=True, eq=False)
class Approach(Digested):
    """How a knob with hysteresis is set: overshoot by `overshoot` [unit], then come from that side."""

    overshoot: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class LinearKnob(Digested):
    """knobs = matrix @ parameters + offset, for one flattened parameter; the matrix holds the cross-talk."""

    matrix: FrozenArray
    offset: FrozenArray
    approach: Approach = Approach()

    def __post_init__(self) -> None:
        rows, columns = self.matrix.values.shape
        if rows != columns or np.linalg.matrix_rank(self.matrix.values) < rows:
            raise ConfigurationError("the matrix of a knob map must be square and invertible")


@dataclass(frozen=True, slots=True, eq=False)
class LinearParameterMap(Digested):
    """Parameter map with one `LinearKnob` per parameter; a parameter without one is its own knob."""

    knobs: Mapping[str, LinearKnob] = field(default_factory=dict)

    def to_knobs(self, parameters: Arrays) -> dict[str, Array]:
        """Hamiltonian parameters [model units] -> knob values [knob units]."""
        return {name: self._forward(name, np.asarray(value, float)) for name, value in parameters.items()}

    def to_parameters(self, knobs: Arrays) -> dict[str, Array]:
        """Knob values -> Hamiltonian parameters; inverse of `to_knobs`."""
        return {name: self._inverse(name, np.asarray(value, float)) for name, value in knobs.items()}

    def jacobian(self, name: str, size: int) -> Array:
        """D knob / d parameter (size, size), cross-talk off the diagonal."""
        knob = self.knobs.get(name)
        return np.eye(size) if knob is None else knob.matrix.values

    def _forward(self, name: str, value: Array) -> Array:
        knob = self.knobs.get(name)
        if knob is None:
            return value
        return (knob.matrix.values @ value.ravel() + knob.offset.values).reshape(value.shape)

    def _inverse(self, name: str, value: Array) -> Array:
        knob = self.knobs.get(name)
        if knob is None:
            return value
        return np.linalg.solve(knob.matrix.values, value.ravel() - knob.offset.values).reshape(value.shape)


IDEAL_PARAMETERS = LinearParameterMap()


class PortMap(Protocol):
    """Model port <-> instrument terminal; `to_model` is the inverse of `to_device`."""

    def to_device(self, name: str, values: Array) -> Array:
        """Model values -> device values."""
        ...

    def to_model(self, name: str, values: Array) -> Array:
        """Device values -> model values."""
        ...


class ParameterMap(Protocol):
    """Hamiltonian parameters <-> knobs, and the cross-talk between them."""

    def to_knobs(self, parameters: Arrays) -> dict[str, Array]:
        """Parameters [model units] -> knobs [knob units]."""
        ...

    def to_parameters(self, knobs: Arrays) -> dict[str, Array]:
        """Knobs -> parameters; inverse of `to_knobs`."""
        ...

    def jacobian(self, name: str, size: int) -> Array:
        """D knob / d parameter (size, size)."""
        ...
