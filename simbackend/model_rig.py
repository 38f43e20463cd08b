"""A simulated rig of any model by the readable leapfrog, also where there are compiled kernels to hold against it.

A kick takes about 20 us for six oscillators, and little more for ten passes that run as one batch.
"""

from __future__ import annotations

from typing import Any

from simbackend._readable import ReadableLeapfrog
from simbackend.rig import SimulatedRig
from simbackend.simulable import Simulable


class ModelRig(SimulatedRig):
    """`SimulatedRig`, with the same options, that never runs a compiled kernel and sums nothing on board."""

    def __init__(self, model: Simulable, name: str = "model", **options: Any) -> None:
        super().__init__(model, name, propagator=ReadableLeapfrog, **options)
