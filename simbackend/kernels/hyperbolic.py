"""tanh without branches, in parts that keep their relative accuracy when a unit saturates.

    e = exp(-2|x|),  m = e - 1:        tanh x = -sign(x) m / (2 + m),        1 - tanh(x)^2 = 4 e / (2 + m)^2

Both forms are free of cancellation: near 0 because m is computed as such, far out because e is.  Reduction: with
n = round(y log2 e) and r = y - n log 2, exp(y) - 1 = 2^n expm1(r) + (2^n - 1).  float32: polynomial and split of
log 2 from Cephes (Moshier, expf), 1.5e-7 relative error of tanh; float64: Taylor to r^13, |r| <= 0.35, and the split
of log 2 of fdlibm (Sun), 4e-16.  Beyond |x| = 20 both types have reached 1; arguments are held there.
"""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.extending import overload

from simbackend.kernels.compiling import inlined
from simbackend.kernels.lane_functions import least, magnitude, power_of_two, signed
from simbackend.kernels.lanes import Lanes

_LARGEST = 20.0
_LOG2_E = 1.4426950408889634


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
