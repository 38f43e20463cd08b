"""Derivatives of a user's functions, to machine precision where the functions allow it.

    complex step        f'(x) a = Im f(x + i h a) / h + O(h^2),                   h = 1e-30: exact to rounding
    central difference  f'(x) a = [f(x + h a) - f(x - h a)] / (2 h) + O(h^2),     h = 1e-5: good to about 1e-9

The first asks for an analytic function that takes complex numbers, as most numpy expressions do; abs(x), a cast to
float or a call of `math` does not.  Whether it holds is seen by the second, which then answers in its place.
Source: Squire & Trapp, SIAM Review 40, 110 (1998).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from labrhel.arrays import Array

_IMAGINARY, _REAL = 1e-30, 1e-5  # relative to the largest entry of x
_AGREE = 1e-6  # relative; a central difference is better than that, a function that loses the imaginary part is not
_ROUNDING = 1e-9  # of |f|/|x|: what a central difference may make of a slope that vanishes

Function = Callable[[Array], Array]


def along(function: Function, at: Array, direction: Array) -> Array:
    """Derivative of `function` at `at` (...) along `direction` (...): f'(at) direction."""
    size, longest = (float(np.max(np.abs(item), initial=0.0)) or 1.0 for item in (at, direction))
    unit = direction / longest
    ends = [np.asarray(function(at + sign * _REAL * size * unit)) for sign in (1, -1)]
    difference = (ends[0] - ends[1]) / (2 * _REAL * size)
    exact = _complex_step(function, at, _IMAGINARY * size, unit)
    allowed = _AGREE * np.linalg.norm(difference) + _ROUNDING * np.linalg.norm(ends[0]) / size
    agrees = exact is not None and np.linalg.norm(exact - difference) <= allowed
    return longest * (exact if exact is not None and agrees else difference)


def jacobian(function: Function, at: Array) -> Array:
    """df_i/dq_j (n, n, ...) of a function of positions `at` (n, ...), each column of them by itself."""
    columns = []
    for j in range(len(at)):
        direction = np.zeros_like(at)
        direction[j] = 1.0
        columns.append(along(function, at, direction))
    return np.stack(columns, axis=1)


def _complex_step(function: Function, at: Array, step: float, unit: Array) -> Array | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's, that an imaginary part was dropped: the comparison tells
            return np.imag(function(at + 1j * step * unit)) / step
    except (TypeError, ValueError):
        return None
