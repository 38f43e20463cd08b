"""The wire between the model and the terminals of the instruments, said once.

    model     = gain * (terminal - offset)        ports and channels
    terminal  = model / gain + offset

The gain is in model units per unit of the terminal, polarity included; the offset is in the unit of the terminal, where
the model reads 0.  Knobs say the same of all entries of a parameter at once, with a matrix for the cross-talk:

    knobs = matrix @ parameters + offset

A rig brings its wiring (`labrhel.shots.rig.Rig`); that of simulated rigs and boards is ideal: what a program says is
what they take.  What a calibration corrects comes between the model and the wire (labrhel.rig.calibration).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from labrhel.frozen import Digested, FrozenArray


@dataclass(frozen=True, slots=True, eq=False)
class Wire(Digested):
    """One port or channel and the instrument terminal it is wired to.

    `gain` [model unit per unit of the terminal] is multiplied by the divider load/(source + load) relative to the load
    that the instrument assumes: a generator set for 50 ohm that drives a high impedance delivers twice what it says.
    `place` says where it was written.
    """

    tag = "Wire"
    terminal: str
    gain: float = 1.0
    offset: float = 0.0  # [unit of the terminal]
    source_ohm: float = 0.0
    load_ohm: float = np.inf
    assumed_load_ohm: float | None = None  # what the instrument's display assumes; None: the real load
    unit: str = ""  # of the model's side
    place: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.gain == 0 or not np.isfinite(self.gain):
            raise ConfigurationError(f"the gain of terminal {self.terminal!r} must be finite and not zero")

    @property
    def factor(self) -> float:
        """Model value per displayed terminal value."""
        if self.assumed_load_ohm is None:
            return self.gain
        return self.gain * _divider(self.source_ohm, self.load_ohm) / _divider(self.source_ohm, self.assumed_load_ohm)


def _divider(source: float, load: float) -> float:
    return 1.0 if np.isinf(load) else load / (source + load)


@dataclass(frozen=True, slots=True, eq=False)
class Approach(Digested):
    """How a knob with hysteresis is set: overshoot by `overshoot` [knob unit], then come from that side."""

    tag = "Approach"
    overshoot: float = 0.0

    def beyond(self, values: Array, low: float, high: float) -> Array:
        """Where the knob is turned first, within [low, high]."""
        return np.clip(values + self.overshoot, low, high)


@dataclass(frozen=True, slots=True, eq=False)
class LinearKnob(Digested):
    """knobs = matrix @ parameters + offset, for one flattened parameter; the matrix holds the cross-talk."""

    tag = "LinearKnob"
    matrix: FrozenArray
    offset: FrozenArray
    approach: Approach = Approach()
    place: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        rows, columns = self.matrix.values.shape
        if rows != columns or np.linalg.matrix_rank(self.matrix.values) < rows:
            raise ConfigurationError("the matrix of a knob map must be square and invertible")


@dataclass(frozen=True, slots=True, eq=False)
class Wiring(Digested):
    """Wires by port and channel, and `LinearKnob`s by parameter; what has none is passed through unchanged."""

    tag = "Wiring"
    wires: Mapping[str, Wire] = field(default_factory=dict)
    knobs: Mapping[str, LinearKnob] = field(default_factory=dict)

    def to_device(self, name: str, values: Array) -> Array:
        """Model values of a port or channel -> values at its terminal."""
        wire = self.wires.get(name)
        return values if wire is None else values / wire.factor + wire.offset

    def to_model(self, name: str, values: Array) -> Array:
        """Values at a terminal -> model values of its port or channel; inverse of `to_device`."""
        wire = self.wires.get(name)
        return values if wire is None else (values - wire.offset) * wire.factor

    def size_in_model(self, name: str, size: float) -> float:
        """A size without sign, such as a noise or a code, from the unit of the terminal to that of the model."""
        wire = self.wires.get(name)
        return size if wire is None else size * abs(wire.factor)

    def to_knobs(self, parameters: Arrays) -> dict[str, Array]:
        """Hamiltonian parameters [model units] -> knob values [knob units]."""
        return {name: self._forward(name, np.asarray(value, float)) for name, value in parameters.items()}

    def to_parameters(self, knobs: Arrays) -> dict[str, Array]:
        """Knob values -> Hamiltonian parameters; inverse of `to_knobs`."""
        return {name: self._inverse(name, np.asarray(value, float)) for name, value in knobs.items()}

    def jacobian(self, name: str, size: int) -> Array:
        """The derivative of the knobs by the parameters (size, size), cross-talk off the diagonal."""
        knob = self.knobs.get(name)
        return np.eye(size) if knob is None else knob.matrix.values

    def called(self, name: str) -> str:
        """A port or channel as messages name it, with its terminal: "u1 (awg1.ch1)"."""
        wire = self.wires.get(name)
        return name if wire is None else f"{name} ({wire.terminal})"

    def _forward(self, name: str, value: Array) -> Array:
        knob = self.knobs.get(name)
        if knob is None:
            return value
        with np.errstate(invalid="ignore"):  # what is not finite is refused by name, where values are checked
            return (knob.matrix.values @ value.ravel() + knob.offset.values).reshape(value.shape)

    def _inverse(self, name: str, value: Array) -> Array:
        knob = self.knobs.get(name)
        if knob is None:
            return value
        return np.linalg.solve(knob.matrix.values, value.ravel() - knob.offset.values).reshape(value.shape)


IDEAL_WIRING = Wiring()
"""Nothing between the model and the rig."""
