"""What a routine hands back: proposed values, what dropped out, and a picture to judge them by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from labrhel.arrays import Array
from labrhel.errors import ConfigurationError, InstrumentError, LimitError, ProgramError, TrainingError

REFUSED = (ProgramError, LimitError, InstrumentError, ConfigurationError, TrainingError)
"""What one routine may fail of while the others go on; a link that is lost, or an interlock, ends them all."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One number with its standard error and unit; `correlations` [1] by name with others that were fitted with it."""

    value: float
    error: float
    unit: str = "1"
    correlations: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Curve:
    """Lines over a common axis, by label, for the card: `x` (points,), each line (points,)."""

    title: str
    x_label: str
    y_label: str
    x: Array
    lines: Mapping[str, Array]
    logarithmic: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one routine.

    `values` by name are proposals; `bad`: ports and channels that drop out, with why; `words`: what a person should
    know; `doubt`: why no rule may accept the values, but a person may; `failed`: why the routine has no answer at all.
    """

    values: Mapping[str, Measured] = field(default_factory=dict)
    noise: Mapping[str, float] = field(default_factory=dict)
    bad: Mapping[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    curves: tuple[Curve, ...] = ()
    doubt: str = ""
    failed: str = ""
