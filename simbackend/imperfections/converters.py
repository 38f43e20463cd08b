"""Converters: a number of bits over a range, two's complement, so that zero is a code.

    low = -range,  high = range - lsb,  lsb = 2 range / 2^bits,      value = code * lsb + low

An output's converter is only declared: the compiler rounds to it and refuses what is out of its reach, and gradients
use what it achieves.  An input's converter rounds and clips what it is given, and counts what it clipped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labrhel.arrays import Array
from labrhel.rig.capabilities import Converter


@dataclass(frozen=True, slots=True)
class ConverterErrors:
    """`bits` [bits], None: off; `reach`: largest value [unit of the port or channel]."""

    bits: int | None = None
    reach: float = 10.0

    @property
    def declared(self) -> Converter | None:
        """What the rig's data sheet says."""
        if self.bits is None:
            return None
        return Converter(self.bits, -self.reach, self.reach - 2 * self.reach / 2**self.bits)


def digitize(values: Array, converter: Converter) -> tuple[NDArray[np.int32], int]:
    """Codes of `values`, 0 .. 2^bits - 1, and how many of them lie beyond half a code outside the range."""
    highest = 2**converter.bits - 1
    codes = np.rint((values - converter.low) / converter.lsb)
    clipped = int(np.count_nonzero((codes < 0) | (codes > highest)))
    return np.clip(codes, 0, highest).astype(np.int32), clipped
