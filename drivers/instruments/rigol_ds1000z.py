"""Oscilloscopes of the Rigol DS1000Z series (four channels of 8 bits).

Speaks the commands of the MSO1000Z/DS1000Z Programming Guide (PGA16306-1110).  Not yet tried on the physical
instrument.

All four channels stay on, so the memory is the same for any of them: 3000 to 3 million samples over 12 divisions of a
1-2-5 time base, which gives the sample rates.  A vertical division is 25 codes, 10 divisions are used; the probe ratio
is set to 1.  It has no external trigger input.  What is read is raw memory, 250000 samples at a time:

    V = (code - yorigin - yreference) * yincrement
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from drivers.instruments.answers import number, positive, preamble_and_source, whole
from drivers.instruments.digitizer import Digitizer, Setup
from drivers.instruments.linked import Range, Reading
from drivers.roles import InputSpec, Record, Window
from labrhel.errors import InstrumentError, LimitError

_INPUTS = ("ch1", "ch2", "ch3", "ch4")
_DIVISIONS, _USED = 12, 10
_DEPTHS = (3000, 30_000, 300_000, 3_000_000)
_FASTEST = 250e6  # samples a second with four channels
_TIME_SCALES = [number(f"{digit}e{power}") for power in range(-9, 2) for digit in (1, 2, 5)][2:]  # 5 ns to 50 s
_SCALES = [number(f"{digit}e{power}") for power in range(-3, 2) for digit in (1, 2, 5)][:13]  # 1 mV to 10 V
_SPAN = 1e-3, 100.0  # V a division, with any probe
_MOST_AT_ONCE = 250_000
_SPARE = 4  # samples that a window is rounded up by, at most
_RATES = sorted({depth / _DIVISIONS / scale for depth in _DEPTHS for scale in _TIME_SCALES})
RATES = tuple(number(f"{rate:.6g}") for rate in _RATES if rate <= _FASTEST * (1 + 1e-9))
"""Sample rates it has [Hz]: 5, 12.5, 25, 50, 125 ... 250e6."""


class RigolDS1000Z(Digitizer):
    """A `drivers.roles.Digitizer` with inputs ch1 to ch4."""

    # The DS1000Z-E have two channels, and other rates and depths of memory.
    expected = r"rigol[^,]*,\s*(DS|MSO)1(05|07|10)4Z(?!-?E)"
    joins_commands = False  # the guide says nothing about several commands in a message
    inputs: Mapping[str, InputSpec] = dict.fromkeys(_INPUTS, InputSpec(8, _DEPTHS[-1] - _SPARE, RATES))
    trigger_hint = ": wire it to one"
    arming = (":SING",)
    box_readings = (
        Reading("time_scale", ":TIM:MAIN:SCAL?", "Time of a division", "s"),
        Reading("time_offset", ":TIM:MAIN:OFFS?", "Middle of the screen after the trigger", "s"),
        Reading("sample_rate", ":ACQ:SRAT?", "Sample rate", "Hz"),
        Reading("trigger_level", ":TRIG:EDG:LEV?", "Trigger level", "V"),
    )

    def __init__(self, name: str, address: str, **link: Any) -> None:
        super().__init__(name, address, **link)
        self.add_parameter("trigger_status", get_cmd=":TRIG:STAT?", set_cmd=False, snapshot_get=False)

    def setup(self, window: Window, trigger: str, level: float, vertical: Sequence[str]) -> Setup:
        depth, scale = self._time_base(window)
        middle = window.start - 1 / window.rate + _DIVISIONS / 2 * scale
        commands = (
            *(f":CHAN{own[2:]}:DISP ON" for own in _INPUTS),
            ":RUN",  # the memory depth can be set only while it runs
            f":ACQ:MDEP {depth}",
            ":ACQ:TYPE NORM",
            ":STOP",
            ":TIM:MODE MAIN",
            f":TIM:MAIN:SCAL {scale:.6g}",
            f":TIM:MAIN:OFFS {middle:.9g}",
            *vertical,
            ":TRIG:MODE EDGE",
            f":TRIG:EDG:SOUR CHAN{trigger[2:]}",
            ":TRIG:EDG:SLOP POS",
            f":TRIG:EDG:LEV {level:.6g}",
            ":TRIG:SWE SING",
            ":WAV:MODE RAW",
            ":WAV:FORM BYTE",
        )
        scaled = ":TIM:MAIN:SCAL?"
        kept = (":ACQ:SRAT?", scaled, ":TIM:MAIN:OFFS?", ":TRIG:SWE?", ":TRIG:EDG:SOUR?", ":TRIG:EDG:LEV?")
        return Setup(commands, kept, {scaled: ("time base", scale)})

    def rate(self, answers: Mapping[str, str]) -> float:
        return positive(answers[":ACQ:SRAT?"])

    def is_waiting(self) -> bool:
        return self.asked(":TRIG:STAT?", str) in ("WAIT", "TD")  # STOP may still be the record before

    def is_complete(self) -> bool:
        return self.asked(":TRIG:STAT?", str) == "STOP"

    def readings(self, own: str) -> Sequence[Reading]:
        channel = f":CHAN{own[2:]}"
        return (
            Reading(
                "scale", f"{channel}:SCAL?", "Division", "V", setter=self.setter(f"{channel}:SCAL {{:.6g}}", _SPAN)
            ),
            Reading("offset", f"{channel}:OFFS?", "Offset", "V", setter=self.setter(f"{channel}:OFFS {{:.6g}}")),
            Reading("coupling", f"{channel}:COUP?", "Coupling", parser=None),
        )

    def points(self, window: Window) -> int:
        return math.ceil(window.duration * self._rate - 1e-6) + 2

    def record(self, own: str, window: Window) -> Record:
        asked = f":WAV:SOUR CHAN{own[2:]}", ":WAV:PRE?", ":WAV:SOUR?"
        preamble, source = self._do_as(preamble_and_source, *asked, again=True)
        _, kind, _, _, dt, origin, reference, step, zero, middle = preamble
        if kind != 2 or source != f"CHAN{own[2:]}" or not dt * self._rate > 0.5:
            raise InstrumentError(
                f"{self.name} would send another record than that of {own}", answer=f"{preamble};{source}"
            )
        begin = origin - reference * dt
        first = max(math.floor((window.start - begin) / dt + 1e-6), 0)
        count = math.ceil(window.duration / dt - 1e-6) + 2
        parts = [
            self._part(start, min(_MOST_AT_ONCE, first + count - start))
            for start in range(first, first + count, _MOST_AT_ONCE)
        ]
        codes = np.frombuffer(b"".join(parts), np.uint8).astype(np.int32)
        clipped = ((codes == 0) | (codes == 255)).sum().item()
        return Record(codes, step, -(zero + middle) * step, begin + first * dt, dt, clipped)

    def vertical(self, own: str, pair: Range) -> list[str]:
        low, high = pair
        scale = next((scale for scale in _SCALES if _USED * scale >= (high - low) * (1 - 1e-9)), None)
        if scale is None:
            raise LimitError(f"{self.name}.{own} cannot show [{low:g}, {high:g}] V: at most 100 V; nothing was sent")
        channel = f":CHAN{own[2:]}"
        return [
            f"{channel}:COUP DC",
            f"{channel}:INV OFF",
            f"{channel}:BWL OFF",
            f"{channel}:PROB 1",
            f"{channel}:SCAL {scale:g}",
            f"{channel}:OFFS {-(low + high) / 2:.6g}",
        ]

    def _part(self, start: int, count: int) -> bytes:
        """Read the samples from index `start` (counted from 0) on."""
        limits = [f":WAV:STAR {start + 1}", f":WAV:STOP {start + count}"]
        begin, end = self._do_as(lambda texts: [whole(text) for text in texts], *limits, ":WAV:STAR?", ":WAV:STOP?")
        if (begin, end) != (start + 1, start + count):
            raise InstrumentError(f"{self.name} would send samples {begin} to {end}, not {limits}", answer=str(end))
        return self.link.query_block(":WAV:DATA?", length=count)

    def _time_base(self, window: Window) -> tuple[int, float]:
        """Memory depth [samples] and time of a division [s] of a window."""
        for depth in _DEPTHS:
            scale = depth / _DIVISIONS / window.rate
            exact = min(_TIME_SCALES, key=lambda known: abs(known - scale))
            fits = window.duration * window.rate + _SPARE <= depth
            if fits and math.isclose(exact, scale, rel_tol=1e-4) and window.rate <= _FASTEST * (1 + 1e-6):
                return depth, exact
        raise self.cannot_record(window, _DEPTHS[-1])
