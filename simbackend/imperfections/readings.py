"""From the motion of the rig to what a channel shows.

    shows(k) = ADC{ ([high-passed] there((1 + clock skew + apart) t_k - late) - offset) / gain + noise }

Between kicks positions move in straight lines, which is what the leapfrog does; before the first and after the last
kick the line goes on to the state half a step away, and stays there.  What clocks are apart moves all readings the same
way, by more and more of a step: a rig moves smoothly there, and straight lines would be a bias of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labrhel.arrays import Array
from labrhel.rig.capabilities import Converter
from simbackend.imperfections.converters import digitize
from simbackend.imperfections.paths import Path, high_pass


@dataclass(frozen=True, slots=True)
class Reading:
    """Values (...) [unit], and where there is a converter its codes and how many of them it clipped."""

    values: Array
    codes: NDArray[np.int32] | None = None
    over_range: int = 0


def sampled(
    motion: Array, ends: tuple[float, float], step: float, path: Path, late: float, skew: float, apart: float = 0.0
) -> Array:
    """What arrives at the instrument at its own sampling times.

    `motion` (steps,) is the signal at the kicks, `ends` half a step before the first and after the last.
    """
    if apart and len(motion) > 3:
        from scipy.interpolate import make_interp_spline

        places = np.arange(len(motion))
        motion = np.asarray(make_interp_spline(places, motion, k=3)((1 + apart) * places))
    kicks = step * np.arange(len(motion))
    times = np.concatenate([[-step / 2], kicks, [kicks[-1] + step / 2]])
    line = np.concatenate([[ends[0]], motion, [ends[1]]])
    arrived = np.interp((1 + skew) * kicks - late - path.delay, times, line)
    return high_pass(arrived, step, path.corner) if path.corner else arrived


def shown(arrived: Array, path: Path, noise: Array | float, converter: Converter | None) -> Reading:
    """What a channel shows after its amplifier, noise and converter."""
    values = (arrived - path.offset) / path.gain + noise
    if converter is None:
        return Reading(values)
    codes, clipped = digitize(values, converter)
    return Reading(codes * converter.lsb + converter.low, codes, clipped)
