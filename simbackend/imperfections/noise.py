"""Noise of the rig itself: a random force on every oscillator at every kick.

    cov(force) = (density^2 + 2 kT G) / d

white, so that the motion does not depend on the step d; with the friction matrix G the second term is the
fluctuation-dissipation theorem, and a rig at temperature kT comes to m <v^2> = kT.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array


@dataclass(frozen=True, slots=True)
class ForceNoise:
    """`density`: rms momentum gathered in a unit of time [force*sqrt(time)]; `temperature`: kT [energy]; 0: off."""

    density: float = 0.0
    temperature: float = 0.0

    @property
    def is_off(self) -> bool:
        """True if nothing shakes the rig."""
        return self.density == 0 and self.temperature == 0

    def forces(self, random: np.random.RandomState, friction: Array, steps: int, step: float) -> Array:
        """Forces (n, steps) at the kicks, for the friction matrix (n, n) of the rig."""
        covariance = (self.density**2 * np.eye(len(friction)) + 2 * self.temperature * friction) / step
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.clip(values, 0, None))
        return root @ random.standard_normal((len(friction), steps))
