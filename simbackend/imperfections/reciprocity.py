"""Weak non-reciprocity: each coupled pair pulls a little harder one way than the other.

    force_i += sum_j N_ij q_j,     N_ij = spread * K_ij * z_ij = -N_ji

so that the coupling between i and j is K_ij (1 + x) one way and K_ij (1 - x) back.  No energy function has such a
force; the echo's adjoint is then that of the transposed rig, and no retrace error shows it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from simbackend.imperfections.draws import stream
from simbackend.imperfections.imperfection import Acting, Imperfection, Place, Site, acting
from simbackend.models.simulable import Simulable, Sprung


@dataclass(frozen=True, slots=True)
class NonReciprocity(Imperfection):
    """`spread`: rms of x over the coupled pairs [1]; 0: off."""

    spread: float = 0.0

    def acts(self) -> Acting:
        return acting(("nonreciprocity", self.spread, Place.COUPLINGS))

    def check(self, site: Site) -> None:
        """Raises ConfigurationError if it is on, and the model does not say which pairs are coupled by which spring."""
        if self.spread and not isinstance(site.model, Sprung):
            raise ConfigurationError(
                f"nonreciprocity acts on springs between oscillators, which {type(site.model).__name__} does not have; "
                "leave it out"
            )

    def matrix(self, model: Simulable, theta: Arrays, seed: int) -> Array:
        """N (n, n); (0, 0) when off, which propagators skip."""
        if not self.spread or not isinstance(model, Sprung):
            return np.zeros((0, 0))
        pairs, stiffness = model.springs(theta)
        drawn = self.spread * stream(seed, "reciprocity").standard_normal(len(pairs))
        added = np.zeros((model.size, model.size))
        added[pairs[:, 0], pairs[:, 1]] = drawn * stiffness
        return added - added.T
