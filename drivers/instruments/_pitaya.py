"""What a Red Pitaya is told, worked out before anything is sent: the codes of its outputs, the place of its records.

An output holds 14-bit codes of 1/8192 of its reach, multiplied in the gateware by 8191/8192 and rounded down:

    V = reach * floor(code * 8191/8192) / 8192

A record is a ring of samples, 125 MHz divided by a power of two; the server says at which place the trigger came.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from drivers.instruments._bursts import checked_samples
from drivers.roles import Burst, OutputSpec, Window
from labrhel.arrays import Array
from labrhel.errors import LimitError

CLOCK = 125e6  # Hz
FULL = 8192  # codes
MEMORY = 16384  # samples, of an output and of an input
HALF = MEMORY // 2
SPARE = 8  # samples that a window is rounded up by, at most
_SHORTEST = 16  # samples of an output's memory that are used
_MOST_AT_ONCE = 65_536  # samples of an input that are worth reading for the sake of a finer time
DECIMATIONS = tuple(2**power for power in range(17))
RATES = tuple(CLOCK / decimation for decimation in reversed(DECIMATIONS))
"""Sample rates of the inputs [Hz]."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What an output plays: `codes` at `rate` [Hz]; it idles at the code `idle`.  `reach`: volts of full scale."""

    codes: Array
    rate: float
    idle: int
    reach: float

    @property
    def duration(self) -> float:
        """Duration of the burst [s]."""
        return len(self.codes) / self.rate

    @property
    def text(self) -> str:
        """The samples as they are sent: five places are exact to the code, and what the server's examples send."""
        return ",".join(np.char.mod("%.5f", self.codes / FULL))

    @property
    def played(self) -> Array:
        """Volts at the load."""
        return self.reach * np.floor(self.codes * ((FULL - 1) / FULL)) / FULL


def plan_samples(where: str, burst: Burst, spec: OutputSpec, reach: float) -> Samples:
    """Raises what `checked_samples` raises."""
    samples = checked_samples(where, burst, spec)
    padded = np.concatenate([samples, np.full(max(_SHORTEST - len(samples), 0), burst.idle)])
    codes = np.clip(np.rint(padded / reach * FULL), -FULL, FULL - 1)
    return Samples(codes, burst.rate, round(codes[0].item()), reach)


def silence(idle: int, reach: float) -> Samples:
    """The idle level and nothing else."""
    return Samples(np.full(_SHORTEST, idle, np.float64), CLOCK, idle, reach)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a window lies in a record: `count` samples, the first one `first` after the trigger.

    `after` samples follow the trigger; the ring has `ring` samples.
    """

    decimation: int
    first: int
    count: int
    after: int
    ring: int

    @property
    def dt(self) -> float:
        """Time from sample to sample [s]."""
        return self.decimation / CLOCK

    @property
    def before(self) -> float:
        """How long it has to record before the trigger [s]."""
        return max(-self.first, 0) * self.dt


def place_of(name: str, window: Window, memory: int, *, deep: bool) -> Place:
    """The finest that fits, at the rate of the window or faster: a trigger falls between samples by chance.

    Raises LimitError for a window that the memory [samples] does not hold.
    """
    for decimation in DECIMATIONS:
        dt = decimation / CLOCK
        first = math.floor(window.start / dt + 1e-6)
        count = math.ceil(window.duration / dt - 1e-6) + 2
        is_asked = 1 / dt <= window.rate * (1 + 1e-6)
        fits = count + SPARE <= (memory if is_asked else min(memory, _MOST_AT_ONCE))
        if fits and CLOCK / decimation >= window.rate * (1 - 1e-6):
            ring = 64 * math.ceil((count + SPARE) / 64) if deep else MEMORY
            return Place(decimation, first, count, max(first + count + SPARE // 2, 1), ring)
    raise LimitError(
        f"{name} cannot record {window.duration:.3g} s at {window.rate:.6g} samples a second; it has 125 MHz divided "
        f"by a power of two, and a memory of {memory} samples; nothing was sent"
    )
