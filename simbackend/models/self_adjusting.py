"""Oscillators whose springs are slow variables of the rig itself: what agnostic echo learning trains.

    H = sum_i p_i^2/(2 m_i) + sum_i s_i q_i^2/2 + sum_i b_i q_i^4/4 + sum_(i<j) k_ij (q_j - q_i)^2/2 - q . W (u + o)
    s_i' = -mu_i (dH/ds_i + (s_i - v_i)/eta),     dH/ds_i = q_i^2/2,     v_i = rest_i + eta f_i

The springs s are the coordinates n .. 2n-1, overdamped: their friction is 1/mu and their mass so small that it does not
matter; f_i is the force of their drive ports.  A spring that is left alone relaxes towards `rest`.
Source: Scellier, Mishra, Bengio & Ollivier, Agnostic physics-driven deep learning, arXiv 2205.15021 (2022).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from simbackend.models.oscillator_network import edges_of
from simbackend.models.separable_model import SeparableModel, Term

MOBILITY, RESPONSE_TIME = 1e-3, 0.05


class SelfAdjustingNetwork(SeparableModel):
    """`size` oscillators and as many springs; terms rest (n,), cubic (n,), coupling (pairs,) and compliance eta."""

    def __init__(
        self,
        size: int,
        *,
        inputs: Sequence[str] = ("u1",),
        coupling: str | Sequence[Sequence[int]] = "none",
        nominal: Mapping[str, ArrayLike] | None = None,
        time_unit: float = 1.0,
        position_unit: str = "1",
        input_unit: str = "1",
    ) -> None:
        self.oscillators, self.edges = size, edges_of(coupling, size)
        slow = np.repeat([0.0, 1.0], size)
        given = {
            "friction": slow / MOBILITY,
            "mass": 1 - slow + slow * RESPONSE_TIME / MOBILITY,
            **(nominal or {}),
        }
        for name, shape in (("input", (size, len(inputs))), ("initial_position", (size,))):
            if name in given and np.shape(given[name]) == shape:
                given[name] = np.concatenate([np.asarray(given[name], float), np.zeros(shape)])
        terms = {
            "rest": Term((size,), 1.0, "where a spring relaxes to", "1"),
            "cubic": Term((size,), 0.0, "force -b q^3"),
            "coupling": Term((len(self.edges),), 0.0, "stiffness of the spring of a pair"),
            "compliance": Term((), 1e3, "eta: how far a spring gives way to a force"),
        }
        super().__init__(
            2 * size,
            terms,
            inputs=inputs,
            nominal=given,
            time_unit=time_unit,
            position_unit=position_unit,
            input_unit=input_unit,
        )
        start = np.asarray(self.parameters["initial_position"].nominal)
        if np.any(start[size:]):
            raise ConfigurationError("springs start where they rest: leave their initial_position out")

    def springs(self, theta: Arrays) -> tuple[NDArray[np.int64], Array]:
        """The coupled pairs of oscillators and k_ij: a `simbackend.models.simulable.Sprung` model."""
        return self.edges, self.value("coupling", theta)

    @property
    def slow(self) -> Mapping[str, slice]:
        """By parameter, the coordinates that it is the rest of."""
        return {"rest": slice(self.oscillators, self.size)}

    def mobility(self, theta: Arrays) -> Array:
        """The mu (n,) of the springs."""
        return 1 / np.diag(self.friction(theta))[self.oscillators :]

    def compliance(self, theta: Arrays) -> float:
        """The eta of all springs."""
        return float(self.value("compliance", theta))

    def potential(self, q: Array, theta: Arrays) -> float:
        """V at positions and springs (2n,); springs are counted from where they rest."""
        x, moved = q[: self.oscillators], q[self.oscillators :]
        stretch = x[self.edges[:, 1]] - x[self.edges[:, 0]]
        return float(
            (self.value("rest", theta) + moved) @ x**2 / 2
            + self.value("cubic", theta) @ x**4 / 4
            + self.value("coupling", theta) @ stretch**2 / 2
            + moved @ moved / (2 * self.compliance(theta))
        )

    def force(self, q: Array, theta: Arrays) -> Array:
        """-dV/dq at positions (2n,) or (2n, steps), without inputs."""
        column = (slice(None),) + (None,) * (q.ndim - 1)
        x, moved = q[: self.oscillators], q[self.oscillators :]
        total = -(self.value("rest", theta)[column] + moved) * x - self.value("cubic", theta)[column] * x**3
        stretch = self.value("coupling", theta)[column] * (x[self.edges[:, 1]] - x[self.edges[:, 0]])
        np.add.at(total, self.edges[:, 0], stretch)
        np.add.at(total, self.edges[:, 1], -stretch)
        return np.concatenate([total, -(x**2) / 2 - moved / self.compliance(theta)])

    def slopes(self, q: Array, theta: Arrays) -> dict[str, Array]:
        """dV/dtheta of every term at positions (2n, steps)."""
        x, moved = q[: self.oscillators], q[self.oscillators :]
        stretch = x[self.edges[:, 1]] - x[self.edges[:, 0]]
        eta = self.compliance(theta)
        return {
            "rest": x**2 / 2,
            "cubic": x**4 / 4,
            "coupling": stretch**2 / 2,
            "compliance": -np.sum(moved**2, axis=0) / (2 * eta**2),
        }
