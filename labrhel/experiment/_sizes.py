"""Products of counts, looked at before anything is made of them.

Each number of a configuration may be reasonable and their product none: a slip of the keyboard, or a joke, would
fill the memory, or keep the computer busy for a day before the first word is said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from labrhel.config import Document
from labrhel.config.data import DataSection

MOST_KEPT = 1 << 26
"""Numbers of a data set, and of one simulated motion: 512 MiB."""

MOST_AT_ONCE = 1 << 29
"""Numbers that the shots of one gradient may read: 4 GiB."""

_PASSES = 3  # forward, and an echo with each nudge


@dataclass(frozen=True, slots=True)
class Factor:
    """A count, the word for what is counted, and where it stands in the configuration."""

    count: int
    words: str
    place: tuple[str | int, ...]


def require_moderate(document: Document, what: str, most: int, factors: Sequence[Factor]) -> None:
    """Raise ConfigurationError, at the largest factor, if `what` would hold more than `most` numbers."""
    product = math.prod(factor.count for factor in factors)
    if product <= most:
        return
    words = " x ".join(f"{factor.count} {factor.words}" for factor in factors if factor.count != 1)
    largest = max(factors, key=lambda factor: factor.count)
    raise document.source.error(
        f"{what} would hold {words} = {product:.3g} numbers, and {most:.3g} are the most: give fewer", *largest.place
    )


def require_moderate_motion(
    document: Document, section: DataSection, samples: int, place: tuple[str | int, ...]
) -> None:
    """The same for the motion of a sequence of so many samples, and for all shots of a gradient."""
    protocol, oscillators = document.config.protocol, document.config.model.oscillators
    motion = [
        Factor(samples, "samples", place),
        Factor(section.substeps, "substeps", ("data", "substeps")),
        Factor(oscillators, "oscillators", ("model", "oscillators")),
    ]
    require_moderate(document, "the motion of one sequence", MOST_KEPT, motion)
    repeats = max(protocol.repeats, protocol.directions if protocol.rule == "spsa" else 1)
    shots = [Factor(repeats, "repeats", ("protocol", "repeats")), Factor(_PASSES, "passes", ("data",))]
    require_moderate(document, "one gradient", MOST_AT_ONCE, [*shots, *motion])
