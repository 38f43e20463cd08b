"""A momentum flip that is not exact:  p -> -g p + offset."""

from __future__ import annotations

from dataclasses import dataclass

from labrhel.arrays import Array
from simbackend.imperfections.imperfection import Acting, Imperfection, Place, Site, acting


@dataclass(frozen=True, slots=True)
class FlipErrors(Imperfection):
    """`error`: g - 1, the same for every oscillator [1]; `offset`: rms over oscillators [momentum]; 0: off.

    The offset of each oscillator is drawn once from the seed: the same at every flip of one device.
    """

    error: float = 0.0
    offset: float = 0.0

    def acts(self) -> Acting:
        return acting(
            ("flip_error", self.error, Place.REVERSAL),
            ("flip_offset", self.offset, Place.REVERSAL),
        )

    def flipped(self, momentum: Array, site: Site) -> Array:
        """Momenta (..., n) after the flip."""
        flipped = momentum
        if self.error:
            flipped = flipped * (1 + self.error)
        if self.offset:
            flipped = flipped + self.offset * site.stream("flip").standard_normal(momentum.shape[-1])
        return flipped
