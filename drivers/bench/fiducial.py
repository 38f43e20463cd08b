"""The clock of a digitizer that shares none with the generators, from an edge that both know.

The sync output of the generator that fires is up from the first sample of a burst to its end.  Seen on one input of a
digitizer, its two edges say where on that digitizer's time axis the burst begins, and how much faster its clock runs:
with 25 ppm a pass of 20,000 kicks ends half a step off, which is enough to ruin a gradient.

    t(digitizer) = t(rise) + (t(fall) - t(rise)) / length * t(generator)

An edge is known to a fraction of a sample at best, so the rate to one sample in the length of the burst.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivers.roles import Record
from labrhel.arrays import Array
from labrhel.errors import InstrumentError

LARGEST_ERROR = 1e-3
"""Of the rate; quartz has 1e-4 at worst, and a larger one means that an edge was not the burst's."""


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """Seconds after the trigger on the digitizer's clock: `begin` + `rate` times those of the generators."""

    begin: float = 0.0
    rate: float = 1.0

    def of(self, times: Array) -> Array:
        """Times on the digitizer's clock."""
        return self.begin + self.rate * times


def time_axis(record: Record, level: float, length: float, where: str) -> TimeAxis:
    """The axis from the record of a fiducial that is above `level` [V] for `length` [s] from the trigger on.

    Raises InstrumentError, naming the input `where`, if its edges are not there or too far from where they should be.
    """
    up = record.volts >= level
    edges = np.flatnonzero(up[1:] != up[:-1])
    if len(edges) != 2 or up[0]:
        raise InstrumentError(
            f"the fiducial at {where} has {len(edges)} edges at {level:g} V instead of one up and one down: wire the "
            "sync output of the generator that fires to it, or set `level` to half of its height"
        )
    rise, fall = (record.t0 + record.dt * _crossing(record.volts, int(edge), level) for edge in edges)
    rate = (fall - rise) / length
    if abs(rate - 1) > LARGEST_ERROR + 2 * record.dt / length:
        raise InstrumentError(
            f"the fiducial at {where} is up for {fall - rise:.6g} s, and the burst lasts {length:.6g} s: it is not "
            "that of this shot, or the sample rates are not what they were set to"
        )
    return TimeAxis(rise, rate)


def _crossing(volts: Array, index: int, level: float) -> float:
    """Where between sample `index` and the next one the straight line crosses `level` [samples]."""
    low, high = volts[index], volts[index + 1]
    return index + (level - low) / (high - low)
