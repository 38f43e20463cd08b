"""Fixed-point numbers as an FPGA board holds them: integer codes in two's complement words.

    value = code * 2^-fraction,      |code| <= 2^(word - 1) - 1

The most negative code, -2^(word - 1), is excluded: it is its own negative, so a momentum that held it could not be
flipped.  Converters refuse a value that has no code; they never saturate, since that cannot be undone.  Words
*inside* a board wrap instead (`wrap_codes`), and the board says so by its overflow flag.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labrhel.arrays import Array
from labrhel.errors import ConfigurationError, LimitError

Codes = NDArray[np.int64]
"""Integer codes; int64 holds every word and every product of two words."""

SHORTEST, LONGEST = 8, 32
"""Word lengths [bits].  The product of two 32-bit words is the longest that an int64 holds."""


@dataclass(frozen=True, slots=True)
class Format:
    """A signed word of `word` bits, `fraction` of them below the binary point: Format(32, 28) is Q4.28."""

    word: int
    fraction: int

    def __post_init__(self) -> None:
        if not SHORTEST <= self.word <= LONGEST:
            raise ConfigurationError(f"a word has {SHORTEST} to {LONGEST} bits, not {self.word}")
        if not 0 <= self.fraction < self.word:
            raise ConfigurationError(
                f"a word of {self.word} bits has 0 to {self.word - 1} of them below the point, not {self.fraction}"
            )

    def __str__(self) -> str:
        return f"Q{self.word - self.fraction}.{self.fraction}"

    @property
    def largest_code(self) -> int:
        """The largest code; its negative is the smallest allowed one."""
        return 2 ** (self.word - 1) - 1

    @property
    def resolution(self) -> float:
        """The value of one code."""
        return 2.0**-self.fraction

    @property
    def largest(self) -> float:
        """The largest value; its negative is the smallest."""
        return self.largest_code * self.resolution

    def to_codes(self, values: ArrayLike, what: str = "the value") -> Codes:
        """The nearest codes (same shape as `values`), halves to the even code; inverse of `to_values` on codes.

        Raises LimitError, naming `what`, for values beyond the largest and for those that are not finite.
        """
        given = np.asarray(values, dtype=float)
        with np.errstate(over="ignore"):  # infinite is refused below
            scaled = np.rint(np.ldexp(given, self.fraction))
        fits = np.abs(scaled) <= self.largest_code  # false for NaN as well
        if not fits.all():
            reach = f"-{self.largest:.6g} to {self.largest:.6g}"
            raise LimitError(
                f"{what} {given[~fits][0]:.6g} has no code in {self}, which holds {reach}: "
                "scale it, or keep fewer bits below the point"
            )
        return scaled.astype(np.int64)

    def to_values(self, codes: ArrayLike) -> Array:
        """The values (float64, exact) of codes; takes the excluded code too, since a board may report it."""
        return np.ldexp(np.asarray(codes, dtype=np.int64).astype(float), -self.fraction)

    def wrap_codes(self, codes: ArrayLike) -> Codes:
        """What is left of integers in a word: their low bits, read as two's complement."""
        half = 1 << (self.word - 1)
        return ((np.asarray(codes, dtype=np.int64) + half) & (2 * half - 1)) - half
