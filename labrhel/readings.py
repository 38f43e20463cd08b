"""What rigs that run one pass after the other do alike: the samples of ports as rows, and repeats put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from labrhel.arrays import Array
from labrhel.capture import PassCapture, State
from labrhel.compiled import CompiledPass


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
