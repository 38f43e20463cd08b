"""Noise of the rig itself: a random force on every oscillator at every kick.

    cov(force) = (density^2 + 2 kT G) / d

white, so that the motion does not depend on the step d; with the friction matrix G the second term is the
fluctuation-dissipation theorem, and a rig at temperature kT comes to m <v^2> = kT.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array
from simbackend.imperfections.imperfection import Acting, Imperfection, Moment, Place, Site, acting


@dataclass(frozen=True, slots=True)
class ForceNoise(Imperfection):
    """`density`: rms momentum gathered in a unit of time [force*sqrt(time)]; `temperature`: kT [energy]; 0: off."""

    density: float = 0.0
    temperature: float = 0.0

    def acts(self) -> Acting:
        return acting(
            ("force_noise", self.density, Place.MOTION),
            ("temperature", self.temperature, Place.MOTION),
        )

    def forces(self, friction: Array, steps: int, site: Site, moment: Moment) -> Array:
        """Forces (n, steps) at the kicks, for the friction matrix (n, n) of the rig."""
        random = site.stream("force", moment.shot, moment.pass_index)
        lossy = (friction + friction.T) / 2  # gyroscopic forces do no work, and make no noise
        covariance = (self.density**2 * np.eye(len(friction)) + 2 * self.temperature * lossy) / moment.step
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.clip(values, 0, None))
        return root @ random.standard_normal((len(friction), steps))
