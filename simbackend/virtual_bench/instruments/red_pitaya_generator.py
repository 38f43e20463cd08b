"""The two generators of a Red Pitaya: a memory of up to 16384 samples, read continuously or once a trigger.

FREQ:FIX is how often the whole memory would be read: a shorter waveform is read at the same pace and comes back sooner,
so the sample rate is 16384 times it.  The gateware multiplies codes by the amplitude, in 1/8192 and rounded down, where
full amplitude is 8191.  The value after a burst (LastValue) and before the first one (InitValue) are plain codes.

Source: gen_handler.cpp and generate.cpp of the server's library, red_pitaya_asg.v and red_pitaya_asg_ch.v.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labrhel.arrays import Array
from simbackend.virtual_bench.instruments.arb_memory import built_in
from simbackend.virtual_bench.scpi.scpi import Scpi, ScpiError
from simbackend.virtual_bench.scpi.settings import Flag, Real, Whole, Word
from simbackend.virtual_bench.world.world import World

CHANNELS: tuple[int, ...] = (1, 2)
_MOST = 16384  # samples of the memory
_FULL = 8192  # codes of a volt into 50 Ohm; the largest code is one less
_INTO_50_OHM = 2.0  # volts without load for each volt into 50 Ohm
_SHAPES = {"SINE": "SIN", "SQUARE": "SQU", "TRIANGLE": "TRI", "SAWU": "RAMP"}


@dataclass(frozen=True, slots=True)
class Switch(Flag):
    """A switch that is set and answered as ON or OFF."""

    def write(self, device: Scpi, value: Any) -> str:
        """Answer with the word."""
        return "ON" if value else "OFF"


GENERATOR = (
    Switch("OUTPUT#:STATE", "output", False, CHANNELS),
    Real("SOUR#:FREQ:FIX", "frequency", 1000.0, CHANNELS, 1e-6, 62.5e6),
    Word("SOUR#:FUNC", "shape", "SINE", CHANNELS, "SINE SQUARE TRIANGLE SAWU SAWD PWM ARBITRARY DC DC_NEG"),
    Real("SOUR#:VOLT", "amplitude", 0.8, CHANNELS, 0.0, 1.0),
    Real("SOUR#:VOLT:OFFS", "offset", 0.0, CHANNELS, -1.0, 1.0),
    Real("SOUR#:PHAS", "phase", 0.0, CHANNELS, -360.0, 360.0),
    Real("SOUR#:DCYC", "duty", 0.5, CHANNELS, 0.0, 1.0),
    Word("SOUR#:BURS:STAT", "burst", "CONTINUOUS", CHANNELS, "BURST CONTINUOUS"),
    Whole("SOUR#:BURS:NCYC", "cycles", 1.0, CHANNELS, 1.0, 65536.0),
    Whole("SOUR#:BURS:NOR", "repetitions", 1.0, CHANNELS, 1.0, 65536.0),
    Whole("SOUR#:BURS:INT:PER", "period", 1.0, CHANNELS, 1.0, 5e8),
    Real("SOUR#:BURS:LastValue", "last", 0.0, CHANNELS, -1.0, 1.0),
    Real("SOUR#:INITValue", "initial", 0.0, CHANNELS, -1.0, 1.0),
    Real("SOUR#:BURS:INITValue", "initial", 0.0, CHANNELS, -1.0, 1.0),
    Word("SOUR#:TRig:SOUR", "trigger", "INT", CHANNELS, "INT EXT_PE EXT_NE GATED"),
)
"""Settings of the generators; a burst is played once, whatever `repetitions` say."""


class Generators:
    """What reaches the outputs; `values` are the settings of the instrument."""

    def __init__(self, world: World, name: str, values: Mapping[tuple[str, int], Any]) -> None:
        self._world, self._name, self._values = world, name, values
        self._uploads: dict[int, Array] = {}
        self._has_played: set[int] = set()

    def restore(self, values: Mapping[tuple[str, int], Any]) -> None:
        """Outputs off, nothing uploaded."""
        self._uploads = {channel: np.zeros(_MOST) for channel in CHANNELS}
        self.reset(values)

    def reset(self, values: Mapping[tuple[str, int], Any]) -> None:
        """Outputs off; uploads stay."""
        self._values, self._has_played = values, set()
        for channel in CHANNELS:
            self.update(channel)

    def upload(self, channel: int, words: list[bytes]) -> None:
        """Samples as numbers between -1 and 1; raises ScpiError."""
        try:
            samples = np.array([float(word) for word in words])
        except ValueError:
            raise ScpiError(-104) from None
        if not 1 <= len(samples) <= _MOST or not np.abs(samples).max() <= 1:
            raise ScpiError(-222)
        if channel not in CHANNELS:
            raise ScpiError(-114)
        self._uploads[channel] = samples
        self.update(channel)

    def uploaded(self, channel: int) -> Array:
        """The samples of a channel, as they were sent; raises ScpiError."""
        if channel not in CHANNELS:
            raise ScpiError(-114)
        return self._uploads[channel]

    def update(self, channel: int) -> None:
        """What an output does from now on: between bursts it gives the last value, before the first the initial one."""
        now, track = self._world.clock.now(), self._world.output(f"{self._name}.ch{channel}")
        on = self._values["output", channel]
        with self._world.event(now):
            if not on or self._values["burst", channel] == "BURST":
                track.hold(now, self._idle(channel) if on else 0.0)
            else:
                volts, rate = self._period(channel)
                track.play(now, volts, rate, math.inf, 0.0)

    def trigger_enabled(self, moment: float) -> None:
        """The software trigger of both, which reaches outputs that are on and wait for it."""
        ready = [channel for channel in CHANNELS if self._values["output", channel]]
        self.fire([channel for channel in ready if self._values["trigger", channel] == "INT"], moment)

    def fire(self, channels: Sequence[int], moment: float) -> None:
        """Bursts of channels, seen at outputs that are on.  Only the first channel tells the inputs."""
        with self._world.event(moment, fires=True):
            for channel in channels:
                if self._values["output", channel] and self._values["burst", channel] == "BURST":
                    volts, rate = self._period(channel)
                    self._has_played.add(channel)
                    track = self._world.output(f"{self._name}.ch{channel}")
                    track.play(moment, volts, rate, self._values["cycles", channel], self._idle(channel))
            if CHANNELS[0] in channels:
                self._world.pulse(f"{self._name}.generator", moment)

    def external(self, moment: float) -> None:
        """Take a pulse at the trigger input."""
        channels = [channel for channel in CHANNELS if self._values["trigger", channel] == "EXT_PE"]
        if channels:
            self.fire(channels, moment)

    def _idle(self, channel: int) -> float:
        value = self._values["last" if channel in self._has_played else "initial", channel]
        return _INTO_50_OHM * float(_codes(value)) / _FULL

    def _period(self, channel: int) -> tuple[Array, float]:
        """What is read [V without load], and its sample rate [Hz]."""
        name, frequency = self._values["shape", channel], self._values["frequency", channel]
        if name == "ARBITRARY":
            shape, rate = self._uploads[channel], frequency * _MOST
        else:
            if name.startswith("DC"):
                shape = np.full(8, 1.0 if name == "DC" else -1.0)
            else:
                shape = built_in(_SHAPES.get(name, "RAMP"), self._values["duty", channel])
            rate = frequency * len(shape)
        scaled = np.floor(_codes(shape) * _codes(self._values["amplitude", channel]) / _FULL)
        codes = np.clip(scaled + _codes(self._values["offset", channel]), -_FULL, _FULL - 1)
        return _INTO_50_OHM * codes / _FULL, rate


def _codes(volts: Any) -> Array:
    """Volts into 50 Ohm as codes of the converter."""
    return np.clip(np.rint(np.asarray(volts) * _FULL), -_FULL, _FULL - 1)
