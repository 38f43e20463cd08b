"""Which arrays of a file hold the time of each sample."""

from __future__ import annotations

from collections.abc import Sequence

from labrhel.data.formats.interface import REAL, Entry
from labrhel.units import read_unit

NAMES = frozenset(
    ["t", "time", "times", "timestamp", "timestamps", "elapsed_time", "time_axis", "tout", "tt", "time_s"]
)
"""In small letters, without the groups they lie in."""


def times_among(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Series that are called time, or that are the axis of another array and have a unit of time."""
    axes = {axis for entry in entries for axis in entry.axes if entry.name.rpartition("/")[2] != axis}
    return tuple(entry.name for entry in entries if _is_time(entry, axes))


def _is_time(entry: Entry, axes: set[str]) -> bool:
    if entry.kind not in REAL or len(entry.shape) != 1 or entry.shape[0] < 2:
        return False
    unit = read_unit(time_unit(entry.unit)) if entry.unit else None
    if entry.unit and (unit is None or unit.base != "s"):
        return False
    short = entry.name.replace(".", "/").rpartition("/")[2]
    return short.lower() in NAMES or (short in axes and unit is not None)


def time_unit(unit: str) -> str:
    """The unit itself, of `seconds since 2020-01-01` too."""
    return unit.partition(" since ")[0].strip()
