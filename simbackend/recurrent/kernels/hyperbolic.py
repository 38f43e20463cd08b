"""tanh without branches, in parts that keep their relative accuracy when a unit saturates.

    e = exp(-2|x|),  m = e - 1:        tanh x = -sign(x) m / (2 + m),        1 - tanh(x)^2 = 4 e / (2 + m)^2

Both forms are free of cancellation: near 0 because m is computed as such, far out because e is.  Reduction: with
n = round(y log2 e) and r = y - n log 2, exp(y) - 1 = 2^n expm1(r) + (2^n - 1).  float32: polynomial and split of
log 2 from Cephes (Moshier, expf), 1.5e-7 relative error of tanh; float64: Taylor to r^13, |r| <= 0.35, and the split
of log 2 of fdlibm (Sun), 4e-16.  Beyond |x| = 20 both types have reached 1; arguments are held there.

`quick_tanh_parts` gives tanh alone, for those who do not need 1 - tanh(x)^2 of saturated units: in float32 a rational
function x N(x^2)/D(x^2) of degrees 13 and 6 (coefficients as in Eigen), 5e-7, which takes 13 instructions, not 24.
"""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.extending import overload

from simbackend.kernels.compiling import inlined
from simbackend.recurrent.kernels.lane_functions import least, magnitude, most, power_of_two, signed
from simbackend.recurrent.kernels.lanes import Lanes

_LARGEST = 20.0
_LOG2_E = 1.4426950408889634
_AT_ZERO = 4.89352518554385e-03  # of numerator and denominator alike: a slope of 1 - 1e-7 would drift in phase


def exponentials(y: Any) -> tuple[Any, Any]:
    """exp(y) - 1 and exp(y) for y in [-40, 0]."""
    raise NotImplementedError("compiled code only")


@overload(exponentials, jit_options={"forceinline": True})
def _exponentials(y):
    if not isinstance(y, Lanes):
        return None
    return _single if y.dtype == types.float32 else _double


def _single(y):
    shifted = y * _LOG2_E + 12582912.0  # 1.5 * 2^23 rounds to an integer
    n = shifted - 12582912.0
    r = y - n * 0.693359375
    r = r - n * -2.12194440e-4
    s = power_of_two(shifted)
    f = r * 1.9875691500e-4 + 1.3981999507e-3
    f = f * r + 8.3334519073e-3
    f = f * r + 4.1665795894e-2
    f = f * r + 1.6666665459e-1
    f = f * r + 5.0000001201e-1
    f = f * (r * r) + r
    return s * f + (s - 1.0), s * f + s


def _double(y):
    shifted = y * _LOG2_E + 6755399441055744.0  # 1.5 * 2^52
    n = shifted - 6755399441055744.0
    r = y - n * 6.93147180369123816490e-01
    r = r - n * 1.90821492927058770002e-10
    s = power_of_two(shifted)
    f = r * (1 / 6227020800) + 1 / 479001600
    f = f * r + 1 / 39916800
    f = f * r + 1 / 3628800
    f = f * r + 1 / 362880
    f = f * r + 1 / 40320
    f = f * r + 1 / 5040
    f = f * r + 1 / 720
    f = f * r + 1 / 120
    f = f * r + 1 / 24
    f = f * r + 1 / 6
    f = f * r + 0.5
    f = f * (r * r) + r
    return s * f + (s - 1.0), s * f + s


@inlined
def tanh_parts(x):
    """(numerator, denominator, e): tanh x = numerator / denominator, and 4 e / denominator^2 = 1 - tanh(x)^2."""
    m, e = exponentials(least(magnitude(x), _LARGEST) * -2.0)
    return signed(m, x), m + 2.0, e


def quick_tanh_parts(x: Any) -> tuple[Any, Any]:
    """(numerator, denominator) of tanh x."""
    raise NotImplementedError("compiled code only")


@overload(quick_tanh_parts, jit_options={"forceinline": True})
def _quick_tanh_parts(x):
    if not isinstance(x, Lanes):
        return None
    return _rational if x.dtype == types.float32 else _by_exponential


def _rational(x):
    x = most(least(x, 7.9053111), -7.9053111)
    s = x * x
    above = s * -2.76076847742355e-16 + 2.00018790482477e-13
    above = above * s - 8.60467152213735e-11
    above = above * s + 5.12229709037114e-08
    above = above * s + 1.48572235717979e-05
    above = above * s + 6.37261928875436e-04
    above = above * s + _AT_ZERO
    below = s * 1.19825839466702e-06 + 1.18534705686654e-04
    below = below * s + 2.26843463243900e-03
    below = below * s + _AT_ZERO
    return x * above, below


def _by_exponential(x):
    above, below, _ = tanh_parts(x)
    return above, below
