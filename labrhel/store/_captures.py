"""A capture as it is recorded: one packed blob for what is small, content-addressed files for what is large.

All traces of one pass that share shape and type become one array (channels, repeats, samples), so that a shot of
many channels is one file.  The note of the blob says which row of which array is whose, with unit, time axis and
converter scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.shots.capture import Capture, PassCapture, State, Trace
from labrhel.store._arrays import Stacked
from labrhel.store._packing import pack, unpack
from labrhel.store._values import INLINE_BELOW


@dataclass(frozen=True, slots=True)
class PackedCapture:
    """`blob` for the journal, `large` arrays by their name in the note, to be stored as files first."""

    blob: bytes
    large: Mapping[str, Stacked]


def pack_capture(capture: Capture) -> PackedCapture:
    """Everything in `capture.passes`, to the bit."""
    small: dict[str, Array] = {}
    large: dict[str, Stacked] = {}
    note: list[tuple[Any, ...]] = []

    def put(name: str, parts: Sequence[Array]) -> None:
        if len(parts) * parts[0].nbytes >= INLINE_BELOW:
            large[name] = Stacked(parts)
        else:
            small[name] = parts[0][None] if len(parts) == 1 else np.stack(parts)

    for index, item in enumerate(capture.passes):
        groups: dict[tuple[Any, ...], tuple[int, list[Array], list[Array]]] = {}
        rows = []
        for name, trace in item.traces.items():
            values, codes = trace.values, trace.codes
            kind = (values.shape, values.dtype, codes is not None)
            if kind not in groups:
                groups[kind] = (len(groups), [], [])
            number, stack, stack_of_codes = groups[kind]
            rows.append((
                name, number, len(stack), trace.unit, trace.t0, trace.dt, trace.over_range, trace.scale, trace.offset,
            ))  # fmt: skip
            stack.append(values)
            if codes is not None:
                stack_of_codes.append(codes)
        for number, stack, stack_of_codes in groups.values():
            put(f"{index}/values/{number}", stack)
            if stack_of_codes:
                put(f"{index}/codes/{number}", stack_of_codes)
        for name, value in item.observables.items():
            put(f"{index}/observables/{name}", (np.asarray(value),))
        if item.end_state is not None:
            put(f"{index}/position", (item.end_state.position,))
            put(f"{index}/momentum", (item.end_state.momentum,))
        note.append((tuple(rows), tuple(item.observables), item.end_state is not None))
    return PackedCapture(pack(small, tuple(note)), large)


def unpack_capture(blob: bytes, files: Mapping[str, str], load: Callable[[str], Array]) -> tuple[PassCapture, ...]:
    """The passes of a capture; arrays in `files` (name -> digest) come from `load`, mapped and not yet read."""
    small, note = unpack(blob)

    def get(name: str) -> Array:
        return small[name] if name in small else load(files[name])

    passes = []
    for index, (rows, observables, has_state) in enumerate(note):
        traces = {}
        for name, group, row, unit, t0, dt, over_range, scale, offset in rows:
            codes = f"{index}/codes/{group}"
            traces[name] = Trace(
                values=get(f"{index}/values/{group}")[row],
                unit=unit, t0=t0, dt=dt, over_range=over_range,
                codes=get(codes)[row] if codes in small or codes in files else None,
                scale=scale, offset=offset,
            )  # fmt: skip
        sums = {name: get(f"{index}/observables/{name}")[0] for name in observables}
        state = State(get(f"{index}/position")[0], get(f"{index}/momentum")[0]) if has_state else None
        passes.append(PassCapture(traces, sums, state))
    return tuple(passes)
