"""The time between samples, from an axis of time: equal steps, or the first place where they are not."""

from __future__ import annotations

import math

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import ConfigurationError

_UNEQUAL = 0.02  # of a step, which clocks of instruments keep easily
_MOSTLY = 0.98  # share of equal steps beyond which the others are gaps, and no rounding

_EPOCHS = ((1e11, ""), (1e14, "ms"), (1e17, "µs"), (1e20, "ns"))
"""Numbers below each are seconds, ms, µs and ns since 1970, if they are dates between 1973 and 5138."""


def interval_of(times: Array, name: str, start: int = 0) -> float:
    """The step of an axis `times` (samples,), in its own unit, which begins at sample `start` of the array `name`.

    Times that were written with few digits are rounded, and are taken as equal steps if rounding explains them.
    Raises ConfigurationError for an axis that stands still, goes back, or has gaps.
    """
    if len(times) < 2:
        raise ConfigurationError(f"the axis {name!r} has one sample, and no step")
    bad = np.flatnonzero(~np.isfinite(times))
    if bad.size:
        raise ConfigurationError(f"sample {start + bad[0]} of the axis {name!r} is not a finite number")
    count = len(times) - 1
    step = float(times[-1] - times[0]) / count
    if not step > 0:
        raise ConfigurationError(f"the axis {name!r} does not go on: it is {times[0]:g} first and {times[-1]:g} last")
    line = times[0] + step * np.arange(count + 1)
    noise = 16 * np.spacing(max(abs(times[0]), abs(times[-1])))
    off = np.abs(times - line)
    allowed = _UNEQUAL * step + noise + _rounding(np.diff(times), noise)
    if off.max() > allowed:
        at = int(np.argmax(np.abs(np.diff(times) - np.median(np.diff(times)))))
        raise ConfigurationError(
            f"the axis {name!r} does not go on in equal steps: from sample {start + at} to {start + at + 1} it goes "
            f"from {times[at]:.9g} to {times[at + 1]:.9g}, where {np.median(np.diff(times)):.4g} is usual; resample "
            "the data, take segments without that place, or say `time: none`"
        )
    return step


def _rounding(steps: Array, noise: float) -> float:
    """Half of the last digit that times were written with, twice; 0 where that cannot be told."""
    ordered = np.sort(steps)
    gaps = np.diff(ordered)
    gaps = gaps[gaps > 4 * noise]
    if not gaps.size:
        return 0.0
    digit = float(gaps.min())
    median = float(np.median(steps))
    if np.mean(np.abs(steps - median) <= 4 * noise) > _MOSTLY or digit < 1e-3 * median:
        return 0.0 if digit > _UNEQUAL * median else 2 * digit
    # Rounded steps are multiples of the last digit, and differ by one of them.
    multiples = steps / digit
    whole = np.abs(multiples - np.round(multiples)) < 0.01
    return 1.01 * digit if whole.all() and np.ptp(steps) < 1.5 * digit + 8 * noise else 0.0


def epoch_of(value: float) -> str:
    """The unit of a time without one that is so large that it must be a date: ms, µs or ns since 1970; "" for none."""
    if not math.isfinite(value) or value < _EPOCHS[0][0]:
        return ""
    return next((unit for most, unit in _EPOCHS if value < most), "")
