"""How pictures look: one colour a role, scales in plain numbers with units that fit them, legends beside the curves.

Numbers on axes have no exponent aside and no mathematics of matplotlib's: a trace of microvolts is in µV, a power of
ten is 10⁻⁵.  So a picture can hold any name, a $ included.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from labrhel.arrays import Array
from labrhel.units import fitting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

# Colours that those who see fewer of them can tell apart (Okabe and Ito, 2008).
FORWARD = "#0072B2"
ECHO = "#E69F00"
NUDGED = "#D55E00"
INPUT = "#56B4E9"
TARGET = "0.4"
BEFORE = "#009E73"
PREPARED = "#CC79A7"
OTHERS = "0.8"
"""The roles: a forward pass and the read-out it gives, an echo, what a nudge does, what drives, what is wanted, the
read-out before training, preparation, and what is not named."""

NAMED = (FORWARD, NUDGED, BEFORE, ECHO, PREPARED, INPUT, "black", "#7E57C2")
"""Curves that are told apart by their names alone."""

_LONG, _TICKS = 1e4, 5  # numbers of five digits and more, and the intervals that have room between them

SHOWN = 400
"""Samples of a trace; more than that is a solid block at this size."""

_LEAST_DECADES = 0.48  # below, a logarithmic scale may have a single number
_WIDE = 75  # letters of a legend in a row
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MICRO = re.compile(r"(?<![A-Za-z])u(?=(?:s|V|A|m|N|F|H|Hz|rad)\b)")
_POWER = re.compile(r"\^(-?\d+)")


@contextmanager
def plain_text() -> Iterator[None]:
    """A $ in a name or a unit is a $."""
    from matplotlib import rc_context

    with rc_context({"text.parse_math": False}):
        yield


def printed(unit: str) -> str:
    """V/ms² for V/ms^2, and µs for us."""
    return _POWER.sub(lambda power: power[1].translate(_SUPERSCRIPT), _MICRO.sub("µ", unit))


def scaled(unit: str, *values: Array) -> tuple[float, str]:
    """A factor for all of `values` [unit], and the unit that they then have, as it is printed: (1e6, "µV")."""
    largest = max((float(np.max(np.abs(each), initial=0.0, where=np.isfinite(each))) for each in values), default=0.0)
    factor, fits = fitting(largest, unit)
    return factor, printed(fits)


def over_gradients(axes: Axes) -> None:
    """The horizontal axis counts gradients: whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("gradient")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    low, high = axes.get_xlim()
    if high - low < 1:  # a single one, or none
        axes.set_xlim((low + high) / 2 - 0.5, (low + high) / 2 + 0.5)


def logarithmic(axes: Axes) -> None:
    """A logarithmic scale upwards, where values span enough for one; with two numbers on it at least."""
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import LogLocator, MaxNLocator

    drawn = [np.asarray(line.get_ydata(), float) for line in axes.get_lines()]
    drawn += [np.array([patch.get_height()]) for patch in axes.patches if isinstance(patch, Rectangle)]
    values = np.concatenate(drawn or [np.zeros(0)])
    values = values[np.isfinite(values) & (values > 0)]
    if not values.size:
        return
    decades = math.log10(float(values.max() / values.min()))
    if decades < _LEAST_DECADES:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    else:
        among = (1.0,) if decades > 2 else (1.0, 2.0, 5.0) if decades > 1 else tuple(range(1, 10))
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=among, numticks=7))
    in_powers_of_ten(axes.yaxis)


def in_powers_of_ten(axis: Axis) -> None:
    """The numbers of a logarithmic axis as `power_of_ten` writes them."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(value)))
    axis.set_minor_formatter(NullFormatter())


def power_of_ten(value: float) -> str:
    """0.02, 10⁻⁵, 2·10⁻⁵."""
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.4g}"
    mantissa, exponent = f"{value:.3e}".split("e")
    power = f"10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    return power if float(mantissa) == 1 else f"{float(mantissa):g}·{power}"


def above(axes: Axes, title: str = "", most: int = 8) -> None:
    """A legend of the first `most` named lines above the axes, where it hides no curve, and no wider; then a title."""
    lines = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")][:most]
    if not lines:
        axes.set_title(title)
        return
    longest = max(len(str(line.get_label())) for line in lines)
    columns = max(1, min(len(lines), _WIDE // (longest + 5)))
    axes.legend(
        handles=lines,
        fontsize=7,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        columnspacing=1,
        handlelength=1.5,
        borderaxespad=0.2,
        borderpad=0.2,
        frameon=False,
    )
    if title:
        axes.set_title(title, pad=6 + 11 * -(-len(lines) // columns))


def keep_apart(axes: Axes) -> None:
    """Fewer ticks where numbers are so long that those beside each other would touch."""
    from matplotlib.ticker import AutoLocator

    if max(map(abs, axes.get_xlim())) >= _LONG and isinstance(axes.xaxis.get_major_locator(), AutoLocator):
        axes.locator_params(axis="x", nbins=_TICKS)
