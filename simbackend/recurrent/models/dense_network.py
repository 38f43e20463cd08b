"""Densely coupled network as a recurrent unit: every oscillator may pull at every other one.

    H = |p|^2/2 + sum_i [k_i q_i^2/2 + b_i q_i^4/4] + sum_ij J_ij (q_j - q_i)^2/4 - q . B u
    F_i = -k_i q_i - b_i q_i^3 + sum_j (J_ij + J_ji)/2 (q_j - q_i) + (B u)_i,        y = C q

Parameters: d () the step of all, k (n,) stiffness, b (n,) Duffing term, J (n, n) springs, B (n, d_in) force per input,
C (d_out, n) read-out.  J is symmetrised and its diagonal does nothing, so that a gradient step keeps a symmetric J
symmetric; a pair's spring is (J_ij + J_ji)/2.
Observables: k: q^2/2;  b: q^4/4;  J_ij: (q_j - q_i)^2/4;  B: -q u^T;  u: -B^T q;  d: H.
Source: Pourcel & Ernoult (2025), Eq. 8, with unit masses (coordinates are scaled by the root of the mass).

Gradients with D = (q+ - q-)/(2 eps), m at the kicks, h = eps D and S = sum D m^T:

    dL/dk = -d sum D m;    dL/db = -d sum m D (m^2 + h^2);    dL/dJ_ij = -(d/2) (S_ii + S_jj - S_ij - S_ji)
    dL/dB = d sum D u^T;   dL/du = B^T (d D);                 dL/dd = -[difference of H]/(2 eps), summed over the kicks
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from labrhel.arrays import Array, Arrays
from simbackend.recurrent.models.recurrent_unit import KernelForm, UnitParameter, UnitSums


class DenseNetwork:
    """The network as a `RecurrentUnit`."""

    name = "dense network"
    parameters: Mapping[str, UnitParameter] = MappingProxyType(
        {
            "d": UnitParameter((), "kinetic", "step [model time]"),
            "k": UnitParameter(("n",), "potential", "stiffness"),
            "b": UnitParameter(("n",), "potential", "Duffing term, force b q^3"),
            "J": UnitParameter(("n", "n"), "potential", "springs between pairs, symmetrised"),
            "B": UnitParameter(("n", "d_in"), "input", "force per input"),
            "C": UnitParameter(("d_out", "n"), "potential", "read-out y = C q"),
        }
    )
    coupled = True
    damped = False
    linear = False

    def force(self, theta: Arrays, q: Array, u: Array) -> Array:
        return _pull(theta, q) - theta["b"] * q**3 + u @ theta["B"].T

    def observables(self, theta: Arrays, q: Array, p: Array, after: Array, u: Array) -> dict[str, Array]:
        d, drive = theta["d"], u @ theta["B"].T
        energy = np.sum((p**2 + after**2) / 4 - q * (_pull(theta, q) / 2 - theta["b"] * q**3 / 4 + drive))
        return {
            "d": np.asarray(energy),
            "k": d * np.sum(q**2, axis=0) / 2,
            "b": d * np.sum(q**4, axis=0) / 4,
            "J": d * np.sum((q[:, :, None] - q[:, None, :]) ** 2, axis=0) / 4,
            "B": -d * (q.T @ u),
        }

    def input_observable(self, theta: Arrays, q: Array, u: Array) -> Array:
        return -(theta["d"] * q) @ theta["B"]

    def force_pair(self, theta: Arrays, mean: Array, difference: Array, eps: float, u: Array) -> tuple[Array, Array]:
        b, square = theta["b"], (eps * difference) ** 2
        return (
            _pull(theta, mean) - b * mean * (mean**2 + 3 * square) + u @ theta["B"].T,
            _pull(theta, difference) - b * difference * (3 * mean**2 + square),
        )

    def pull_back(self, theta: Arrays, q: Array, u: Array, mu: Array) -> tuple[dict[str, Array], Array, Array]:
        parameters = {
            "k": -np.sum(mu * q, axis=0),
            "b": -np.sum(mu * q**3, axis=0),
            "J": -_paired(mu.T @ q) / 2,
            "B": mu.T @ u,
        }
        return parameters, _pull(theta, mu) - 3 * theta["b"] * q**2 * mu, mu @ theta["B"]

    def kernel_form(self, theta: Arrays) -> KernelForm:
        n, springs = len(theta["k"]), _springs(theta)
        stiffness = theta["k"] + springs.sum(axis=1)
        return KernelForm(
            step=np.full(n, theta["d"]),
            stiffness=stiffness,
            weight=np.ones(n),
            frequency=np.sqrt(np.abs(stiffness)),
            bias=np.zeros(n),
            gain=None,
            cubic=theta["b"],
            coupling=springs,
        )

    def gradients(self, theta: Arrays, sums: UnitSums) -> dict[str, Array]:
        assert sums.coupling is not None
        d, pairs = theta["d"], _paired(sums.coupling)
        terms = (
            theta["k"] * sums.stiffness, theta["b"] * sums.gain, theta["J"] * pairs / 2, theta["B"] * sums.slope_input,
            sums.kinetic,
        )  # fmt: skip
        return {
            "d": np.asarray(-sum(term.sum() for term in terms)),
            "k": -d * sums.stiffness,
            "b": -d * sums.gain,
            "J": -d * pairs / 2,
            "B": -d * sums.slope_input,
        }


def _springs(theta: Arrays) -> Array:
    """Springs between pairs (n, n), zero on the diagonal."""
    springs = (theta["J"] + theta["J"].T) / 2
    np.fill_diagonal(springs, 0.0)
    return springs


def _pull(theta: Arrays, q: Array) -> Array:
    """-k q + sum_j J_ij (q_j - q_i), the linear part of the force."""
    springs = _springs(theta)
    return q @ springs - (theta["k"] + springs.sum(axis=1)) * q


def _paired(sums: Array) -> Array:
    """Sum (D_j - D_i)(m_j - m_i) of S = sum D m^T."""
    own = np.diag(sums)
    return own[:, None] + own - sums - sums.T
