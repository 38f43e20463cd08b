"""Overdamped network for equilibrium propagation, as a model of configurations: units that settle under steady inputs.

    E = sum_i z_i^2/2 - sum_(i,j) K_ij r(z_i) r(z_j) - sum_i b_i r(z_i) - z . W (u + o),       r = tanh
    m z'' + z' = -dE/dz

with a mass m that matters little: where the network settles does not depend on it.  `simbackend.models.relaxation`
has no mass, and weighs inputs with r'(z); it is for programs of your own, with hard units and couplings that are not
reciprocal.  Here an input pushes the state itself, as a force does on every rig.
Source: Scellier & Bengio, Front. Comput. Neurosci. 11, 24 (2017).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from labrhel.arrays import Array, Arrays
from simbackend.models.oscillator_network import edges_of
from simbackend.models.separable_model import SeparableModel, Term

MASS = 0.05


class RelaxingNetwork(SeparableModel):
    """Terms coupling K (pairs,) and bias b (n,); the friction is 1 and the unit of time that of a free unit."""

    def __init__(
        self,
        size: int,
        *,
        inputs: Sequence[str] = ("u1",),
        coupling: str | Sequence[Sequence[int]] = "all",
        nominal: Mapping[str, ArrayLike] | None = None,
        time_unit: float = 1.0,
        position_unit: str = "1",
        input_unit: str = "1",
    ) -> None:
        self.edges = edges_of(coupling, size)
        terms = {
            "coupling": Term((len(self.edges),), 0.0, "symmetric coupling K_ij of the pairs"),
            "bias": Term((size,), 0.0, "bias b_i"),
        }
        super().__init__(
            size,
            terms,
            inputs=inputs,
            nominal={"mass": MASS, "friction": 1.0, **(nominal or {})},
            time_unit=time_unit,
            position_unit=position_unit,
            input_unit=input_unit,
        )

    def potential(self, q: Array, theta: Arrays) -> float:
        """E at states (n,), the inputs left out."""
        r, (i, j) = np.tanh(q), self.edges.T
        return float(q @ q / 2 - self.value("coupling", theta) @ (r[i] * r[j]) - self.value("bias", theta) @ r)

    def force(self, q: Array, theta: Arrays) -> Array:
        """-dE/dz at states (n,) or (n, steps), without inputs."""
        column = (slice(None),) + (None,) * (q.ndim - 1)
        r, (i, j), weights = np.tanh(q), self.edges.T, self.value("coupling", theta)[column]
        field = np.zeros_like(r) + self.value("bias", theta)[column]
        np.add.at(field, i, weights * r[j])
        np.add.at(field, j, weights * r[i])
        return -q + (1 - r**2) * field

    def slopes(self, q: Array, theta: Arrays) -> dict[str, Array]:
        """dE/dtheta of every term at states (n, steps)."""
        r, (i, j) = np.tanh(q), self.edges.T
        return {"coupling": -r[i] * r[j], "bias": -r}
