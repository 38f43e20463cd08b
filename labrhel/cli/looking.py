"""`labrhel inspect`: what a recording holds, and a `data:` section to begin with."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from labrhel.data.finding import find_recording, search_path
from labrhel.data.formats.interface import REAL, Entry
from labrhel.data.formats.times import time_unit
from labrhel.data.recording import Recording, open_recording
from labrhel.data.timing import interval_of
from labrhel.errors import ConfigurationError
from labrhel.units import ratio

_MOST = 200  # arrays that are listed
_LOOKED_AT = 10_000  # samples of an axis
_KINDS = {"f": "numbers", "i": "numbers", "u": "numbers", "b": "numbers", "c": "complex", "S": "text", "U": "text"}
_INDEX = ("x", "sequence", "index", "sample", "samples", "n", "no", "point", "column 1")
_PLAIN = re.compile(r"[A-Za-z][\w/. \[\]-]*[\w\]]|[A-Za-z]")


def show(name: str) -> None:
    """Print what a file holds; raises ConfigurationError for one that cannot be read."""
    file = find_recording(name, search_path(Path(), os.environ), "")
    print("\n".join(lines(open_recording(file), name)))


def lines(recording: Recording, name: str) -> Iterator[str]:
    """What is said of a recording."""
    entries, listing = recording.listing.entries, recording.listing
    yield f"{_shown(name)}: {len(entries)} array{'s' if len(entries) != 1 else ''}"
    width = max((len(_shown(entry.name)) for entry in entries[:_MOST]), default=0)
    for entry in entries[:_MOST]:
        shape = " x ".join(map(str, entry.shape)) or "1"
        unit = _shown(entry.unit) or "no unit"
        yield f"  {_shown(entry.name):<{width}}  {shape:>12}  {_KINDS.get(entry.kind, 'no numbers'):<8}  {unit}"
    if len(entries) > _MOST:
        yield f"  and {len(entries) - _MOST} more"
    yield from (f"  note: {_shown(words)}" for words in listing.notes)
    yield from _section(recording, name)


def _section(recording: Recording, name: str) -> Iterator[str]:
    series = [entry for entry in recording.listing.entries if entry.kind in REAL and len(entry.shape) in (1, 2)]
    if not series:
        yield "there is no series of numbers in it"
        return
    count, _ = Counter(entry.shape[-1] if _is_shots(entry) else entry.shape[0] for entry in series).most_common(1)[0]
    axes = [entry for entry in series if entry.name in recording.listing.times and entry.shape == (count,)]
    signals = [entry for entry in series if count in entry.shape and entry not in axes]
    signals = [entry for entry in signals if entry.name.lower() not in _INDEX] or signals
    rate, words = _rate(recording, axes, count)
    yield f"  {words}"
    if not signals or count < 2:
        return
    *inputs, target = signals[:2]
    cut = max(1, 3 * count // 4)
    yield ""
    yield "data:"
    yield f"  file: {_quoted(name)}"
    if inputs:
        yield f"  input: {_quoted(_name(inputs[0]))}"
    yield f"  target: {_quoted(_name(target))}"
    yield rate
    unsaid = [entry for entry in (*inputs, target) if not entry.unit]
    if unsaid:
        yield f"  # units: {{{', '.join(f'{_quoted(_name(entry))}: mV' for entry in unsaid)}}}  # the file does not say"
    yield f"  train: {{start: 0, stop: {cut}}}"
    yield f"  test: {{rest: {{start: {cut}, stop: {count}}}}}"


def _rate(recording: Recording, axes: Sequence[Entry], count: int) -> tuple[str, str]:
    """The line of the section, and what is known."""
    if axes:
        axis = recording.series(axes[0].name)
        try:
            (times,) = recording.read([axis], 0, min(count, _LOOKED_AT))
            size = ratio(time_unit(axis.entry.unit or "s"), "s") or 1.0
            step = size * interval_of(np.asarray(times, float), axis.asked)
        except ConfigurationError as error:
            return f"  time: {_quoted(axes[0].name)}", _shown(error.problem)
        said = "" if axis.entry.unit else ", if its unit is s, which the file does not say"
        words = f"{1 / step:.6g} samples per second, by {_shown(axis.asked)}{said}"
        return f"  time: {_quoted(axes[0].name)}", words
    if recording.listing.interval:
        rate = 1 / recording.listing.interval
        return f"  rate: {rate:.12g}", f"{rate:.6g} samples per second, by its header"
    return "  rate: 1e3  # samples per second: the file does not say", f"{count} samples, with no time"


def _is_shots(entry: Entry) -> bool:
    return len(entry.shape) == 2 and entry.shape[0] < entry.shape[1]


def _name(entry: Entry) -> str:
    return f"{entry.name}[0]" if _is_shots(entry) and entry.shape[0] > 1 else entry.name


def _quoted(name: str) -> str:
    plain = _PLAIN.fullmatch(name) and name.lower() not in ("yes", "no", "on", "off", "true", "false", "null", "y", "n")
    return name if plain and "[" not in name and ": " not in name else json.dumps(name, ensure_ascii=False)


def _shown(words: str) -> str:
    """On a terminal: without what would move its cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in words)
