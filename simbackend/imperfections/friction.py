"""Friction that the nominal model does not know, added to the friction matrix of the rig.

uniform    G = gamma M                                          every energy decays as exp(-gamma t)
per mode   G = M^(1/2) Phi diag(gamma_j) Phi^T M^(1/2)          Phi: modes of M^(-1/2) V''(0) M^(-1/2), slowest first
matrix     G as given
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from labrhel.frozen import FrozenArray
from simbackend.imperfections.imperfection import Acting, Imperfection, Place, Site, acting
from simbackend.imperfections.mismatch import friction_of
from simbackend.models.simulable import Simulable


@dataclass(frozen=True, slots=True)
class HiddenFriction(Imperfection):
    """`uniform` and `modes` (n,): decay rates of the energy [1/time]; `matrix` (n, n) [mass/time]; all off."""

    uniform: float = 0.0
    modes: tuple[float, ...] = ()
    matrix: FrozenArray | None = None

    def acts(self) -> Acting:
        return acting(
            ("friction", self.uniform, Place.PARTS),
            ("mode_friction", any(self.modes), Place.PARTS),
            ("friction_matrix", self.matrix is not None, Place.PARTS),
        )

    def check(self, site: Site) -> None:
        """Raises ConfigurationError as `added`."""
        if self.acts():
            site.once(type(self), lambda: self.added(site.model))

    def parameters(self, theta: Arrays, site: Site) -> Arrays:
        """The friction matrix with what is added."""
        name = friction_of(site.model)
        return {**theta, name: theta[name] + site.once(type(self), lambda: self.added(site.model))}

    def added(self, model: Simulable) -> Array:
        """The added friction matrix (n, n), from the nominal masses and springs.

        Raises ConfigurationError for a wrong number of modes, and for a matrix that is not symmetric or that would
        feed energy in.
        """
        mass = model.mass({})
        total = self.uniform * np.diag(mass)
        if self.modes:
            if len(self.modes) != model.size:
                raise ConfigurationError(f"the rig has {model.size} modes, not {len(self.modes)}: give a rate for each")
            root = np.sqrt(mass)
            shapes = np.linalg.eigh(model.hessian(np.zeros(model.size), {}) / root[:, None] / root)[1] * root[:, None]
            total = total + shapes @ np.diag(self.modes) @ shapes.T
        if self.matrix is not None:
            total = total + model.shape_parameter(friction_of(model), self.matrix.values)
        if np.linalg.eigvalsh(total)[0] < -1e-12 * np.abs(total).max():
            raise ConfigurationError("friction must not be negative, in any mode: a passive rig does not gain energy")
        return total
