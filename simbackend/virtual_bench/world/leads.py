"""Leads between instruments and oscillators: what a terminal's volts do, and what volts the motion gives.

    drive    port = gain * (V * load/(load + source) - offset)      V: what the output plays without load, at t - delay
    sense    q(t - delay) = gain * (V - offset),   V = q(t - delay)/gain + offset
    line     V = high while a logic line is up, else 0
    knob     parameter = at_zero + per_volt * V

Gains are in model units per volt and offsets in volts, as in a station file and in labrhel.rig.wiring.  The gain,
offset and delay that a device's seed draws (`simbackend.imperfections.paths`) come on top.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from labrhel.arrays import Array
from simbackend.imperfections.paths import Path, high_pass
from simbackend.virtual_bench.world.signals import Signal, Track

_PERFECT = Path()
_EDGE = 1e-9  # s; how fast a logic line rises


class Moving(Protocol):
    """Oscillators in motion; `step` [s] between places, `unit`: seconds in a unit of the model's time."""

    step: float
    unit: float

    def seen(self, oscillator: int) -> tuple[Array, Array]:
        """Times [s] and positions [model unit] of one oscillator."""
        ...


@dataclass(frozen=True, slots=True)
class Drive:
    """From an output to a port of the model; `gain` [unit of the port per V at the load], `offset` [V at the load].

    `load` and `source` [Ohm], `delay` [s].
    """

    terminal: str
    port: str
    gain: float = 1.0
    offset: float = 0.0
    delay: float = 0.0
    load: float = 1e6
    source: float = 50.0

    @property
    def factor(self) -> float:
        """Units of the port per volt without load."""
        return self.gain * self.load / (self.load + self.source)

    @property
    def open_offset(self) -> float:
        """The voltage without load at which the port is 0."""
        return self.offset * (self.load + self.source) / self.load

    def arriving(self, volts: Array) -> Array:
        """The port [model unit] under an output that plays `volts` without load."""
        return self.factor * (volts - self.open_offset)


@dataclass(frozen=True, slots=True)
class Sense:
    """From the position of an oscillator (from 0) to an input; `gain` [model unit per V], `path` in model time.

    `when`: the levels of sources [V, by terminal] at which a switch connects it; empty: always.
    """

    oscillator: int
    gain: float = 1.0
    offset: float = 0.0
    delay: float = 0.0
    path: Path = _PERFECT
    when: tuple[tuple[str, float], ...] = ()

    def showing(self, position: Array) -> Array:
        """The voltage at the input at a position [model unit]."""
        return position / self.gain + self.offset

    def signal(self, motion: Moving, corner: float, boost: float) -> Signal:
        """The voltage at the input; AC coupled from `corner` [Hz] on, amplified by `boost`."""
        times, q = motion.seen(self.oscillator)
        volts = boost * self.showing((q - self.path.offset) / self.path.gain)
        if corner:  # what was there before has long charged the capacitor
            volts = high_pass(volts - volts[0], motion.step, corner)
        return Signal(times + self.delay + self.path.delay * motion.unit, volts)


@dataclass(frozen=True, slots=True)
class Line:
    """From a logic line, such as the sync output of a generator, to an input."""

    line: str
    high: float = 3.0
    delay: float = 0.0

    def signal(self, track: Track, until: float) -> Signal:
        """The voltage at the input, with its edges."""
        times, volts = [-1e9], [0.0]
        for moment, level in track.steps(until):
            times += [moment, moment + _EDGE]
            volts += [volts[-1], level * self.high]
        return Signal(np.array(times) + self.delay, np.array(volts))


@dataclass(frozen=True, slots=True)
class Turn:
    """From a source to entry `index` of a parameter of the model [model unit]."""

    terminal: str
    parameter: str
    index: tuple[int, ...]
    at_zero: float = 0.0
    per_volt: float = 1.0
