"""What the digitizers of a bench see of a shot: which channels at once, in which window, on which time axis.

A bench may have fewer inputs than channels: a switch then connects some channels at a time, at levels of sources that
the station file names (`select`), and the shot is run once for each setting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from drivers.bench.fiducial import TimeAxis, time_axis
from drivers.bench.readings import at_kicks
from drivers.roles import Digitizer, Record, Window
from labrhel.config.station import StationDocument
from labrhel.config.station_sections import RigSection
from labrhel.errors import ConfigurationError, InstrumentError, ProgramError
from labrhel.shots.capture import PassCapture, Trace
from labrhel.shots.compiled import CompiledShot

_MARGIN = 2.0  # steps that are recorded before the first and after the last kick
_DRIFT = 2e-4  # of the length of a shot, recorded beyond it where a fiducial says how fast a clock runs
_FEWEST = 2.5  # readings in a step
_REMEMBERED = 64  # windows; those of a gradient's shots on a few digitizers


@dataclass(frozen=True, slots=True)
class View:
    """Channels that are seen at once, and the levels [V, by terminal] at which the switches connect them."""

    levels: Mapping[str, float]
    channels: tuple[str, ...]


def check_views(document: StationDocument) -> None:
    """Raises ConfigurationError for two channels at one input at the same time, and for what has no trigger."""
    rig, seen = document.station.rig, dict[tuple[str, tuple[tuple[str, float], ...]], str]()
    for name, section in rig.channels.items():
        box, _, own = section.terminal.partition(".")
        with document.at("rig", "channels", name):
            other = seen.setdefault((section.terminal, tuple(sorted(section.select.items()))), name)
            if other != name:
                raise ConfigurationError(
                    f"{other} and {name} share {section.terminal}: give each the levels that connect it, as `select`"
                )
            if box not in rig.trigger.seen_by:
                raise ConfigurationError(f"nothing says where {box} sees the trigger: add it to trigger.seen_by")
            if rig.trigger.seen_by[box].terminal == own:
                raise ConfigurationError(f"{section.terminal} sees the trigger, and cannot be {name} as well")


def views_of(rig: RigSection, channels: Sequence[str]) -> list[View]:
    """As few as it takes to see these channels; none if there are no channels."""
    found: dict[tuple[tuple[str, float], ...], list[str]] = {}
    for name in channels:
        found.setdefault(tuple(sorted(rig.channels[name].select.items())), []).append(name)
    return [View(dict(levels), tuple(names)) for levels, names in found.items()]


class Eyes:
    """The windows and readings of a bench for kicks every `step` [s]."""

    def __init__(self, rig: RigSection, digitizers: Mapping[str, Digitizer], step: float) -> None:
        self._rig, self._digitizers, self._step = rig, digitizers, step
        self._windows: dict[tuple[str, tuple[str, ...], float], Window] = {}

    def terminals(self, view: View) -> dict[str, list[str]]:
        """By digitizer, the inputs to be read: those of the channels, and the fiducial."""
        boxes: dict[str, list[str]] = {}
        for name in view.channels:
            box, _, own = self._rig.channels[name].terminal.partition(".")
            boxes.setdefault(box, []).append(own)
        for box, owns in boxes.items():
            if self._rig.trigger.seen_by[box].fiducial:
                owns.append(self._rig.trigger.seen_by[box].terminal)
        return boxes

    def window(self, box: str, view: View, length: float) -> Window:
        """What `box` records of a shot of `length` [s]; raises ProgramError where its memory is too short."""
        key = box, view.channels, length
        found = self._windows.get(key)  # by the threads of several boxes
        if found is None:
            if len(self._windows) >= _REMEMBERED:
                self._windows.clear()
            self._windows[key] = found = self._window(box, view, length)
        return found

    def _window(self, box: str, view: View, length: float) -> Window:
        inputs = self._digitizers[box].inputs
        ranges = {}
        for section in (self._rig.channels[name] for name in view.channels):
            instrument, _, own = section.terminal.partition(".")
            if instrument == box:
                ranges[own] = (section.range[0], section.range[1])
        wanted, duration = self._rig.oversampling / self._step, length + 2 * _MARGIN * self._step
        if self._rig.trigger.seen_by[box].fiducial:
            duration += _DRIFT * length
        memory = min(inputs[own].memory for own in ranges)
        possible = sorted(rate for rate in inputs[next(iter(ranges))].rates if rate * duration <= memory)
        if not possible or possible[-1] < _FEWEST / self._step:
            raise ProgramError(
                f"{box} cannot record {duration:.3g} s at {_FEWEST / self._step:.3g} samples a second in its memory "
                f"of {memory} samples; shorten the pass"
            )
        rate = next((rate for rate in possible if rate >= wanted), possible[-1])
        start, kept = self._begin(box) - _MARGIN * self._step, [inputs[own].pre_trigger for own in ranges]
        earliest = -min((count for count in kept if count is not None), default=memory) / rate
        if earliest > self._begin(box) - self._step / 2:  # the first kick is read from what is within a step of it
            raise ProgramError(
                f"{box} keeps nothing from more than {-earliest:.3g} s before its trigger, and the first kick is read "
                f"from {self._step / 2 - self._begin(box):.3g} s before it on: let it see the trigger earlier"
            )
        late = max(0.0, earliest - start)
        return Window(start + late, duration - late, rate, ranges)

    def read(self, shot: CompiledShot, view: View, box: str, records: Mapping[str, Record]) -> list[dict[str, Trace]]:
        """Volts of the channels of a view that `box` has recorded, by its own terminals, pass by pass.

        Raises InstrumentError for a reading out of range.
        """
        length = self._step * (sum(item.steps for item in shot.passes) + 2)  # of the burst
        axis = self._axis(box, records, length)
        found, begin = [], 0.0
        for item in shot.passes:
            traces, every = {}, item.acquire.every
            for name in (name for name in item.acquire.channels if name in view.channels):
                section = self._rig.channels[name]
                where, _, own = section.terminal.partition(".")
                if where != box:
                    continue
                record = records[own]
                if record.over_range:
                    raise InstrumentError(
                        f"channel {name} at {section.terminal} left its range of [{section.range[0]:g}, "
                        f"{section.range[1]:g}] V at {record.over_range} samples: widen it in the station file, or "
                        "drive less"
                    )
                kicks = begin + self._step * (np.arange(0, item.steps, every) + 0.5)
                moments = axis.of(self._begin(box) + section.delay + kicks)
                volts = at_kicks(record, moments, self._step)
                traces[name] = Trace(volts[None], "V", 0.0, shot.dt * every)
            found.append(traces)
            begin += self._step * item.steps
        return found

    def together(self, shot: CompiledShot, read: Sequence[Sequence[Mapping[str, Trace]]]) -> list[PassCapture]:
        """What all boxes have seen of each pass, in the order in which it was asked for."""
        found = []
        for number, item in enumerate(shot.passes):
            traces = {name: trace for passes in read for name, trace in passes[number].items()}
            found.append(PassCapture({name: traces[name] for name in item.acquire.channels if name in traces}))
        return found

    def _begin(self, box: str) -> float:
        """When the first interval of a shot begins, seconds after `box` has seen the trigger: bursts begin idle."""
        slowest = max(section.delay for section in self._rig.ports.values())
        return slowest + self._step - self._rig.trigger.seen_by[box].delay

    def _axis(self, box: str, records: Mapping[str, Record], length: float) -> TimeAxis:
        seen = self._rig.trigger.seen_by[box]
        if not seen.fiducial:
            return TimeAxis()
        return time_axis(records[seen.terminal], seen.level, length, f"{box}.{seen.terminal}")
