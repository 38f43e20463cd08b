"""The numbers of a recording, read once before it is described: what is missing in them, and what cannot be read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from labrhel.arrays import Array
from labrhel.data.formats.interface import REAL, Entry
from labrhel.data.recording import Recording
from labrhel.data.series import Series
from labrhel.errors import ConfigurationError

_NUMBERS = 1 << 21  # of arrays of one length together that are read


def looked_through(recording: Recording, proposed: Sequence[Entry]) -> tuple[Mapping[str, str], Sequence[str]]:
    """Words behind arrays in which values are missing or beyond the range, by name, and a sentence for each unread one.

    Of arrays longer than 2 million numbers together only the begin is read.  Raises ConfigurationError for an array
    that is `proposed` and cannot be read.
    """
    alike: dict[int, list[Entry]] = defaultdict(list)
    for entry in recording.listing.entries:
        if entry.kind in REAL and len(entry.shape) == 1 and entry.shape[0]:
            alike[entry.shape[0]].append(entry)
    words, unread = {}, []
    for count, entries in alike.items():
        stop = min(count, max(1, _NUMBERS // len(entries)))
        try:
            arrays = recording.read([Series(entry.name, entry) for entry in entries], 0, stop)
        except ConfigurationError:  # one of them: which?
            arrays = [_one(recording, entry, stop, unread, proposed) for entry in entries]
        for entry, values in zip(entries, arrays, strict=True):
            words[entry.name] = _absent(values) + (f" in its first {stop}" if stop < count and _absent(values) else "")
    return words, unread


def _one(recording: Recording, entry: Entry, stop: int, unread: list[str], proposed: Sequence[Entry]) -> Array:
    try:
        return recording.read([Series(entry.name, entry)], 0, stop)[0]
    except ConfigurationError as error:
        if entry in proposed:
            raise
        unread.append(error.problem)
        return np.empty(0)


def _absent(values: Array) -> str:
    if values.dtype.kind != "f":
        return ""
    missing, overload = int(np.isnan(values).sum()), int(np.isinf(values).sum())
    return (f", {missing} missing" if missing else "") + (f", {overload} overload" if overload else "")
