"""A digitizer with somebody else's driver: prepared and armed in the steps of its station file, read by a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from drivers.foreign.box import Box, values_of
from drivers.roles import InputSpec, Record, Window
from labrhel.arrays import Array
from labrhel.config.driver_sections import InputsSection
from labrhel.errors import InstrumentError, LimitError, ProgramError

_STEPS = 2**24  # of the larger of two ends of a range: codes of readings that come as volts, far below any noise
_ROUNDED = 1e-9


class ForeignDigitizer(Box):
    """A `drivers.roles.Digitizer`; `section` says how it records.

    A reading outside the range that was asked for counts as over range: what lies beyond it, its converter may have
    cut off.
    """

    def __init__(self, *box: Any, section: InputsSection) -> None:
        super().__init__(*box)
        self._section = section
        rates = tuple(sorted(section.rates))
        spec = InputSpec(section.bits, section.memory, rates, section.pre_trigger)
        self.inputs: Mapping[str, InputSpec] = dict.fromkeys(section.terminals, spec)
        self.triggers = tuple(section.triggers) or tuple(section.terminals)
        self._window: tuple[Window, str, float] | None = None
        self._armed = self._complete = False
        self._check([*section.range, section.trace], section.terminals)
        own = [section.rate, section.interval, section.errors]
        self._check([*section.prepare, *section.arm, *section.stop, section.start, *filter(None, own)])
        self._check([item.value for item in (section.ready, section.waiting) if item is not None])

    @property
    def is_armed(self) -> bool:
        """Whether it waits for a trigger, or has recorded one."""
        return self._armed

    def prepare(self, window: Window, trigger: str, level: float) -> float:
        """Set time base, ranges and trigger (`triggers`, at `level` [V], rising); the rate that was asked for [Hz]."""
        if self._window == (window, trigger, level):
            return window.rate
        if trigger not in self.triggers:
            raise ProgramError(f"{self.name} triggers on {', '.join(self.triggers)}, not on {trigger!r}")
        for own in window.ranges:
            self._require(own)
        if window.duration * window.rate > self._section.memory * (1 + _ROUNDED):
            raise LimitError(
                f"{self.name} cannot record {window.duration:.3g} s at {window.rate:.6g} samples a second in a memory "
                f"of {self._section.memory} samples; nothing was sent"
            )
        end = window.start + window.duration
        values = {
            "start": window.start, "end": end, "middle": (window.start + end) / 2, "duration": window.duration,
            "rate": window.rate, "trigger": trigger, "trigger_number": values_of(trigger)["number"], "level": level,
        }  # fmt: skip
        with self._wire.exclusive():
            self._lost()
            self._do(self._section.prepare, values)
            for own, (low, high) in window.ranges.items():
                ends = {"low": low, "high": high, "span": high - low, "middle": (low + high) / 2}
                self._do(self._section.range, values_of(own, **ends))
            self._require_no_error(self._section.errors, "it was prepared")
            self._window = window, trigger, level
        return window.rate

    def arm(self) -> None:
        """Wait for one trigger; returns when it does."""
        if self._window is None:
            raise InstrumentError(f"{self.name} does not know what to record: prepare it before it is armed")
        with self._wire.exclusive():
            self._armed = self._complete = False
            self._do(self._section.arm, {})
            self._require_no_error(self._section.errors, "it was armed")
            self._armed = True
        if self._section.waiting is not None:
            before = max(-self._window[0].start, 0.0)
            problem = f"{self.name} does not begin to wait for a trigger"
            self._wait_until(self._section.waiting, 2 * before + 5.0, problem)

    def wait(self, seconds: float) -> None:
        """Until the record is complete; DeadlineError if no trigger came by then."""
        if not self._armed:
            raise InstrumentError(f"{self.name} waits for no trigger: arm it first")
        self._wait_until(self._section.ready, seconds, f"{self.name} has not seen a trigger, or not to the end,")
        with self._wire.exclusive():
            self._complete = self._armed

    def read(self, terminals: Sequence[str]) -> dict[str, Record]:
        """The records of these inputs."""
        with self._wire.exclusive():
            return {own: self._read(own) for own in terminals}

    def _read(self, own: str) -> Record:
        self._require(own)
        if not self._complete or self._window is None:
            raise InstrumentError(f"{self.name} has no complete record: arm it, and wait for its end")
        volts = self._readings(own)
        t0, dt = self._number(self._section.start, {}), self._interval()
        self._require_no_error(self._section.errors, f"{own} was read")
        window = self._window[0]
        low, high = window.ranges.get(own, (-np.inf, np.inf))
        largest = max(np.abs(volts).max(), _ROUNDED)
        codes = np.rint(volts / largest * _STEPS).astype(np.int32)
        beyond = ((volts < low) | (volts > high)).sum().item()
        return Record(codes, largest / _STEPS, 0.0, t0, dt, beyond)

    def _readings(self, own: str) -> Array:
        answer = self._ask(self._section.trace, values_of(own))
        try:
            volts = np.asarray(answer, np.float64).ravel()
        except (TypeError, ValueError):
            volts = np.array([np.nan])
        if not volts.size or not np.isfinite(volts).all():
            raise InstrumentError(f"{self.name}.{own}: the trace of its driver is no row of finite numbers")
        return volts

    def _interval(self) -> float:
        """Seconds between samples."""
        question = self._section.interval or self._section.rate
        value = self._number(question, {})
        if not value > 0:
            raise InstrumentError(f"{self.name} answers {value:g} to {question}, which is no time between samples")
        return value if self._section.interval is not None else 1 / value

    def _require(self, own: str) -> None:
        if own not in self.inputs:
            raise ProgramError(f"{self.name} has no input {own!r}; it has {', '.join(self.inputs)}")

    def _require_sense(self) -> None:
        for index, step in enumerate(self._section.stop):
            self._takes(f"inputs.stop.{index}", step)

    def _switch_off(self) -> None:
        """Stop waiting; a digitizer drives nothing."""
        self._do(self._section.stop, {})

    def _forget(self) -> None:
        self._armed = self._complete = False

    def _lost(self) -> None:
        self._forget()
        self._window = None
