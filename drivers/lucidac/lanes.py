"""What a coefficient really is, and how that is measured: actual = gain * setting + offset, of each lane.

A lane that leads from one integrator, which holds y, to another makes a ramp, dx/dt = -k0 c y.  With the coefficient at
+C and -C, and y at +Y and -Y, whose difference does not know what the target drifts by itself,

    c = -(slope(+Y) - slope(-Y)) / (2 k0 Y),     gain = (c(+C) - c(-C))/(2 C),     offset = (c(+C) + c(-C))/2

A ramp is straight, so no error of an integration enters.  Each lane is measured as it is and amplified by ten.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.lucidac.circuit import INTEGRATORS, LARGEST, RATE, Lane
from drivers.lucidac.machine import Machine, Patch, Route
from labrhel.arrays import Array
from labrhel.errors import InstrumentError

FACTORS = np.array([1.0, LARGEST])
"""Of a lane as it is, and amplified."""

_SET, _HELD, _REACHED = 0.75, 0.8, 0.9  # coefficient, source, and where the ramp ends
_OFF = 0.5  # of its setting; a lane that is off by more is broken
_SAMPLE_RATE = 1_000_000


@dataclass(frozen=True, slots=True)
class Setting:
    """Of every lane, its `share` of full scale (lanes,), -1 to 1, and whether it is `amplified` (lanes,)."""

    share: Array
    amplified: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LaneErrors:
    """Gain [1] and offset of every lane, (2, lanes) each: as it is, and amplified."""

    gain: Array
    offset: Array

    @classmethod
    def none(cls, count: int) -> LaneErrors:
        """Lanes that are what they are set to."""
        return cls(np.ones((2, count)), np.zeros((2, count)))

    def setting_for(self, wanted: Array, step: float) -> Setting:
        """What to set lanes to, in multiples of `step` [of full scale; 0: any], so that they are `wanted`."""
        plain, amplified = _rounded((wanted - self.offset) / (FACTORS[:, None] * self.gain), step)
        fits = np.abs(plain) <= 1
        return Setting(np.where(fits, plain, np.clip(amplified, -1, 1)), ~fits)

    def actual(self, setting: Setting) -> Array:
        """What lanes are that are set so."""
        row, lane = setting.amplified.astype(int), np.arange(len(setting.share))
        return self.gain[row, lane] * FACTORS[row] * setting.share + self.offset[row, lane]


def measured(machine: Machine, lanes: Sequence[Lane]) -> LaneErrors:
    """Gains and offsets of these lanes; raises InstrumentError for one that does nothing of what it should."""
    found = LaneErrors.none(len(lanes))
    for source, targets in _groups(lanes):
        for row, factor in enumerate(FACTORS):
            up, down = (_coefficients(machine, source, targets, sign * _SET, amplified=row == 1) for sign in (1, -1))
            found.gain[row, list(targets)] = (up - down) / (2 * factor * _SET)
            found.offset[row, list(targets)] = (up + down) / 2
    wrong = np.flatnonzero((np.abs(found.gain - 1) > _OFF).any(axis=0))
    if wrong.size:
        words = ", ".join(f"{lane} ({found.gain[0, lane]:.3g})" for lane in wrong)
        raise InstrumentError(f"lanes of the machine do not carry what they are set to, by their gains: {words}")
    return found


def _groups(lanes: Sequence[Lane]) -> Iterator[tuple[int, dict[int, int]]]:
    """A source that holds still, and by lane the integrator that it leads to: its own, or a free one."""
    left = list(range(len(lanes)))
    while left:
        source = (lanes[left[0]].target + 1) % INTEGRATORS
        targets: dict[int, int] = {}
        for lane in left:
            taken = {source, *targets.values()}
            own = lanes[lane].target
            free = [item for item in range(INTEGRATORS) if item not in taken] if own >= INTEGRATORS else [own]
            if free and free[0] not in taken:
                targets[lane] = free[0]
        left = [lane for lane in left if lane not in targets]
        yield source, targets


def _coefficients(machine: Machine, source: int, targets: dict[int, int], share: float, *, amplified: bool) -> Array:
    """What lanes really are, from ramps, in the order of `targets`."""
    slopes, held = [], []
    for sign in (1, -1):
        start = np.zeros(INTEGRATORS)
        start[source] = sign * _HELD
        routes = [Route(source, lane, share, target, amplified) for lane, target in targets.items()]
        rate = RATE * FACTORS[int(amplified)] * abs(share) * _HELD * (1 + _OFF)  # of the fastest lane that is whole
        times, read = machine.run(Patch(routes, start), _REACHED / rate, _SAMPLE_RATE)
        slopes.append(np.polynomial.polynomial.polyfit(times, read, 1)[1][list(targets.values())])
        held.append(read[:, source].mean())
    return -(slopes[0] - slopes[1]) / (RATE * (held[0] - held[1]))


def _rounded(values: Array, step: float) -> Array:
    return np.round(values / step) * step if step else values
