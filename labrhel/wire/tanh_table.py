"""tanh as a table of a board: straight lines between equally spaced points, in integers.

Over [-8, 8] (in units of the words, beyond which tanh is 1 to 2e-7) there are N intervals of 2^g codes, g = f + 4 -
log2 N with f the fraction of the words.  For a word q, cut to that range,

    i = (q >> g) + N/2,   r = near((T_(i+1) - T_i) (q mod 2^g) + (T_i << g), g),   T_i = nearest code of tanh(x_i)

which is off by at most max|tanh''| h^2/8 = 0.0962 h^2 with h = 16/N, and one code of rounding: 2.4e-5 for N = 1024.
The rounding is that of `simbackend.fixed_point.reference`; it may be any fixed one, since a kick adds the same word to
p on the way back.
"""

from __future__ import annotations

import numpy as np

from labrhel.errors import ConfigurationError
from labrhel.wire.fixed_point import Codes, Format

_REACH_BITS = 3  # the table reaches from -2^3 to 2^3


def shift_of(form: Format, intervals: int) -> int:
    """g: the bits of a word below its interval.  Raises ConfigurationError for a table that words cannot index."""
    count = intervals.bit_length() - 1
    shift = form.fraction + _REACH_BITS + 1 - count
    if intervals < 16 or intervals & (intervals - 1) or shift < 0:
        most = 1 << (form.fraction + _REACH_BITS + 1)
        raise ConfigurationError(
            f"a table of tanh has a power of two of intervals, 16 to {most} with words of {form}; not {intervals}"
        )
    return shift


def reach_of(form: Format) -> int:
    """The largest code of the range [codes], that of -8 with its sign turned; words that end before it are not cut."""
    return 1 << (form.fraction + _REACH_BITS)


def points(form: Format, intervals: int) -> Codes:
    """T (intervals + 1,): the nearest codes of tanh at the ends of the intervals."""
    shift_of(form, intervals)
    x = np.linspace(-(2.0**_REACH_BITS), 2.0**_REACH_BITS, intervals + 1)
    return np.rint(np.tanh(x) * 2.0**form.fraction).astype(np.int64)
