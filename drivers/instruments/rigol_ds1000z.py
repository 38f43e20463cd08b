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
from qcodes.instrument import InstrumentChannel

from drivers.instruments._waiting import wait_until
from drivers.instruments.linked import LinkedInstrument
from drivers.roles import InputSpec, Record, Window
from labrhel.errors import InstrumentError, LimitError, ProgramError

_INPUTS = ("ch1", "ch2", "ch3", "ch4")
_DIVISIONS, _USED = 12, 10
_DEPTHS = (3000, 30_000, 300_000, 3_000_000)
_FASTEST = 250e6  # samples a second with four channels
_TIME_SCALES = [float(f"{digit}e{power}") for power in range(-9, 2) for digit in (1, 2, 5)][2:]  # 5 ns to 50 s
_SCALES = [float(f"{digit}e{power}") for power in range(-3, 2) for digit in (1, 2, 5)][:13]  # 1 mV to 10 V
_MOST_AT_ONCE = 250_000
_SPARE = 4  # samples that a window is rounded up by, at most
_RATES = sorted({depth / _DIVISIONS / scale for depth in _DEPTHS for scale in _TIME_SCALES})
RATES = tuple(float(f"{rate:.6g}") for rate in _RATES if rate <= _FASTEST * (1 + 1e-9))
"""Sample rates it has [Hz]: 5, 12.5, 25, 50, 125 ... 250e6."""


class RigolDS1000Z(LinkedInstrument):
    """A `drivers.roles.Digitizer` with inputs ch1 to ch4."""

    expected = r"rigol[^,]*,\s*(DS|MSO)1\d\d\dZ"
    joins_commands = False  # the guide says nothing about several commands in a message

    def __init__(self, name: str, address: str, **link: Any) -> None:
        super().__init__(name, address, **link)
        self.inputs: Mapping[str, InputSpec] = dict.fromkeys(_INPUTS, InputSpec(8, _DEPTHS[-1] - _SPARE, RATES))
        self._window: tuple[Window, str, float] | None = None
        self._rate = 0.0
        self._armed = self._complete = False
        self.add_parameter("trigger_status", get_cmd=":TRIG:STAT?", set_cmd=False, snapshot_get=False)
        for key, words, unit, label in (
            ("time_scale", ":TIM:MAIN:SCAL", "s", "Time of a division"),
            ("time_offset", ":TIM:MAIN:OFFS", "s", "Middle of the screen after the trigger"),
            ("sample_rate", ":ACQ:SRAT", "Hz", "Sample rate"),
            ("trigger_level", ":TRIG:EDG:LEV", "V", "Trigger level"),
        ):
            self.add_parameter(key, label=label, unit=unit, get_cmd=f"{words}?", get_parser=float, set_cmd=False)
        for number, own in enumerate(_INPUTS, start=1):
            self.add_submodule(own, RigolDS1000ZChannel(self, own, number))

    def prepare(self, window: Window, trigger: str, level: float) -> float:
        """Set time base, ranges and trigger (an input, at `level` [V], rising); the rate it took [Hz]."""
        if self._window == (window, trigger, level):
            return self._rate
        if trigger not in _INPUTS:
            raise ProgramError(f"{self.name} triggers on {', '.join(_INPUTS)}, not on {trigger!r}: wire it to one")
        depth, scale = self._time_base(window)
        ranges = {trigger: (-2 * abs(level), 2 * abs(level))} | dict(window.ranges)
        vertical = [item for own, pair in ranges.items() for item in self._vertical(own, pair)]
        middle = window.start - 1 / window.rate + _DIVISIONS / 2 * scale
        with self.link.exclusive():
            self._lost()
            self._remembers = {}
            self._do(
                *(f":CHAN{number}:DISP ON" for number in range(1, 5)),
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
            kept = (":TIM:MAIN:SCAL?", ":TIM:MAIN:OFFS?", ":TRIG:SWE?", ":TRIG:EDG:SOUR?", ":TRIG:EDG:LEV?")
            rate, took, *answers = self._do(":ACQ:SRAT?", ":TIM:MAIN:SCAL?", *kept)
            self._require("time base", float(took), scale)
            self._remembers = dict(zip(kept, answers, strict=True))
            self._rate, self._window = float(rate), (window, trigger, level)
        return self._rate

    def arm(self) -> None:
        """Wait for one trigger; returns when what lies before it is in memory."""
        if self._window is None:
            raise InstrumentError(f"{self.name} does not know what to record: prepare it before it is armed")
        window = self._window[0]
        with self.link.exclusive():
            self._armed = self._complete = False
            self._do(":SING")
            self._armed = True
        seen = f"{self.name} does not begin to wait for a trigger"
        # STOP may still be the record before: only what waits is armed.
        wait_until(lambda: self._status() in ("WAIT", "TD"), 2 * max(-window.start, 0.0) + 5.0, seen)

    def wait(self, seconds: float) -> None:
        """Until the record is complete; DeadlineError if no trigger came by then."""
        if not self._armed:
            raise InstrumentError(f"{self.name} waits for no trigger: arm it first")
        wait_until(lambda: self._status() == "STOP", seconds, f"{self.name} has not seen a trigger, or not to the end,")
        with self.link.exclusive():
            self._complete = self._armed

    def read(self, terminals: Sequence[str]) -> dict[str, Record]:
        """The records of these inputs."""
        return {own: self._read(own) for own in terminals}

    def _status(self) -> str:
        if not self._armed:
            raise InstrumentError(f"{self.name} has been made safe: prepare and arm it again")
        return self.link.query(":TRIG:STAT?")

    def _read(self, own: str) -> Record:
        if own not in _INPUTS:
            raise ProgramError(f"{self.name} has no input {own!r}; it has {', '.join(_INPUTS)}")
        with self.link.exclusive():
            if not self._complete or self._window is None:
                raise InstrumentError(f"{self.name} has no complete record: arm it, and wait for its end")
            window = self._window[0]
            preamble, source = self._do(f":WAV:SOUR CHAN{own[2:]}", ":WAV:PRE?", ":WAV:SOUR?")
            _, kind, _, _, dt, origin, reference, step, zero, middle = (float(word) for word in preamble.split(","))
            if kind != 2 or source != f"CHAN{own[2:]}":
                raise InstrumentError(f"{self.name} would send another record than that of {own}", answer=preamble)
            begin = origin - reference * dt
            first = max(math.floor((window.start - begin) / dt + 1e-6), 0)
            count = math.ceil(window.duration / dt - 1e-6) + 2
            parts = [
                self._part(start, min(_MOST_AT_ONCE, first + count - start))
                for start in range(first, first + count, _MOST_AT_ONCE)
            ]
        codes = np.frombuffer(b"".join(parts), np.uint8).astype(np.int32)
        clipped = int(np.count_nonzero((codes == 0) | (codes == 255)))
        return Record(codes, step, -(zero + middle) * step, begin + first * dt, dt, clipped)

    def _part(self, start: int, count: int) -> bytes:
        """Samples from `start` (from 0) on."""
        limits = [f":WAV:STAR {start + 1}", f":WAV:STOP {start + count}"]
        begin, end = self._do(*limits, ":WAV:STAR?", ":WAV:STOP?")
        if (int(float(begin)), int(float(end))) != (start + 1, start + count):
            raise InstrumentError(f"{self.name} would send samples {begin} to {end}, not {limits}", answer=end)
        return self.link.query_block(":WAV:DATA?", length=count)

    def _time_base(self, window: Window) -> tuple[int, float]:
        """Memory depth [samples] and time of a division [s] of a window."""
        for depth in _DEPTHS:
            scale = depth / _DIVISIONS / window.rate
            exact = min(_TIME_SCALES, key=lambda known: abs(known - scale))
            fits = window.duration * window.rate + _SPARE <= depth
            if fits and math.isclose(exact, scale, rel_tol=1e-4) and window.rate <= _FASTEST * (1 + 1e-6):
                return depth, exact
        raise LimitError(
            f"{self.name} cannot record {window.duration:.3g} s at {window.rate:.6g} samples a second; it has the "
            f"rates of `inputs` and a memory of {_DEPTHS[-1]} samples; nothing was sent"
        )

    def _vertical(self, own: str, pair: tuple[float, float]) -> list[str]:
        """Scale and offset of an input that has to show a range [V]."""
        if own not in _INPUTS:
            raise ProgramError(f"{self.name} has no input {own!r}; it has {', '.join(_INPUTS)}")
        low, high = pair
        scale = next((scale for scale in _SCALES if _USED * scale >= (high - low) * (1 - 1e-9)), None)
        if scale is None or not high > low:
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


class RigolDS1000ZChannel(InstrumentChannel):
    """One input; set by `RigolDS1000Z.prepare`."""

    def __init__(self, parent: RigolDS1000Z, own: str, number: int) -> None:
        super().__init__(parent, own)
        self.add_parameter(
            "scale", label="Division", unit="V", get_cmd=f":CHAN{number}:SCAL?", get_parser=float, set_cmd=False
        )
        self.add_parameter(
            "offset", label="Offset", unit="V", get_cmd=f":CHAN{number}:OFFS?", get_parser=float, set_cmd=False
        )
        self.add_parameter("coupling", label="Coupling", get_cmd=f":CHAN{number}:COUP?", set_cmd=False)
