"""From what an instrument plays to what reaches the rig at the kicks.

    reaches(t) = gain * [high-passed] delivered((t - late) / (1 + clock skew)) + offset

`delivered` is read as straight between its samples, and idle before the first and after the last.  That is the mean
over the interval of a kick of what a converter holds, so a delay by part of a sample is exact either way.
"""

from __future__ import annotations

import numpy as np

from labrhel.arrays import Array
from labrhel.shots.compiled import Played
from simbackend.imperfections.paths import Path, high_pass


def arriving(played: Played, path: Path, kicks: Array, late: float, skew: float, *, held: bool, idle: float) -> Array:
    """Values at the times `kicks` (steps,) [time of the rig].

    `late` [time] adds to the delay of the path; `held`: the port has sample rates of its own, and holds each sample
    from its time on; `idle`: what it delivers when nothing is played.
    """
    delivered = (played.samples if played.delivered is None else played.delivered).values
    if path.corner:
        delivered = high_pass(delivered, played.dt, path.corner)
        idle = 0.0
    first = played.t0 + (played.dt / 2 if held else 0.0)
    times = first + played.dt * np.arange(-1, len(delivered) + 1)
    padded = np.concatenate([[idle], delivered, [idle]])
    reached = np.interp((kicks - late - path.delay) / (1 + skew), times, padded)
    return path.gain * reached + path.offset
