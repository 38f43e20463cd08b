"""Bursts in the terms of a Keysight generator: 16-bit codes, an amplitude and an offset.

V = offset + code/32767 * amplitude/2
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivers.instruments.linked import require_within
from drivers.roles import Burst, OutputSpec
from labrhel.arrays import Array
from labrhel.errors import LimitError, ProgramError

FULL = 32767


@dataclass(frozen=True, slots=True)
class Plan:
    """What is uploaded: `codes`, at `rate` [Hz]; `amplitude` [V peak to peak] and `offset` [V]."""

    codes: Array
    rate: float
    amplitude: float
    offset: float

    @property
    def block(self) -> bytes:
        """Codes as they are sent."""
        return self.codes.astype(">i2").tobytes()

    def played(self, amplitude: float, offset: float, bits: int) -> Array:
        """Volts at the load when a converter of so many bits plays it at this amplitude and offset."""
        full = 2 ** (bits - 1) - 1
        return offset + np.rint(self.codes / FULL * full) / full * amplitude / 2


def checked_samples(where: str, burst: Burst, spec: OutputSpec) -> Array:
    """The samples [V] of a burst that an output can play.

    Raises ProgramError for a burst that does not begin with its idle level, LimitError beyond range, rate or memory.
    """
    samples = np.asarray(burst.samples, np.float64)
    if not samples.size or samples[0] != burst.idle:
        raise ProgramError(
            f"a burst for {where} begins with its idle level, {burst.idle:g} V: at its first sample the output stays "
            "before and after it; put one in front"
        )
    if len(samples) > spec.memory:
        raise LimitError(f"{where} holds {spec.memory} samples, not {len(samples)}; nothing was sent")
    require_within(where, burst.rate, spec.rates, "samples a second")
    for volts in ends(samples):
        require_within(where, volts, (spec.low, spec.high))
    return samples


def ends(samples: Array) -> tuple[float, float]:
    """The lowest and the highest of them."""
    return np.minimum.reduce(samples).item(), np.maximum.reduce(samples).item()


def plan_burst(where: str, burst: Burst, spec: OutputSpec, shortest: int, smallest: float) -> Plan:
    """Check all that can be checked; `shortest` waveform [samples] and `smallest` amplitude [V peak to peak].

    The offset is the idle level where the limits allow it, else the middle of the burst.  Raises as `checked_samples`.
    """
    samples, idle = checked_samples(where, burst, spec), burst.idle
    low, high = ends(samples)
    offset, half = idle, max(idle - low, high - idle)
    if idle - half < spec.low or idle + half > spec.high:
        offset, half = (low + high) / 2, (high - low) / 2
    half = max(half, smallest / 2)
    lacking = shortest - len(samples)
    padded = np.concatenate([samples, np.full(lacking, idle)]) if lacking > 0 else samples
    return Plan(np.rint((padded - offset) / half * FULL), burst.rate, 2 * half, offset)
