"""What came back from a shot: traces with their own time axes, sums, and the state, repeats kept apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from labrhel.arrays import Array
from labrhel.errors import ProgramError
from labrhel.shots.compiled import CompiledPass, CompiledShot


@dataclass(frozen=True, slots=True)
class Trace:
    """Readings of one channel: `values` (repeats, samples) [unit], taken at t0 + k*dt [model time].

    `codes` (repeats, samples) are the converter's own integers, with value = codes * scale + offset, where the rig
    has a converter; `over_range` counts the samples that hit its ends.
    """

    values: Array
    unit: str
    t0: float
    dt: float
    over_range: int = 0
    codes: NDArray[np.int32] | None = None
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class State:
    """Positions and momenta (repeats, n) half a step after the last kick of a pass [model units]."""

    position: Array
    momentum: Array


@dataclass(frozen=True, slots=True)
class PassCapture:
    """Readings of one pass; `observables` hold sum_k dt * dH/dtheta of shape (repeats, *parameter shape)."""

    traces: Mapping[str, Trace] = field(default_factory=dict)
    observables: Mapping[str, Array] = field(default_factory=dict)
    end_state: State | None = None

    def stack(self, channels: tuple[str, ...], repeat: int = 0) -> Array:
        """Traces of the named channels of one repeat, as rows (channels, samples)."""
        missing = [name for name in channels if name not in self.traces]
        if missing:
            raise ProgramError(f"the shot did not acquire {', '.join(missing)}; ask for it in the program")
        if not channels:
            return np.empty((0, 0))
        return np.stack([self.traces[name].values[repeat] for name in channels])


@dataclass(frozen=True, slots=True)
class Capture:
    """Result of one shot.

    `shot` is what was sent.  `passes_run` counts the passes of free running that it really took.  `planned_start` and
    `actual_start` [s, the rig's clock] are those of the first repeat; the executor raises DeadlineError for a shot that
    starts later than the rig's triggers allow.
    """

    shot: CompiledShot
    passes: tuple[PassCapture, ...]
    passes_run: int
    planned_start: float = 0.0
    actual_start: float = 0.0

    @property
    def last(self) -> PassCapture:
        """The last pass: the echo of an echo shot, the forward pass of a forward shot."""
        return self.passes[-1]


def played(item: CompiledPass, names: Sequence[str]) -> Array:
    """What reaches the ports `names` in a pass (ports, steps), zero on those that are not driven."""
    silence = np.zeros(item.steps)
    rows = [item.achieved[name].values if name in item.achieved else silence for name in names]
    return np.stack(rows) if rows else np.empty((0, item.steps))


def together(readings: Sequence[PassCapture]) -> PassCapture:
    """The readings of one pass in each repeat, as one."""
    first = readings[0]
    if len(readings) == 1:
        return first
    traces = {}
    for name, trace in first.traces.items():
        values = np.concatenate([item.traces[name].values for item in readings])
        words = [codes for item in readings if (codes := item.traces[name].codes) is not None]
        clipped = sum(item.traces[name].over_range for item in readings)
        joined = np.concatenate(words) if words else None
        traces[name] = replace(trace, values=values, over_range=clipped, codes=joined)
    ends = [item.end_state for item in readings if item.end_state is not None]
    if not ends:
        return PassCapture(traces)
    end = State(np.concatenate([item.position for item in ends]), np.concatenate([item.momentum for item in ends]))
    return PassCapture(traces, end_state=end)
