"""A model's parameters in the form the kernels take."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from labrhel.arrays import Array, Arrays
from simbackend.models.oscillator_network import POWERS, OscillatorNetwork
from simbackend.separable import KickMatrices


@dataclass(slots=True)
class Stock:
    """Made once per configuration.  `one_sided`: N of an extra force N q (n, n), or (0, 0)."""

    inverse_mass: Array
    mass: Array
    powers: Array
    springs: Array
    one_sided: Array
    ports_to_force: Array
    bias: Array
    friction: Array
    friction_kind: int
    kicks: dict[float, KickMatrices] = field(default_factory=dict)

    def kick(self, step: float) -> KickMatrices:
        """The friction step's matrices, inverted once per configuration and step."""
        if step not in self.kicks:
            self.kicks[step] = KickMatrices.of(self.mass, self.friction, step)
        return self.kicks[step]

    @classmethod
    def of(cls, model: OscillatorNetwork, theta: Arrays, drive_matrix: Array, one_sided: Array) -> Stock:
        """From parameters in model units."""
        friction = model.friction(theta)
        diagonal = not np.any(friction - np.diag(np.diag(friction)))
        weights = np.array(model.value("input", theta))
        return cls(
            inverse_mass=1 / model.mass(theta),
            mass=model.mass(theta),
            powers=np.array([model.value(name, theta) for name in POWERS]),
            springs=np.array(model.value("coupling", theta)),
            one_sided=one_sided,
            ports_to_force=np.ascontiguousarray(np.hstack([weights, drive_matrix])),
            bias=weights @ model.value("input_offset", theta),
            friction=friction,
            friction_kind=(0 if not friction.any() else 1 if diagonal else 2),
        )
