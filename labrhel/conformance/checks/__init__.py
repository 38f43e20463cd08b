"""The checks, by theme; every function that `labrhel.conformance.check.check` marks, in the order it is written."""

from labrhel.conformance.check import Check
from labrhel.conformance.checks import (
    captures,
    declaration,
    echoes,
    knobs,
    noise,
    ranges,
    refusals,
    repeats,
    response,
    safety,
    starts,
    sums,
    superposition,
    time_axis,
)

_THEMES = (
    declaration,
    captures,
    time_axis,
    response,
    superposition,
    noise,
    repeats,
    starts,
    echoes,
    sums,
    knobs,
    refusals,
    ranges,
    safety,
)

CHECKS: tuple[Check, ...] = tuple(item for theme in _THEMES for item in vars(theme).values() if isinstance(item, Check))
"""All of them, in the order in which they are run."""
