"""Coupled oscillators with a restoring force that saturates, as that of a diode-limited or a mean-field unit.

    H = that of the oscillator network + sum_i s_i w log cosh(q_i / w),      force_i gains  -s_i tanh(q_i / w)

w is one unit of position, so s_i is the largest force; for small q it adds s_i / w to the stiffness.  An FPGA board has
the tanh as a table (`labrhel.wire.tanh_table`).  Observable dH/ds_i = w log cosh(q_i / w).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from labrhel.arrays import Array, Arrays
from labrhel.model.interface import ParameterKind
from simbackend.models.oscillator_network import OscillatorNetwork


class SaturatingNetwork(OscillatorNetwork):
    """An `OscillatorNetwork` with one more parameter, `saturation` (n,)."""

    is_polynomial: ClassVar[bool] = False

    def force(self, q: Array, theta: Arrays) -> Array:
        """-dV/dq at positions (n,) or (n, steps), without inputs."""
        column = (slice(None),) + (None,) * (q.ndim - 1)
        return super().force(q, theta) - self.value("saturation", theta)[column] * np.tanh(q)

    def hessian(self, q: Array, theta: Arrays) -> Array:
        """d2V/dq2 (n, n) at positions (n,)."""
        return super().hessian(q, theta) + np.diag(self.value("saturation", theta) / np.cosh(q) ** 2)

    def observables(
        self, names: Sequence[str], q: Array, v: Array, u: Array, dt: float, theta: Arrays
    ) -> dict[str, Array]:
        """sum_k dt * dH/dtheta from traces at the kicks, q and v (n, steps), u (inputs, steps)."""
        sums = super().observables([name for name in names if name != "saturation"], q, v, u, dt, theta)
        if "saturation" in names:
            sums["saturation"] = dt * np.sum(log_cosh(q), axis=1)
        return sums

    def is_linear(self, theta: Arrays) -> bool:
        """True if all anharmonic terms vanish."""
        return super().is_linear(theta) and not np.any(self.value("saturation", theta))

    def _defaults(self) -> dict[str, tuple[ParameterKind, ArrayLike, tuple[int, ...], str]]:
        more = ("potential", 0.0, (self.size,), "force s_i tanh(q_i / w), w one unit of position")
        return super()._defaults() | {"saturation": more}


def log_cosh(x: Array) -> Array:
    """Without overflow, and for complex x near the real axis, as derivatives take it."""
    away = np.where(np.real(x) < 0, -x, x)
    return away + np.log1p(np.exp(-2 * away)) - np.log(2)
