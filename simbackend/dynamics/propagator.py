"""What integrates the motion of a simulated rig: the compiled kernels, or the readable leapfrog.

The rig (simbackend.rigs.simulated) knows programs, stored states and the imperfections of its device; a propagator
knows how the parameters move the oscillators, and nothing else.  Every imperfection therefore acts on every model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.model.leapfrog import KickMatrices
from labrhel.shots.compiled import CompiledPass
from simbackend.models.simulable import Simulable


class Push(NamedTuple):
    """What pushes in the passes of a batch, at the kicks.

    `columns`: the ports that push, by their place in `Propagator.ports_to_force`; `drive` (batch, columns, steps)
    their values; `shaking` (batch, n, steps) forces that come through no port, or None.
    """

    columns: Sequence[int]
    drive: Array
    shaking: Array | None


class Motion(NamedTuple):
    """Positions and velocities at the kept kicks (batch, n, kept), no columns where none are wanted, and the sums.

    `observables`: sum_k dt * dH/dtheta by name (1, *shape), for each pass.
    """

    q: Array
    v: Array
    observables: Sequence[Arrays]


class Propagator(ABC):
    """The motion of `model` at the real parameters `theta`, made once for each setting of the knobs.

    `knobs` are the parameters as they were set, which sums on board are made with; `ports_to_force` (n, ports): the
    inputs, then the forces; `one_sided`: N of an extra force N q (n, n), or (0, 0) for none.
    """

    accumulates: ClassVar[bool]
    """True if it adds up observables on the way."""

    def __init__(
        self, model: Simulable, theta: Arrays, knobs: Arrays, drive_matrix: Array, one_sided: Array, threads: int
    ) -> None:
        self.mass, self.friction = model.mass(theta), model.friction(theta)
        self.inverse_mass = 1 / self.mass
        weights = np.array(model.value("input", theta))
        self.ports_to_force = np.ascontiguousarray(np.hstack([weights, drive_matrix]))
        self.bias = weights @ model.value("input_offset", theta)
        self.one_sided = one_sided
        self._kicks: dict[float, KickMatrices] = {}

    @abstractmethod
    def run(
        self, q: Array, p: Array, push: Push, item: CompiledPass, step: float, every: int, wants: tuple[bool, bool]
    ) -> Motion:
        """Run one pass of a batch from positions and momenta (batch, n), and leave its end there.

        `item` is one of the passes, alike in what they read; `every`: kicks from one that is kept to the next;
        `wants`: positions, velocities.  A motion that diverges is left not finite.
        """

    def kick(self, step: float) -> KickMatrices:
        """The friction step's matrices, inverted once for each step."""
        if step not in self._kicks:
            self._kicks[step] = KickMatrices.of(self.mass, self.friction, step)
        return self._kicks[step]
