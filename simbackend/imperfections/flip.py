"""A momentum flip that is not exact:  p -> -g p + offset."""

from __future__ import annotations

from dataclasses import dataclass

from labrhel.arrays import Array
from simbackend.imperfections.draws import stream


@dataclass(frozen=True, slots=True)
class FlipErrors:
    """`error`: g - 1, the same for every oscillator [1]; `offset`: rms over oscillators [momentum]; 0: off.

    The offset of each oscillator is drawn once from the seed: the same at every flip of one device.
    """

    error: float = 0.0
    offset: float = 0.0

    def reversed(self, momentum: Array, seed: int) -> Array:
        """Momenta (..., n) after the flip."""
        flipped = -momentum
        if self.error:
            flipped = flipped * (1 + self.error)
        if self.offset:
            flipped = flipped + self.offset * stream(seed, "flip").standard_normal(momentum.shape[-1])
        return flipped
