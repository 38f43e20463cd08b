"""Nonlinear harmonic recurrent unit: oscillators in a saturating potential that the input shifts.

    H = |p|^2/2 + sum_i [alpha_i q_i^2/2 + s_i log cosh(x_i)/A_i],    x = A q + B u + b,    s = sigmoid(c)
    F = -alpha q - s tanh(x),        y = C q,        stable while d^2 (alpha + s A) < 4

Parameters: d (n,) step, A (n,) gain, B (n, d_in) input weights, b (n,) bias, alpha (n,) stiffness, c (n,) logit of the
scale, C (d_out, n) read-out.  H has 1/A; the forces and gradients do not, and A = 0 is allowed there.
Observables: A: s (q tanh x/A - log cosh x/A^2);  b: s tanh x/A;  B: (s tanh x/A) u^T;  alpha: q^2/2;
c: s (1 - s) log cosh x/A;  u: B^T (s tanh x/A);  d: H of the unit.
Source: Pourcel & Ernoult (2025), nonlinear HRU, after UniCORNN (Rusch & Mishra 2021), with the reversible leapfrog.

Gradients with D = (q+ - q-)/(2 eps), m, t at the kicks and g = (1 - t^2) D; observables are read by their mid-point
forms (g in place of the difference of tanh over A, t D in place of that of log cosh over A), which differ at order
eps^2 only and need no logarithm:

    dL/dA = -d s sum g m;    dL/db = -d s sum g;    dL/dB = -d s sum g u^T;    dL/du = -B^T (d s g)
    dL/dalpha = -d sum D m;  dL/dc = -d s (1 - s) sum t D;    dL/dd = -sum [-F D + (p Dp + p' Dp')/2]

Here s scales the log cosh term only.  Where it scales the whole potential, use alpha' = s alpha: then dL/dalpha =
s dL/dalpha' and dL/dc gains s (1 - s) alpha dL/dalpha'.  Where it scales both equations (UniCORNN), use the step
d' = d s and no s (c -> large): dL/dd = s dL/dd', dL/dc = d s (1 - s) dL/dd'.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from labrhel.arrays import Array, Arrays
from simbackend.recurrent.models.recurrent_unit import KernelForm, UnitParameter, UnitSums


class NonlinearHRU:
    """The unit as a `RecurrentUnit`."""

    name = "nonlinear HRU"
    coupled = False
    damped = False
    linear = False
    parameters: Mapping[str, UnitParameter] = MappingProxyType(
        {
            "d": UnitParameter(("n",), "kinetic", "step [model time]"),
            "A": UnitParameter(("n",), "potential", "gain inside tanh"),
            "B": UnitParameter(("n", "d_in"), "input", "input weights inside tanh"),
            "b": UnitParameter(("n",), "potential", "bias inside tanh"),
            "alpha": UnitParameter(("n",), "potential", "stiffness"),
            "c": UnitParameter(("n",), "potential", "logit of the scale s of the log cosh term"),
            "C": UnitParameter(("d_out", "n"), "potential", "read-out y = C q"),
        }
    )

    def force(self, theta: Arrays, q: Array, u: Array) -> Array:
        return -theta["alpha"] * q - _scale(theta) * np.tanh(_argument(theta, q, u))

    def observables(self, theta: Arrays, q: Array, p: Array, after: Array, u: Array) -> dict[str, Array]:
        d, s, gain, x = theta["d"], _scale(theta), theta["A"], _argument(theta, q, u)
        t, well = np.tanh(x) / gain, _log_cosh(x) / gain
        return {
            "A": d * s * np.sum(q * t - well / gain, axis=0),
            "B": (d * s)[:, None] * (t.T @ u),
            "b": d * s * np.sum(t, axis=0),
            "alpha": d * np.sum(q**2, axis=0) / 2,
            "c": d * s * (1 - s) * np.sum(well, axis=0),
            "d": np.sum((p**2 + after**2) / 4 + theta["alpha"] * q**2 / 2 + s * well, axis=0),
        }

    def input_observable(self, theta: Arrays, q: Array, u: Array) -> Array:
        slope = theta["d"] * _scale(theta) / theta["A"]
        return (slope * np.tanh(_argument(theta, q, u))) @ theta["B"]

    def force_pair(self, theta: Arrays, mean: Array, difference: Array, eps: float, u: Array) -> tuple[Array, Array]:
        s, alpha, x = _scale(theta), theta["alpha"], _argument(theta, mean, u)
        t, h = np.tanh(x), np.tanh(eps * theta["A"] * difference)
        share = 1 / (1 - t**2 * h**2)
        return (
            -alpha * mean - s * t * (1 - h**2) * share,
            -alpha * difference - s * (h / eps) * _sech_squared(x) * share,
        )

    def pull_back(self, theta: Arrays, q: Array, u: Array, mu: Array) -> tuple[dict[str, Array], Array, Array]:
        s, x = _scale(theta), _argument(theta, q, u)
        slope = -mu * s * _sech_squared(x)
        parameters = {
            "A": np.sum(slope * q, axis=0),
            "B": slope.T @ u,
            "b": np.sum(slope, axis=0),
            "alpha": -np.sum(mu * q, axis=0),
            "c": -s * (1 - s) * np.sum(mu * np.tanh(x), axis=0),
        }
        return parameters, theta["A"] * slope - theta["alpha"] * mu, slope @ theta["B"]

    def kernel_form(self, theta: Arrays) -> KernelForm:
        s = _scale(theta)
        # Between the stiffness far out, alpha, and that at the centre, alpha + s A.
        stiffness = theta["alpha"] + s * theta["A"] / 2
        return KernelForm(
            step=theta["d"],
            stiffness=theta["alpha"],
            weight=s,
            frequency=np.sqrt(np.abs(stiffness)),
            bias=theta["b"],
            gain=theta["A"],
        )

    def gradients(self, theta: Arrays, sums: UnitSums) -> dict[str, Array]:
        d, s = theta["d"], _scale(theta)
        return {
            "d": -(theta["alpha"] * sums.stiffness + s * sums.scale + sums.kinetic),
            "A": -d * s * sums.gain,
            "B": -(d * s)[:, None] * sums.slope_input,
            "b": -d * s * sums.bias,
            "alpha": -d * sums.stiffness,
            "c": -d * s * (1 - s) * sums.scale,
        }


def _scale(theta: Arrays) -> Array:
    return 1 / (1 + np.exp(-theta["c"]))


def _argument(theta: Arrays, q: Array, u: Array) -> Array:
    return theta["A"] * q + u @ theta["B"].T + theta["b"]


def _sech_squared(x: Array) -> Array:
    """1 - tanh(x)^2 without cancellation."""
    e = np.exp(-2 * np.abs(x))
    return 4 * e / (1 + e) ** 2


def _log_cosh(x: Array) -> Array:
    """Log cosh without overflow, and accurate near 0."""
    y = np.abs(x)
    return np.where(
        y < 0.5, np.log1p(2 * np.sinh(np.minimum(y, 0.5) / 2) ** 2), y + np.log1p(np.exp(-2 * y)) - np.log(2)
    )
