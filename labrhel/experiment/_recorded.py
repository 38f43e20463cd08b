"""The arrays of a recording that a configuration names: in the units of the model, on the time axis of the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labrhel.arrays import Array
from labrhel.config import Document
from labrhel.config.data import DataSection
from labrhel.data.formats.times import time_unit
from labrhel.data.recording import Recording, open_recording
from labrhel.data.series import Series, require_equal_lengths, rows
from labrhel.data.timing import epoch_of, interval_of
from labrhel.errors import ConfigurationError
from labrhel.units import ratio

_NEAR = 1 << 16
"""Samples: segments nearer to each other, or to the beginning, are read at once, since a pass costs more."""

_SAME = 0.01
"""Relative difference of two rates that are the same: hand-written ones are rounded."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Inputs, targets and starts of one file, with the factor of each to the unit of the model."""

    document: Document
    section: DataSection
    recording: Recording
    inputs: tuple[Series, ...]
    targets: tuple[Series, ...]
    starts: tuple[Series, ...]
    units: Mapping[str, str]

    @property
    def samples(self) -> int:
        """Samples of the recording."""
        return self.targets[0].samples

    @property
    def columns(self) -> int:
        """Columns of inputs and targets together."""
        return _columns(self.inputs) + _columns(self.targets) + _columns(self.starts)

    def segments(self, ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[Array, Array, Array]]:
        """Inputs (ports, samples), targets (outputs, samples) and start (columns,) of each segment, in model units."""
        spans = list(_spans(ranges))
        read = {span: self._span(*span) for span in spans}
        for start, stop in ranges:
            low, high = next(span for span in spans if span[0] <= start and stop <= span[1])
            u, y, q = read[low, high]
            yield u[:, start - low : stop - low], y[:, start - low : stop - low], q[:, start - low]

    def _span(self, start: int, stop: int) -> tuple[Array, Array, Array]:
        at, own = self.document.at, self.document.config.model.units
        with at("data", "file"):
            arrays = self.recording.read([*self.inputs, *self.targets, *self.starts], start, stop)
        found = []
        for key, series, unit in (
            ("input", self.inputs, own.input),
            ("target", self.targets, own.position),
            ("start", self.starts, own.position),
        ):
            mine, arrays = arrays[: len(series)], arrays[len(series) :]
            with at("data", key):
                found.append(rows(series, [self._scaled(s, a, unit) for s, a in zip(series, mine, strict=True)], start))
        u, y, q = found
        nothing = np.empty((0, y.shape[1]))
        return (u if len(u) else nothing), y, (q if len(q) else nothing)

    def _scaled(self, series: Series, values: Array, wanted: str) -> Array:
        unit = self.units.get(series.entry.name, wanted)
        if unit == wanted or wanted == "1":  # a model without a unit takes numbers as they are
            return values
        found = ratio(unit, wanted)
        if found is None:
            raise ConfigurationError(
                f"the array {series.asked!r} is in {unit}, and the model in {wanted}: convert it, or name its unit"
            )
        return found * np.asarray(values, float)

    def seconds(self, ranges: Sequence[tuple[int, int]]) -> float:
        """Seconds from one sample to the next: of `rate`, of an axis of time, or as the file says it.

        Where several say it they are compared, on the segments that are used.  Raises ConfigurationError, at the key
        that is wrong, if they differ or if nothing says it.
        """
        at, section = self.document.at, self.section
        with at("data", "rate"):
            rate = _rate(section.rate, self.recording) if section.rate is not None else None
        with at("data", "time" if section.time is not None else "rate" if rate is not None else "file"):
            axis, rivals = self._axis()
            said = self.recording.listing.interval if section.time is None else None
            steps = [] if axis is None else list(self._steps(axis, ranges))
            if rate is None and axis is not None and steps:
                self._require_one_clock(axis, steps[0], rivals, ranges)
            own = [
                *((step, f"its axis {axis.entry.name!r}") for step in steps if axis),
                *([(said, "its header")] if said else []),
            ]
            if rate is not None:
                chosen, others = (1 / rate, "data.rate"), own[: max(1, len(steps))]
            elif own:
                chosen, others = own[0], own[1:]
            else:
                raise ConfigurationError(
                    "the file does not say how many samples there are in a second: give rate, or time, the name of the "
                    "array that holds the time of each sample"
                )
            for step, words in others:
                if abs(step / chosen[0] - 1) > _SAME:
                    raise ConfigurationError(self._contradiction(axis, chosen, (step, words)))
        return chosen[0]

    def _contradiction(self, axis: Series | None, one: tuple[float, str], other: tuple[float, str]) -> str:
        unit = self.units.get(axis.entry.name, "") if axis else ""
        way = "say `time: none` if that axis is none of time"
        if axis and not unit:
            way = (
                "the file does not say the unit of that axis, which was taken as s: name it, "
                f"units: {{{axis.asked}: ms}}, or {way}"
            )
        return (
            f"{one[1]} says {1 / one[0]:.6g} samples per second, and {other[1]} in {self.recording.file.name} says "
            f"{1 / other[0]:.6g}; correct it, or {way}"
        )

    def _require_one_clock(
        self, axis: Series, step: float, rivals: Sequence[Series], ranges: Sequence[tuple[int, int]]
    ) -> None:
        """Channels of one file may have been sampled at different rates, each with times of its own."""
        for rival in rivals:
            try:
                other = next(self._steps(rival, ranges), step)
            except ConfigurationError:
                continue  # it has no equal steps, or ends before
            if abs(other / step - 1) > _SAME:
                raise ConfigurationError(
                    f"the axis {axis.entry.name!r} says {1 / step:.6g} samples per second, and {rival.entry.name!r} "
                    f"{1 / other:.6g}: say which one is that of input and target, time: {axis.entry.name}"
                )

    def _axis(self) -> tuple[Series | None, list[Series]]:
        """The axis of time, and others that might be it where the configuration does not say."""
        section, listing = self.section, self.recording.listing
        if section.time == "none" and all(entry.name != "none" for entry in listing.entries):
            return None, []
        if section.time is not None:
            series = self.recording.series(section.time)
            if len(series.shape) != 1 or series.samples != self.samples:
                raise ConfigurationError(
                    f"the axis {section.time!r} has the shape {series.shape}, and the target {self.samples} samples"
                )
            return series, []
        found = [self.recording.series(name) for name in listing.times]
        found = [series for series in found if series.shape == (self.samples,)]
        return (found[0], found[1:]) if found else (None, [])

    def _steps(self, axis: Series, ranges: Sequence[tuple[int, int]]) -> Iterator[float]:
        said = self.units.get(axis.entry.name, "")
        for start, stop in ranges:
            if stop - start > 1:
                (times,) = self.recording.read([axis], start, stop)
                unit = time_unit(said) or epoch_of(float(np.ravel(times)[0])) or "s"
                size = ratio(unit, "s")
                if size is None:
                    raise ConfigurationError(f"the axis {axis.asked!r} is in {unit}, which is no unit of time")
                yield size * interval_of(np.asarray(times, float).ravel(), axis.asked, start)


def measured(
    document: Document,
    section: DataSection,
    file: Path,
    inputs: int,
    outputs: int,
    oscillators: int,
    place: tuple[str, ...],
) -> Measured:
    """Find in a file what the configuration names, for a model of so many inputs and a read-out of so many outputs.

    Raises ConfigurationError, at its key, for what is not there, does not fit, or has another kind of unit.
    """
    at = document.at
    with at(*place):
        recording = open_recording(file)
    units = {entry.name: entry.unit for entry in recording.listing.entries if entry.unit}
    for name, unit in section.units.items():
        with at("data", "units", name):
            units[recording.series(name).entry.name] = unit
    with at("data", "input"):
        u = tuple(recording.series(name) for name in section.input or ())
        if u:
            _agree("input columns", _columns(u), "inputs of the model", inputs)
            require_equal_lengths(u, "input")
    with at("data", "target"):
        y = tuple(recording.series(name) for name in section.target)
        require_equal_lengths(y, "target")
        _agree("target columns", _columns(y), "outputs of the read-out", outputs)
        if u:
            _agree("target samples", y[0].samples, "input samples", u[0].samples)
    with at("data", "start"):
        q = tuple(recording.series(name) for name in section.start or ())
        if _columns(q) > oscillators:
            _agree("start columns", _columns(q), "oscillators of the model", oscillators)
        if q:
            require_equal_lengths(q, "start")
            _agree("start samples", q[0].samples, "target samples", y[0].samples)
    return Measured(document, section, recording, u, y, q, units)


def _columns(series: Sequence[Series]) -> int:
    return sum(one.shape[1] if len(one.shape) > 1 else 1 for one in series)


def _agree(what: str, found: int, other: str, wanted: int) -> None:
    if found != wanted:
        raise ConfigurationError(f"{what}: {found}, {other}: {wanted}; they must agree")


def _spans(ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """What is read at once: segments, with what lies between near ones."""
    low, high = 0, 0
    for start, stop in sorted(ranges):
        if start - high > _NEAR:
            if high:
                yield low, high
            low, high = start, stop
        else:
            high = max(high, stop)
    yield low, high


def _rate(rate: object, recording: Recording) -> float:
    if isinstance(rate, int | float):
        return float(rate)
    entry = next((entry for entry in recording.listing.entries if entry.name == rate or rate in entry.aliases), None)
    if entry is not None and entry.shape == ():
        value = np.ravel(np.asarray(recording.whole(entry), float))
    else:
        series = recording.series(str(rate))
        value = recording.rows([series], 0, series.samples).ravel() if series.samples < 3 else np.empty(2)
    if value.size != 1 or not np.isfinite(value.item()) or not value.item() > 0:
        raise ConfigurationError(f"the array {rate!r} must hold one positive number of samples per second")
    return float(value.item())
