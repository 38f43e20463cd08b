"""The small closed set of things a protocol may ask for.

A protocol is a generator that yields operations and receives their results; it has no hardware, no clock and no
random numbers of its own.  The compile stage of the executor fills `compiled` and `knobs`; a protocol leaves them
empty.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from labrhel.arrays import Arrays
from labrhel.shots.compiled import CompiledShot
from labrhel.shots.program import ShotProgram


@dataclass(frozen=True, slots=True)
class Configure:
    """Set Hamiltonian parameters [model units]; answers with the values achieved, read back where possible."""

    parameters: Arrays
    knobs: Arrays = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunShots:
    """Run programs and answer with one `Capture` each, in the order given.

    "free" lets the rig choose the order (one batch on a simulated rig); "fixed" keeps it, as interleaved schedules
    that cancel drift need.
    """

    programs: tuple[ShotProgram, ...]
    order: Literal["fixed", "free"] = "free"
    compiled: tuple[CompiledShot, ...] = ()


@dataclass(frozen=True, slots=True)
class Read:
    """Read slow quantities (temperatures, knob read-backs) by name."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State from which a new process can go on: numbers, strings and arrays, never live objects."""

    step: int
    state: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Publish:
    """Scalars of a step, for the record, the progress bar and telemetry; may be dropped by all but the record.

    `arrays` by name are for the record alone.
    """

    step: int
    scalars: Mapping[str, float]
    words: tuple[str, ...] = ()
    arrays: Arrays = field(default_factory=dict)


Operation = Configure | RunShots | Read | Checkpoint | Publish

R = TypeVar("R")
Protocol = Generator[Operation, Any, R]
