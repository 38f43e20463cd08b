"""Shot programs: everything that happens between arm and read-out, as data.

A `ShotProgram` says what the experiment is, in model units, and knows no rig: how the state is prepared, then one
or more *passes* of free running.  A pass with `echo=True` starts from the time-reversed end state of the pass
before it; *how* the state is reversed is the compiler's choice among what the rig offers.  A program is always the
complete description of its experiment, from preparation on, so any rig can run it, and a shot that failed can be
run again.

One grid: the pass has `steps` kicks at times k*dt, k = 0 .. steps-1; input, nudge, read-out and observables all sit
at the kicks, and reversal is the index map k <-> steps-1-k.  The state itself lives half a step before the first
kick and half a step after the last.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from labrhel.errors import ProgramError
from labrhel.frozen import Digested, FrozenArray
from labrhel.notebook import line, listed, table
from labrhel.shots.waveform import Waveform


class Role(enum.StrEnum):
    """Why a waveform is played.  Waveforms on one port add; the role keeps the record readable."""

    INPUT = "input"
    NUDGE = "nudge"
    COMPENSATION = "compensation"
    PREPARATION = "preparation"


@dataclass(frozen=True, slots=True, eq=False)
class Rest(Digested):
    """Start from rest, after the rig's ring-down time or `wait` [model time], whichever is longer."""

    tag = "Rest"
    inlined = True

    wait: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class GivenState(Digested):
    """Start from positions and momenta, each (n,) in model units, on rigs that can be set."""

    tag = "GivenState"
    inlined = True

    position: FrozenArray
    momentum: FrozenArray


@dataclass(frozen=True, slots=True, eq=False)
class Hold(Digested):
    """Go on from whatever state the rig is in.  A shot prepared so is never retried."""

    tag = "Hold"
    inlined = True


Prepare = Rest | GivenState | Hold


@dataclass(frozen=True, slots=True, eq=False)
class Drive(Digested):
    """A waveform on a named port, in the port's model unit."""

    tag = "Drive"
    inlined = True

    port: str
    waveform: Waveform
    role: Role


@dataclass(frozen=True, slots=True, eq=False)
class Acquire(Digested):
    """What to read: traces of channels every `every` kicks, observables summed on the rig, or both.

    An observable is named by the parameter whose dH/dtheta it is; the rig returns sum_k dt * dH/dtheta.
    `end_state` asks for (q, p) at the end of the pass.
    """

    tag = "Acquire"
    inlined = True

    channels: tuple[str, ...] = ()
    every: int = 1
    observables: tuple[str, ...] = ()
    end_state: bool = False

    @property
    def reads(self) -> bool:
        """True if anything is asked for."""
        return bool(self.channels or self.observables or self.end_state)

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ProgramError(f"channels are read every 1, 2, ... kicks, not every {self.every}")


@dataclass(frozen=True, slots=True, eq=False)
class Pass(Digested):
    """One stretch of free running of `steps` kicks.

    `echo`: start from the time-reversed state.  `keep`: the reversed end state will be wanted again, so rigs that
    can store states should.
    """

    tag = "Pass"
    inlined = True

    steps: int
    drives: tuple[Drive, ...] = ()
    acquire: Acquire = Acquire()
    echo: bool = False
    keep: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ProgramError(f"a pass needs at least one step, not {self.steps}")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ShotProgram(Digested):
    """One uninterrupted run of the rig: prepare, then the passes, `repeats` times (kept apart, never averaged)."""

    tag = "ShotProgram"
    dt: float
    prepare: Prepare
    passes: tuple[Pass, ...]
    repeats: int = 1

    def __post_init__(self) -> None:
        if not self.dt > 0:
            raise ProgramError(f"the step of a shot must be positive, not {self.dt}")
        if not self.passes:
            raise ProgramError("a shot needs at least one pass")
        if self.passes[0].echo and isinstance(self.prepare, Rest):
            raise ProgramError(
                "the first pass after a preparation from rest cannot be an echo: there is nothing to reverse"
            )
        if self.repeats < 1:
            raise ProgramError(f"a shot is run 1, 2, ... times, not {self.repeats}")

    @property
    def may_be_retried(self) -> bool:
        """True if the shot prepares its own start; only then may a failed shot be run again."""
        return not isinstance(self.prepare, Hold)

    def __repr__(self) -> str:
        stretches = listed((_words(item) for item in self.passes), most=3)
        start = type(self.prepare).__name__
        return line(f"<ShotProgram {self.digest[:8]}: {start}, {stretches}; dt {self.dt:g}, repeats {self.repeats}>")

    def _repr_html_(self) -> str:
        rows = [
            (number, "echo" if item.echo else "forward", item.steps, _drives(item), _reads(item))
            for number, item in enumerate(self.passes, 1)
        ]
        caption = f"shot {self.digest[:8]}: {type(self.prepare).__name__}, dt {self.dt:g}, repeats {self.repeats}"
        return table(caption, rows, ("pass", "kind", "kicks", "plays", "reads"))


def _words(item: Pass) -> str:
    return f"{'echo' if item.echo else 'pass'} of {item.steps} kicks ({_drives(item)}; reads {_reads(item)})"


def _drives(item: Pass) -> str:
    return listed(f"{drive.role} on {drive.port}" for drive in item.drives) or "undriven"


def _reads(item: Pass) -> str:
    asked = item.acquire
    return listed([*asked.channels, *asked.observables, *(["end state"] if asked.end_state else [])]) or "nothing"
