"""Linear harmonic recurrent unit: forced oscillators with a step of their own.

    H = |p|^2/2 + q . A q/2 - q . B u,        A diagonal, >= 0
    F = -A q + B u,        y = C q,        stable while d^2 A < 4

Parameters: d (n,) step, A (n,) stiffness, B (n, d_in) input weights, C (d_out, n) read-out.
Observables: A: q^2/2;  B: -q u^T;  u: -B^T q;  d: H of the unit.
Source: Pourcel & Ernoult (2025), linear HRU, after LinOSS (Rusch & Rus 2024), with the reversible leapfrog.

Gradients with D = (q+ - q-)/(2 eps) and m at the kicks, exact at any eps (the observables are quadratic):

    dL/dA = -d sum m D;   dL/dB = d sum D u^T;   dL/du = B^T (d D);   dL/dd = -sum [-F D + (p Dp + p' Dp')/2]
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from labrhel.arrays import Array, Arrays
from simbackend.recurrent.models.recurrent_unit import KernelForm, UnitParameter, UnitSums


class LinearHRU:
    """The unit as a `RecurrentUnit`."""

    name = "linear HRU"
    coupled = False
    damped = False
    linear = True
    parameters: Mapping[str, UnitParameter] = MappingProxyType(
        {
            "d": UnitParameter(("n",), "kinetic", "step [model time]"),
            "A": UnitParameter(("n",), "potential", "stiffness"),
            "B": UnitParameter(("n", "d_in"), "input", "force per input"),
            "C": UnitParameter(("d_out", "n"), "potential", "read-out y = C q"),
        }
    )

    def force(self, theta: Arrays, q: Array, u: Array) -> Array:
        return u @ theta["B"].T - theta["A"] * q

    def observables(self, theta: Arrays, q: Array, p: Array, after: Array, u: Array) -> dict[str, Array]:
        d, drive = theta["d"], u @ theta["B"].T
        return {
            "A": d * np.sum(q**2, axis=0) / 2,
            "B": -d[:, None] * (q.T @ u),
            "d": np.sum((p**2 + after**2) / 4 + theta["A"] * q**2 / 2 - q * drive, axis=0),
        }

    def input_observable(self, theta: Arrays, q: Array, u: Array) -> Array:
        return -(theta["d"] * q) @ theta["B"]

    def force_pair(self, theta: Arrays, mean: Array, difference: Array, eps: float, u: Array) -> tuple[Array, Array]:
        return self.force(theta, mean, u), -theta["A"] * difference

    def pull_back(self, theta: Arrays, q: Array, u: Array, mu: Array) -> tuple[dict[str, Array], Array, Array]:
        return {"A": -np.sum(mu * q, axis=0), "B": mu.T @ u}, -theta["A"] * mu, mu @ theta["B"]

    def kernel_form(self, theta: Arrays) -> KernelForm:
        n = len(theta["d"])
        return KernelForm(
            step=theta["d"],
            stiffness=theta["A"],
            weight=np.ones(n),
            frequency=np.sqrt(np.abs(theta["A"])),
            bias=np.zeros(n),
            gain=None,
        )

    def gradients(self, theta: Arrays, sums: UnitSums) -> dict[str, Array]:
        d, driven = theta["d"], np.sum(theta["B"] * sums.slope_input, axis=1)  # driven: -sum D (B u)
        return {
            "d": -(theta["A"] * sums.stiffness + driven + sums.kinetic),
            "A": -d * sums.stiffness,
            "B": -d[:, None] * sums.slope_input,
        }
