"""A capture as it is recorded: one packed blob for what is small, content-addressed files for what is large.

All traces of one pass that share shape and type become one array (channels, repeats, samples), so that a shot of
many channels is one file.  The note of the blob says which row of which array is whose, with unit, time axis and
converter scale.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.capture import Capture, PassCapture, State, Trace
from labrhel.frozen import FrozenArray
from labrhel.runstore._packing import pack, unpack
from labrhel.runstore._values import INLINE_BELOW


@dataclass(frozen=True, slots=True)
class PackedCapture:
    """`blob` for the journal, `large` arrays by their name in the note, to be stored as files first."""

    blob: bytes
    large: Mapping[str, FrozenArray]


def pack_capture(capture: Capture) -> PackedCapture:
    """Everything in `capture.passes`, to the bit."""
    small: dict[str, Array] = {}
    large: dict[str, FrozenArray] = {}
    note: list[tuple[Any, ...]] = []

    def put(name: str, array: Array) -> None:
        if array.nbytes < INLINE_BELOW:
            small[name] = array
        else:
            if array.base is None:
                array.flags.writeable = False  # ours alone: freezing it needs no copy
            large[name] = FrozenArray(array)

    for index, item in enumerate(capture.passes):
        groups: dict[tuple[Any, ...], list[Trace]] = {}
        rows = []
        for name, trace in item.traces.items():
            has_codes = trace.codes is not None
            group = groups.setdefault((trace.values.shape, trace.values.dtype, has_codes), [])
            place = (list(groups).index((trace.values.shape, trace.values.dtype, has_codes)), len(group))
            group.append(trace)
            rows.append((name, *place, trace.unit, trace.t0, trace.dt, trace.over_range, trace.scale, trace.offset))
        for number, traces in enumerate(groups.values()):
            put(f"{index}/values/{number}", np.stack([trace.values for trace in traces]))
            codes = [trace.codes for trace in traces if trace.codes is not None]
            if codes:
                put(f"{index}/codes/{number}", np.stack(codes))
        for name, value in item.observables.items():
            put(f"{index}/observables/{name}", np.asarray(value))
        if item.end_state is not None:
            put(f"{index}/position", item.end_state.position)
            put(f"{index}/momentum", item.end_state.momentum)
        note.append((tuple(rows), tuple(item.observables), item.end_state is not None))
    return PackedCapture(pack(small, _text(tuple(note))), large)


def unpack_capture(blob: bytes, files: Mapping[str, str], load: Callable[[str], Array]) -> tuple[PassCapture, ...]:
    """The passes of a capture; arrays in `files` (name -> digest) come from `load`, mapped and not yet read."""
    small, text = unpack(blob)

    def get(name: str) -> Array:
        return small[name] if name in small else load(files[name])

    passes = []
    for index, (rows, observables, has_state) in enumerate(json.loads(text)):
        traces = {}
        for name, group, row, unit, t0, dt, over_range, scale, offset in rows:
            codes = f"{index}/codes/{group}"
            traces[name] = Trace(
                values=get(f"{index}/values/{group}")[row],
                unit=unit, t0=t0, dt=dt, over_range=over_range,
                codes=get(codes)[row] if codes in small or codes in files else None,
                scale=scale, offset=offset,
            )  # fmt: skip
        sums = {name: get(f"{index}/observables/{name}") for name in observables}
        state = State(get(f"{index}/position"), get(f"{index}/momentum")) if has_state else None
        passes.append(PassCapture(traces, sums, state))
    return tuple(passes)


@lru_cache(maxsize=512)
def _text(note: tuple[Any, ...]) -> str:
    # Shots of a run differ in their data, hardly ever in their form; building this text takes 30 us, finding it 2.
    return json.dumps(note, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()  # a driver's t0 may be a numpy scalar
    raise TypeError(f"a record cannot hold a {type(value).__name__} beside a trace")
