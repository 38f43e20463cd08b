"""Which arrays of a file hold the time of each sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from labrhel.data.formats.interface import REAL, Entry
from labrhel.data.formats.text.naming import named
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
    short = entry.name.replace(".", "/").rpartition("/")[2]
    called = named(short)  # t_ms, Time [s]
    word = entry.unit or called.unit
    unit = read_unit(time_unit(word)) if word else None
    if word and (unit is None or unit.base != "s"):
        return False
    return not NAMES.isdisjoint((short.lower(), called.bare.lower())) or (short in axes and unit is not None)


def with_units_of_names(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The entries with the units that their names say, `drive [mV]`, where the file says none beside them."""
    return tuple(
        entry if entry.unit else replace(entry, unit=named(entry.name.rpartition("/")[2]).unit) for entry in entries
    )


def time_unit(unit: str) -> str:
    """The unit itself, of `seconds since 2020-01-01` too."""
    return unit.partition(" since ")[0].strip()
