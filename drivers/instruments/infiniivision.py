"""Oscilloscopes of the Keysight InfiniiVision 3000 X series (four channels of 8 bits, an external trigger input).

Speaks the commands of the InfiniiVision 3000 X-Series Programmer's Guide (75019-97073).  Not yet tried on the physical
instrument.

The time base is as wide as the memory that is read, 100 to 4 million points of a fixed list, so that the sample rate is
points/width.  A vertical range is 200 of the 256 levels.  What is read is raw memory, one byte a sample:

    V = (code - yreference) * yincrement + yorigin

The armed event register says when what lies before the trigger is in memory, the run bit of the operation register when
the record is complete.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from qcodes.instrument import InstrumentChannel

from drivers.instruments._waiting import wait_until
from drivers.instruments.linked import LinkedInstrument
from drivers.roles import InputSpec, Record, Window
from labrhel.errors import InstrumentError, LimitError, ProgramError

_INPUTS = ("ch1", "ch2", "ch3", "ch4")
_EXTERNAL = "external"
_POINTS = (100, 250, 500, *(digit * 10**power for power in range(3, 6) for digit in (1, 2, 5)), 1_000_000, 2_000_000,
           4_000_000)  # fmt: skip
_SPARE = 4  # samples beyond a window
_FASTEST = 2e9  # samples a second
_WIDTHS = (20e-9, 500.0)  # s
_NARROWEST, _WIDEST = 8e-3, 40.0  # V, at a probe of 1
_RUNNING = 8  # bit of the operation register
RATES = tuple(float(f"{digit}e{power}") for power in range(1, 10) for digit in (1, 2, 5))[:-1]
"""Sample rates it is used at [Hz]: 10, 20, 50 ... 2e9."""


class InfiniiVision(LinkedInstrument):
    """A `drivers.roles.Digitizer` with inputs ch1 to ch4; it is triggered by one of them, or from "external"."""

    expected = r"(agilent|keysight)[^,]*,\s*[DM]SO-?X ?[34]\d\d\d"

    def __init__(self, name: str, address: str, **link: Any) -> None:
        super().__init__(name, address, **link)
        self.inputs: Mapping[str, InputSpec] = dict.fromkeys(_INPUTS, InputSpec(8, _POINTS[-1] - _SPARE, RATES))
        self._window: tuple[Window, str, float] | None = None
        self._rate = 0.0
        self._armed = self._complete = False
        for key, words, unit, label in (
            ("time_range", ":TIM:RANG", "s", "Width of the screen"),
            ("time_position", ":TIM:POS", "s", "Middle of the screen after the trigger"),
            ("sample_rate", ":ACQ:SRAT", "Hz", "Sample rate"),
            ("trigger_level", ":TRIG:LEV", "V", "Trigger level"),
        ):
            self.add_parameter(key, label=label, unit=unit, get_cmd=f"{words}?", get_parser=float, set_cmd=False)
        for number, own in enumerate(_INPUTS, start=1):
            self.add_submodule(own, InfiniiVisionChannel(self, own, number))

    def prepare(self, window: Window, trigger: str, level: float) -> float:
        """Set time base, ranges and trigger ("external" or an input, at `level` [V], rising); the rate it took [Hz]."""
        if self._window == (window, trigger, level):
            return self._rate
        if trigger not in (*_INPUTS, _EXTERNAL):
            raise ProgramError(f"{self.name} triggers on {', '.join(_INPUTS)} or external, not on {trigger!r}")
        count, width = self._time_base(window)
        half = 2 * abs(level) or 1.0  # of the range of an input that only triggers
        own = {} if trigger == _EXTERNAL else {trigger: (-half, half)}
        vertical = [
            item for terminal, pair in (own | dict(window.ranges)).items() for item in self._vertical(terminal, pair)
        ]
        source = "EXT" if trigger == _EXTERNAL else f"CHAN{trigger[2:]}"
        with self.link.exclusive():
            self._lost()
            self._remembers = {}
            self._do(
                ":STOP",
                ":ACQ:MODE RTIM",
                ":ACQ:TYPE NORM",
                ":TIM:MODE MAIN",
                ":TIM:REF CENT",
                f":TIM:RANG {width:.9g}",
                f":TIM:POS {window.start - 1 / window.rate + width / 2:.9g}",
                *vertical,
                ":TRIG:MODE EDGE",
                f":TRIG:SOUR {source}",
                ":TRIG:SLOP POS",
                f":TRIG:LEV {level:.6g}",
                ":TRIG:SWE NORM",
                ":WAV:FORM BYTE",
                ":WAV:UNS 1",
                ":WAV:POIN:MODE RAW",
                f":WAV:POIN {count}",
            )
            kept = (":TIM:RANG?", ":TIM:POS?", ":TRIG:SOUR?", ":TRIG:LEV?", ":TRIG:SWE?", ":WAV:POIN?")
            answers = self._do(*kept)
            self._require("width", float(answers[0]), width)
            self._require("number of points", float(answers[-1]), count)
            self._remembers = dict(zip(kept, answers, strict=True))
            self._rate, self._window = count / float(answers[0]), (window, trigger, level)
        return self._rate

    def arm(self) -> None:
        """Wait for one trigger; returns when what lies before it is in memory."""
        if self._window is None:
            raise InstrumentError(f"{self.name} does not know what to record: prepare it before it is armed")
        window = self._window[0]
        with self.link.exclusive():
            self._armed = self._complete = False
            self._do(":AER?", ":SING")  # reading the armed event register clears it
            self._armed = True
        seen = f"{self.name} does not begin to wait for a trigger"
        wait_until(lambda: self._asked(":AER?") != 0, 2 * max(-window.start, 0.0) + 5.0, seen)

    def wait(self, seconds: float) -> None:
        """Until the record is complete; DeadlineError if no trigger came by then."""
        if not self._armed:
            raise InstrumentError(f"{self.name} waits for no trigger: arm it first")
        seen = f"{self.name} has not seen a trigger, or not to the end,"
        wait_until(lambda: not self._asked(":OPER:COND?") & _RUNNING, seconds, seen)
        with self.link.exclusive():
            self._complete = self._armed

    def read(self, terminals: Sequence[str]) -> dict[str, Record]:
        """The records of these inputs."""
        return {own: self._read(own) for own in terminals}

    def _asked(self, question: str) -> int:
        if not self._armed:
            raise InstrumentError(f"{self.name} has been made safe: prepare and arm it again")
        return self.link.query_as(question, int)

    def _read(self, own: str) -> Record:
        if own not in _INPUTS:
            raise ProgramError(f"{self.name} has no input {own!r}; it has {', '.join(_INPUTS)}")
        with self.link.exclusive():
            if not self._complete or self._window is None:
                raise InstrumentError(f"{self.name} has no complete record: arm it, and wait for its end")
            preamble, source = self._do(f":WAV:SOUR CHAN{own[2:]}", ":WAV:PRE?", ":WAV:SOUR?")
            form, _, count, _, dt, begin, _, step, middle, reference = (float(word) for word in preamble.split(","))
            if form != 0 or source != f"CHAN{own[2:]}":
                raise InstrumentError(f"{self.name} would send another record than that of {own}", answer=preamble)
            data = self.link.query_block(":WAV:DATA?", length=int(count))
        codes = np.frombuffer(data, np.uint8).astype(np.int32)
        clipped = int(np.count_nonzero((codes <= 1) | (codes == 255)))  # 0 would be a hole
        return Record(codes, step, middle - reference * step, begin, dt, clipped)

    def _time_base(self, window: Window) -> tuple[int, float]:
        """Points of memory and width of the screen [s] of a window."""
        needed = window.duration * window.rate + _SPARE
        count = next((points for points in _POINTS if points >= needed), 0)
        width = count / window.rate if window.rate > 0 else math.inf
        if not count or window.rate > _FASTEST * (1 + 1e-9) or not _WIDTHS[0] <= width <= _WIDTHS[1]:
            raise LimitError(
                f"{self.name} cannot record {window.duration:.3g} s at {window.rate:.6g} samples a second; it has the "
                f"rates of `inputs` and a memory of {_POINTS[-1]} samples; nothing was sent"
            )
        return count, width

    def _vertical(self, own: str, pair: tuple[float, float]) -> list[str]:
        """Range and offset of an input that has to show a range [V]."""
        if own not in _INPUTS:
            raise ProgramError(f"{self.name} has no input {own!r}; it has {', '.join(_INPUTS)}")
        low, high = pair
        if not low < high <= low + _WIDEST:
            raise LimitError(
                f"{self.name}.{own} cannot show [{low:g}, {high:g}] V: at most {_WIDEST:g} V; nothing was sent"
            )
        channel = f":CHAN{own[2:]}"
        return [
            f"{channel}:DISP 1",
            f"{channel}:COUP DC",
            f"{channel}:INV 0",
            f"{channel}:BWL 0",
            f"{channel}:IMP ONEM",
            f"{channel}:PROB 1",
            f"{channel}:RANG {max(high - low, _NARROWEST):.6g}",
            f"{channel}:OFFS {(low + high) / 2:.6g}",
        ]

    def _require(self, what: str, got: float, wanted: float) -> None:
        if not math.isclose(got, wanted, rel_tol=1e-4):
            raise InstrumentError(f"{self.name}: the {what} is {got:g} instead of {wanted:g}", answer=f"{got:g}")

    def _make_safe(self) -> None:
        """It drives nothing; it waits no more."""
        self._do(":STOP")

    def _forget(self) -> None:
        self._armed = self._complete = False

    def _lost(self) -> None:
        self._forget()
        self._window = None


class InfiniiVisionChannel(InstrumentChannel):
    """One input; set by `InfiniiVision.prepare`."""

    def __init__(self, parent: InfiniiVision, own: str, number: int) -> None:
        super().__init__(parent, own)
        for key, words, label in (("range", "RANG", "Range of the screen"), ("offset", "OFFS", "Middle of the screen")):
            question = f":CHAN{number}:{words}?"
            self.add_parameter(key, label=label, unit="V", get_cmd=question, get_parser=float, set_cmd=False)
        self.add_parameter("coupling", label="Coupling", get_cmd=f":CHAN{number}:COUP?", set_cmd=False)
