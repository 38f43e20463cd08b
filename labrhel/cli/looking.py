"""`labrhel inspect`: what a recording holds, and a `data:` section to begin with."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labrhel.cli.looking_through import looked_through
from labrhel.config.problems import nearest
from labrhel.data.finding import find_recording, search_path
from labrhel.data.formats.interface import REAL, Entry
from labrhel.data.formats.times import time_unit
from labrhel.data.recording import Recording, open_recording
from labrhel.data.timing import epoch_of, interval_of
from labrhel.errors import ConfigurationError
from labrhel.units import ratio

_MOST = 200  # arrays that are listed
_LOOKED_AT = 10_000  # samples of an axis
_KINDS = {"f": "numbers", "i": "numbers", "u": "numbers", "b": "numbers", "c": "complex", "S": "text", "U": "text"}
_INDEX = ("x", "sequence", "index", "sample", "samples", "n", "no", "point", "column 1")
_PLAIN = re.compile(r"[A-Za-z][\w/. \[\]-]*[\w\]]|[A-Za-z]")


def show(name: str) -> None:
    """Print what a file holds; raises ConfigurationError for one that cannot be read, or whose series cannot."""
    file = find_recording(name, search_path(Path(), os.environ), "")
    print("\n".join(lines(open_recording(file), name)))


def lines(recording: Recording, name: str) -> Iterator[str]:
    """What is said of a recording."""
    entries, listing = recording.listing.entries, recording.listing
    found = chosen(recording)
    absent, unread = looked_through(recording, () if isinstance(found, str) else found.entries)
    yield f"{printable(name)}: {len(entries)} array{'s' if len(entries) != 1 else ''}"
    width = max((len(printable(entry.name)) for entry in entries[:_MOST]), default=0)
    for entry in entries[:_MOST]:
        shape = " x ".join(map(str, entry.shape)) or "1"
        unit = (printable(entry.unit) or "no unit") + absent.get(entry.name, "")
        yield f"  {printable(entry.name):<{width}}  {shape:>12}  {_KINDS.get(entry.kind, 'no numbers'):<8}  {unit}"
    if len(entries) > _MOST:
        yield f"  and {len(entries) - _MOST} more"
    yield from (f"  note: {printable(words)}" for words in (*listing.notes, *unread))
    yield from _section(found, name)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The series of a recording that belong together: `others` are as long; `timing`: the line of a `data:` section.

    `interval` [s] between samples, where the file says it; `words` on that.
    """

    input: Entry | None
    target: Entry
    others: tuple[Entry, ...]
    count: int
    timing: str
    interval: float | None
    words: str

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Those that the section names."""
        return (self.target,) if self.input is None else (self.input, self.target)

    def name_of(self, entry: Entry) -> str:
        """As a configuration names it: of an array of shots the first."""
        return _name(entry)

    def section(self, name: str, cut: int, stop: int, start: int = 0) -> Iterator[str]:
        """A `data:` section for the file `name`, that trains from `start` to `cut` and tests on the rest to `stop`."""
        yield "data:"
        yield f"  file: {_quoted(name)}"
        if self.input is not None:
            yield f"  input: {_quoted(_name(self.input))}"
        yield f"  target: {_quoted(_name(self.target))}"
        yield self.timing
        unsaid = [entry for entry in (self.input, self.target) if entry is not None and not entry.unit]
        if unsaid:
            units = ", ".join(f"{_quoted(_name(entry))}: mV" for entry in unsaid)
            yield f"  # units: {{{units}}}  # the file does not say"
        yield f"  train: {{start: {start}, stop: {cut}}}"
        yield f"  test: {{rest: {{start: {cut}, stop: {stop}}}}}"


NO_AXIS = "  time: none  # its axis of time is not one"
"""The line of a section that leaves an axis alone which does not go on."""


def chosen(recording: Recording, drive: str | None = None, target: str | None = None) -> Chosen | str:
    """What most of its series have in common, the first of them as the input and the second as the target.

    `drive` and `target` name others; `none` as the drive is a recording without input.  A sentence where there is no
    such series; ConfigurationError for a name that is none.
    """
    series = [entry for entry in recording.listing.entries if entry.kind in REAL and len(entry.shape) in (1, 2)]
    if not series:
        return "there is no series of numbers in it"
    count, _ = Counter(entry.shape[-1] if _is_shots(entry) else entry.shape[0] for entry in series).most_common(1)[0]
    axes = [entry for entry in series if entry.name in recording.listing.times and entry.shape == (count,)]
    signals = [entry for entry in series if count in entry.shape and entry not in axes]
    signals = [entry for entry in signals if entry.name.lower() not in _INDEX] or signals
    timing, interval, words = _rate(recording, axes, count)
    if not signals or count < 2:
        return words
    named = {_name(entry): entry for entry in signals}
    driving = _of(named, drive) if drive not in (None, "none") else None
    wanted = None if target is None else _of(named, target)
    left = [entry for entry in signals if entry not in (driving, wanted)]
    if driving is None and drive is None and len(left) > (wanted is None):
        driving = left.pop(0)
    if wanted is None:
        wanted = left.pop(0) if left else signals[0]
    return Chosen(driving, wanted, tuple(left), count, timing, interval, words)


def _of(named: Mapping[str, Entry], name: str) -> Entry:
    known = {**named, **{entry.name: entry for entry in named.values()}}
    if name not in known:
        raise ConfigurationError(f"there is no series {name!r} of that length; {nearest(name, named)}")
    return known[name]


def _section(found: Chosen | str, name: str) -> Iterator[str]:
    if isinstance(found, str):
        yield found if found.startswith("there is") else f"  {found}"
        return
    yield f"  {found.words}"
    yield ""
    yield from found.section(name, max(1, 3 * found.count // 4), found.count)


def _rate(recording: Recording, axes: Sequence[Entry], count: int) -> tuple[str, float | None, str]:
    """The line of the section, the time between samples [s], and what is known."""
    if axes:
        axis = recording.series(axes[0].name)
        try:
            (times,) = recording.read([axis], 0, min(count, _LOOKED_AT))
            unit = time_unit(axis.entry.unit) or epoch_of(float(np.ravel(times)[0]))
            size = ratio(unit or "s", "s") or 1.0
            step = size * interval_of(np.asarray(times, float), axis.asked)
        except ConfigurationError as error:
            return f"  rate: 1e3  # samples per second\n{NO_AXIS}", None, printable(error.problem)
        said = "" if unit else ", if its unit is s, which the file does not say"
        words = f"{1 / step:.6g} samples per second, by {printable(axis.asked)}{said}"
        return f"  time: {_quoted(axes[0].name)}", step, words
    if recording.listing.interval:
        rate = 1 / recording.listing.interval
        return f"  rate: {rate:.12g}", recording.listing.interval, f"{rate:.6g} samples per second, by its header"
    return "  rate: 1e3  # samples per second: the file does not say", None, f"{count} samples, with no time"


def _is_shots(entry: Entry) -> bool:
    return len(entry.shape) == 2 and entry.shape[0] < entry.shape[1]


def _name(entry: Entry) -> str:
    return f"{entry.name}[0]" if _is_shots(entry) and entry.shape[0] > 1 else entry.name


def _quoted(name: str) -> str:
    plain = _PLAIN.fullmatch(name) and name.lower() not in ("yes", "no", "on", "off", "true", "false", "null", "y", "n")
    return name if plain and "[" not in name and ": " not in name else json.dumps(name, ensure_ascii=False)


def printable(words: str) -> str:
    """On a terminal: without what would move its cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in words)
