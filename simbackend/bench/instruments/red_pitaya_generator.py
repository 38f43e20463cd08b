"""The two generators of a Red Pitaya: a period of up to 16384 samples, continuous or as a burst."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labrhel.arrays import Array
from simbackend.bench.instruments.arb_memory import built_in
from simbackend.bench.scpi import ScpiError
from simbackend.bench.settings import Flag, Real, Whole, Word
from simbackend.bench.world import World

CHANNELS: tuple[int, ...] = (1, 2)
_MOST = 16384  # samples of a period
_FULL_CODE = 8191
_INTO_50_OHM = 2.0  # volts without load for each volt into 50 Ohm
_SHAPES = {"SINE": "SIN", "SQUARE": "SQU", "TRIANGLE": "TRI", "SAWU": "RAMP"}

GENERATOR = (
    Flag("OUTPUT#:STATE", "output", False, CHANNELS),
    Real("SOUR#:FREQ:FIX", "frequency", 1000.0, CHANNELS, 1e-6, 62.5e6),
    Word("SOUR#:FUNC", "shape", "SINE", CHANNELS, "SINE SQUARE TRIANGLE SAWU SAWD PWM ARBITRARY DC DC_NEG"),
    Real("SOUR#:VOLT", "amplitude", 1.0, CHANNELS, 0.0, 1.0),
    Real("SOUR#:VOLT:OFFS", "offset", 0.0, CHANNELS, -1.0, 1.0),
    Real("SOUR#:PHAS", "phase", 0.0, CHANNELS, -360.0, 360.0),
    Real("SOUR#:DCYC", "duty", 0.5, CHANNELS, 0.0, 1.0),
    Word("SOUR#:BURS:STAT", "burst", "CONTINUOUS", CHANNELS, "BURST CONTINUOUS"),
    Whole("SOUR#:BURS:NCYC", "cycles", 1.0, CHANNELS, 1.0, 65536.0),
    Whole("SOUR#:BURS:NOR", "repetitions", 1.0, CHANNELS, 1.0, 65536.0),
    Whole("SOUR#:BURS:INT:PER", "period", 1.0, CHANNELS, 1.0, 5e8),
    Real("SOUR#:BURS:LastValue", "last", 0.0, CHANNELS, -1.0, 1.0),
    Word("SOUR#:TRIG:SOUR", "trigger", "INT", CHANNELS, "INT EXT_PE EXT_NE GATED"),
)
"""Settings of the generators; a burst is played once, whatever `repetitions` say."""


class Generators:
    """What reaches the outputs; `values` are the settings of the instrument."""

    def __init__(self, world: World, name: str, values: Mapping[tuple[str, int], Any]) -> None:
        self._world, self._name, self._values = world, name, values
        self._uploads: dict[int, Array] = {}

    def restore(self, values: Mapping[tuple[str, int], Any]) -> None:
        """Outputs off, nothing uploaded."""
        self._values = values
        self._uploads = {channel: np.zeros(_MOST) for channel in CHANNELS}
        for channel in CHANNELS:
            self.update(channel)

    def upload(self, channel: int, words: list[bytes]) -> None:
        """A period as numbers between -1 and 1; raises ScpiError."""
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

    def update(self, channel: int) -> None:
        """What an output does from now on: a burst that waits gives the last value of bursts."""
        now, track = self._world.clock.now(), self._world.output(f"{self._name}.ch{channel}")
        on = self._values["output", channel]
        with self._world.event(now):
            if not on or self._values["burst", channel] == "BURST":
                track.hold(now, self._volts(self._values["last", channel]) if on else 0.0)
            else:
                volts, rate = self._period(channel)
                track.play(now, volts, rate, math.inf, 0.0)

    def fire(self, channels: Sequence[int], moment: float) -> None:
        """Bursts of outputs that wait for them."""
        with self._world.event(moment, fires=True):
            for channel in channels:
                if self._values["output", channel] and self._values["burst", channel] == "BURST":
                    volts, rate = self._period(channel)
                    idle = self._volts(self._values["last", channel])
                    track = self._world.output(f"{self._name}.ch{channel}")
                    track.play(moment, volts, rate, self._values["cycles", channel], idle)
            self._world.pulse(f"{self._name}.generator", moment)

    def external(self, moment: float) -> None:
        """A pulse at the trigger input."""
        channels = [channel for channel in CHANNELS if self._values["trigger", channel] == "EXT_PE"]
        if channels:
            self.fire(channels, moment)

    def _volts(self, value: float) -> float:
        return _INTO_50_OHM * value

    def _period(self, channel: int) -> tuple[Array, float]:
        """One period [V without load], and its sample rate [Hz]."""
        name = self._values["shape", channel]
        if name == "ARBITRARY":
            shape = self._uploads[channel]
        elif name.startswith("DC"):
            shape = np.full(8, 1.0 if name == "DC" else -1.0)
        else:
            shape = built_in(_SHAPES.get(name, "RAMP"), self._values["duty", channel])
        value = self._values["offset", channel] + self._values["amplitude", channel] * shape
        codes = np.clip(np.rint(value * _FULL_CODE), -_FULL_CODE - 1, _FULL_CODE)
        return _INTO_50_OHM * codes / _FULL_CODE, self._values["frequency", channel] * len(shape)
