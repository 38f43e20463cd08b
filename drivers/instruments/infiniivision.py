"""Oscilloscopes of the Keysight InfiniiVision 3000 X series (two or four channels of 8 bits, external trigger).

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
import re
from collections.abc import Mapping, Sequence

import numpy as np

from drivers.instruments.answers import number, positive, preamble_and_source, whole
from drivers.instruments.digitizer import Digitizer, Setup
from drivers.instruments.linked import Range, Reading
from drivers.roles import InputSpec, Record, Window
from labrhel.errors import InstrumentError, LimitError

_INPUTS = ("ch1", "ch2", "ch3", "ch4")
_POINTS = (100, 250, 500, *(digit * 10**power for power in range(3, 6) for digit in (1, 2, 5)), 1_000_000, 2_000_000,
           4_000_000)  # fmt: skip
_SPARE = 4  # samples beyond a window
_FASTEST = 2e9  # samples a second
_WIDTHS = (20e-9, 500.0)  # s
_NARROWEST, _WIDEST = 8e-3, 40.0  # V, at a probe of 1
_TWO = re.compile(r"[34]\d\d2")
_RUNNING = 8  # bit of the operation register
RATES = tuple(number(f"{digit}e{power}") for power in range(1, 10) for digit in (1, 2, 5))[:-1]
"""Sample rates it is used at [Hz]: 10, 20, 50 ... 2e9."""


class InfiniiVision(Digitizer):
    """A `drivers.roles.Digitizer` with the inputs ch1 to ch4, or ch1 and ch2 if its model ends in 2.

    It is triggered by one of them, or from "external".
    """

    expected = r"(agilent|keysight)[^,]*,\s*[DM]SO-?X ?[34]\d\d[24]"
    inputs: Mapping[str, InputSpec]
    external = ("external",)
    arming = (":AER?", ":SING")  # reading the armed event register clears it
    box_readings = (
        Reading("time_range", ":TIM:RANG?", "Width of the screen", "s"),
        Reading("time_position", ":TIM:POS?", "Middle of the screen after the trigger", "s"),
        Reading("sample_rate", ":ACQ:SRAT?", "Sample rate", "Hz"),
        Reading("trigger_level", ":TRIG:LEV?", "Trigger level", "V"),
    )

    def fit(self, model: str) -> None:
        number_of = 2 if _TWO.search(model) else 4
        self.inputs = dict.fromkeys(_INPUTS[:number_of], InputSpec(8, _POINTS[-1] - _SPARE, RATES))

    def setup(self, window: Window, trigger: str, level: float, vertical: Sequence[str]) -> Setup:
        count, width = self._time_base(window)
        commands = (
            ":STOP",
            ":ACQ:MODE RTIM",
            ":ACQ:TYPE NORM",
            ":TIM:MODE MAIN",
            ":TIM:REF CENT",
            f":TIM:RANG {width:.9g}",
            f":TIM:POS {window.start - 1 / window.rate + width / 2:.9g}",
            *vertical,
            ":TRIG:MODE EDGE",
            f":TRIG:SOUR {'EXT' if trigger in self.external else f'CHAN{trigger[2:]}'}",
            ":TRIG:SLOP POS",
            f":TRIG:LEV {level:.6g}",
            ":TRIG:SWE NORM",
            ":WAV:FORM BYTE",
            ":WAV:UNS 1",
            ":WAV:POIN:MODE RAW",
            f":WAV:POIN {count}",
        )
        kept = (":TIM:RANG?", ":TIM:POS?", ":TRIG:SOUR?", ":TRIG:LEV?", ":TRIG:SWE?", ":WAV:POIN?")
        return Setup(commands, kept, {":TIM:RANG?": ("width", width), ":WAV:POIN?": ("number of points", count)})

    def rate(self, answers: Mapping[str, str]) -> float:
        return number(answers[":WAV:POIN?"]) / positive(answers[":TIM:RANG?"])

    def is_waiting(self) -> bool:
        return self.asked(":AER?", whole) != 0

    def is_complete(self) -> bool:
        return not self.asked(":OPER:COND?", whole) & _RUNNING

    def readings(self, own: str) -> Sequence[Reading]:
        channel = f":CHAN{own[2:]}"
        return (
            Reading(
                "range",
                f"{channel}:RANG?",
                "Range of the screen",
                "V",
                setter=self.setter(f"{channel}:RANG {{:.6g}}", (_NARROWEST, _WIDEST)),
            ),
            Reading(
                "scale",
                f"{channel}:SCAL?",
                "Division",
                "V",
                setter=self.setter(f"{channel}:SCAL {{:.6g}}", (_NARROWEST / 8, _WIDEST / 8)),
            ),
            Reading(
                "offset",
                f"{channel}:OFFS?",
                "Middle of the screen",
                "V",
                setter=self.setter(f"{channel}:OFFS {{:.6g}}"),
            ),
            Reading("coupling", f"{channel}:COUP?", "Coupling", parser=None),
        )

    def points(self, window: Window) -> int:
        return self._time_base(window)[0]

    def record(self, own: str, window: Window) -> Record:
        asked = f":WAV:SOUR CHAN{own[2:]}", ":WAV:PRE?", ":WAV:SOUR?"
        preamble, source = self._do_as(preamble_and_source, *asked, again=True)
        form, _, count, _, dt, begin, _, step, middle, reference = preamble
        if form != 0 or source != f"CHAN{own[2:]}" or count not in _POINTS:
            raise InstrumentError(
                f"{self.name} would send another record than that of {own}", answer=f"{preamble};{source}"
            )
        data = self.link.query_block(":WAV:DATA?", length=round(count))
        codes = np.frombuffer(data, np.uint8).astype(np.int32)
        clipped = ((codes <= 1) | (codes == 255)).sum().item()  # 0 would be a hole
        return Record(codes, step, middle - reference * step, begin, dt, clipped)

    def vertical(self, own: str, pair: Range) -> list[str]:
        low, high = pair
        if not high <= low + _WIDEST:
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

    def _time_base(self, window: Window) -> tuple[int, float]:
        """Points of memory and width of the screen [s] of a window."""
        needed = window.duration * window.rate + _SPARE
        count = next((points for points in _POINTS if points >= needed), 0)
        width = count / window.rate if window.rate > 0 else math.inf
        if not count or window.rate > _FASTEST * (1 + 1e-9) or not _WIDTHS[0] <= width <= _WIDTHS[1]:
            raise self.cannot_record(window, _POINTS[-1])
        return count, width
