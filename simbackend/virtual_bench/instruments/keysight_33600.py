"""Waveform generators of the Keysight 33500B and 33600A series, as 33622A, 33522B, or with one channel 33611A, 33511B.

Follows: Keysight Trueform Series Operating and Service Guide (33500-90911), SCPI programming reference.  Two channels
of arbitrary waveforms: names in volatile memory, bursts, triggers, limits, load, sync and trigger outputs.

An output is its amplitude and offset at the declared load, behind 50 Ohm; into another load it is another voltage,
twice as much if 50 Ohm were declared and nothing is connected.  A burst idles at its first sample, which the user
makes the safe value; an output that is off gives 0 V.  Waveforms hold each sample (FUNC:ARB:FILT changes nothing).
Of the other shapes SIN, SQU, RAMP and DC are played; frequency sweeps, modulation, gated bursts are not there.  APPLy
and the like stand in `keysight_shorthand`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from labrhel.arrays import Array
from simbackend.virtual_bench.instruments.arb_memory import CODES, FLOATS, ArbMemory, built_in
from simbackend.virtual_bench.instruments.instrument import channels
from simbackend.virtual_bench.instruments.keysight_shorthand import Shorthand
from simbackend.virtual_bench.scpi.messages import Unit
from simbackend.virtual_bench.scpi.scpi import Answer, ScpiError, command
from simbackend.virtual_bench.scpi.settings import Flag, Real, Setting, Text, Whole, Word
from simbackend.virtual_bench.world.world import World

BOTH: tuple[int, ...] = (1, 2)
_OPEN = 9.9e37
_GRADES = {"6": (2**13 - 1, 1e9, 32), "5": (2**15 - 1, 250e6, 8)}  # largest code, Sa/s, shortest arb; by series
_SOURCE = 50.0  # Ohm
_OF_TWO = re.compile(r"^[A-Za-z]+2(:|\?|$)")  # OUTP2, SOUR2:VOLT


class VirtualKeysight33600(Shorthand):
    """See the module.  `name` is the instrument on the bench; `latency` [s] from a trigger to the first sample."""

    maker, models, firmware = "Agilent Technologies", ("33622A", "33522B", "33611A", "33511B"), "A.02.03-3.15-03-64-02"
    outputs, inputs, plays = (*channels(2), "sync", "trigger_out"), ("trigger_in",), True

    settings: ClassVar[Sequence[Setting]] = (
        Word("[SOURce#:]FUNCtion", "shape", "SIN", BOTH, "SINusoid SQUare TRIangle RAMP PULSe PRBS NOISe ARBitrary DC"),
        Real("[SOURce#:]FREQuency", "frequency", 1e3, BOTH, 1e-6, 120e6),
        Word("[SOURce#:]FREQuency:MODE", "frequency_mode", "CW", BOTH, "CW LIST SWEep FIXed"),
        Real("[SOURce#:]PHASe", "phase", 0.0, BOTH, -360.0, 360.0),
        Real("[SOURce#:]FUNCtion:RAMP:SYMMetry", "symmetry", 100.0, BOTH, 0.0, 100.0),
        Real("[SOURce#:]FUNCtion:SQUare:DCYCle", "duty", 50.0, BOTH, 0.01, 99.99),
        Real("[SOURce#:]FUNCtion:PULSe:WIDTh", "pulse_width", 1e-4, BOTH, 5e-9, 1e6),
        Word("[SOURce#:]FUNCtion:PULSe:HOLD", "pulse_hold", "WIDT", BOTH, "WIDTh DCYCle"),
        Real("[SOURce#:]FUNCtion:PULSe:TRANsition[:BOTH]", "pulse_edges", 1e-8, BOTH, 2.9e-9, 1e-6),
        Real("[SOURce#:]VOLTage[:LEVel][:IMMediate][:AMPLitude]", "amplitude", 0.1, BOTH, 1e-3, 20.0),
        Real("[SOURce#:]VOLTage[:LEVel][:IMMediate]:OFFSet", "offset", 0.0, BOTH, -10.0, 10.0),
        Word("[SOURce#:]VOLTage:UNIT", "unit", "VPP", BOTH, "VPP VRMS DBM"),
        Real("[SOURce#:]VOLTage:LIMit:HIGH", "limit_high", 10.0, BOTH, -10.0, 10.0),
        Real("[SOURce#:]VOLTage:LIMit:LOW", "limit_low", -10.0, BOTH, -10.0, 10.0),
        Flag("[SOURce#:]VOLTage:LIMit:STATe", "limited", False, BOTH),
        Real("[SOURce#:]FUNCtion:ARBitrary:SRATe", "rate", 40e3, BOTH, 1e-6, 1e9),
        Word("[SOURce#:]FUNCtion:ARBitrary:FILTer", "filter", "NORM", BOTH, "NORMal STEP OFF"),
        Word("[SOURce#:]FUNCtion:ARBitrary:ADVance", "advance", "SRAT", BOTH, "TRIGger SRATe"),
        Flag("[SOURce#:]BURSt:STATe", "burst", False, BOTH),
        Word("[SOURce#:]BURSt:MODE", "burst_mode", "TRIG", BOTH, "TRIGgered GATed"),
        Whole("[SOURce#:]BURSt:NCYCles", "cycles", 1.0, BOTH, 1.0, _OPEN),
        Real("[SOURce#:]BURSt:PHASe", "burst_phase", 0.0, BOTH, -360.0, 360.0),
        Word("[SOURce#:]BURSt:GATE:POLarity", "gate", "NORM", BOTH, "NORMal INVerted"),
        Real("[SOURce#:]BURSt:INTernal:PERiod", "period", 0.01, BOTH, 1e-6, 8e3),
        Flag("OUTPut#[:STATe]", "output", False, BOTH),
        Real("OUTPut#:LOAD", "load", 50.0, BOTH, 1.0, _OPEN),
        Word("OUTPut#:POLarity", "polarity", "NORM", BOTH, "NORMal INVerted"),
        Flag("OUTPut:SYNC[:STATe]", "sync", True),
        Word("OUTPut:SYNC:SOURce", "sync_source", "CH1", (0,), "CH1 CH2"),
        Flag("OUTPut:TRIGger[:STATe]", "trigger_out", False),
        Word("TRIGger#:SOURce", "trigger", "IMM", BOTH, "IMMediate EXTernal TIMer BUS"),
        Word("TRIGger#:SLOPe", "slope", "POS", BOTH, "POSitive NEGative"),
        Whole("TRIGger#:COUNt", "count", 1.0, BOTH, 1.0, 1e6),
        Real("TRIGger#:DELay", "delay", 0.0, BOTH, 0.0, 1e3),
        Real("TRIGger#:TIMer", "timer", 1e-3, BOTH, 1e-6, 8e3),
        Word("ROSCillator:SOURce", "reference", "INT", (0,), "INTernal EXTernal"),
        Flag("ROSCillator:SOURce:AUTO", "reference_auto", True),
        Word("FORMat:BORDer", "order", "NORM", (0,), "NORMal SWAPped"),
        Text("DISPlay:TEXT", "text", ""),
    )

    def __init__(self, world: World, name: str, identity: Sequence[str], *, latency: float = 0.0) -> None:
        self._latency = latency
        self._full_scale, self._fastest, self._shortest = _GRADES[identity[1][2]]
        self._busy_until = 0.0
        super().__init__(world, name, identity)
        world.listen(f"{name}.trigger_in", 0.0, self._external)

    def _run(self, header: str, unit: Unit) -> Answer:
        """A model with an odd number has one channel, and knows no header of another."""
        if self.identity[1][4] in "13579" and _OF_TWO.search(header):
            raise ScpiError(-114)
        return super()._run(header, unit)

    def restore(self) -> None:
        """Outputs off, volatile memory empty."""
        super().restore()
        self._arbs = {channel: ArbMemory(self._shortest) for channel in BOTH}
        for channel in BOTH:
            self._output(channel)

    def complete(self) -> None:
        """Wait for the end of bursts."""
        self._world.clock.wait_until(self._busy_until, lambda: self.cancelled)

    def is_busy(self) -> bool:
        """True while a burst is going on."""
        return self._world.clock.now() < self._busy_until

    def changed(self, key: str, place: int, before: Any) -> None:
        """Refuse what the limits or the amplifier do not allow; bring what is allowed to the output."""
        if key == "load":  # the output stays as it is, and is called by other numbers
            after = self._of(place, "load")
            ratio = (after / (after + _SOURCE)) / (before / (before + _SOURCE))
            for name in ("amplitude", "offset", "limit_high", "limit_low"):
                self.values[name, place] *= ratio
        for channel in BOTH if place == 0 else (place,):
            self._check(channel, key)
            if key not in ("text", "order", "trigger", "sync", "trigger_out"):
                self._output(channel)

    def change(self, channel: int, wanted: Mapping[str, Any]) -> None:
        """All of these settings, or none; the amplifier and the limits judge what comes of them together."""
        before = {key: self.values[key, channel] for key in wanted}
        specs = {item.key: item for item in self.settings}
        for key, value in wanted.items():
            spec = specs[key]
            if isinstance(spec, Real) and not spec.low <= value <= spec.high:
                raise ScpiError(-222)
        self.values |= {(key, channel): value for key, value in wanted.items()}
        try:
            for key in ("amplitude", "rate"):
                self._check(channel, key)
        except ScpiError:
            self.values |= {(key, channel): value for key, value in before.items()}
            raise
        self._output(channel)

    def _of(self, channel: int, key: str) -> float:
        return self.values[key, channel]

    def _check(self, channel: int, key: str) -> None:
        if key == "rate" and self._of(channel, "rate") > self._fastest:
            raise ScpiError(-222)
        if key not in ("amplitude", "offset", "limit_high", "limit_low", "limited"):
            return
        swing = 0.0 if self.values["shape", channel] == "DC" else self._of(channel, "amplitude") / 2
        high, low = self._of(channel, "offset") + swing, self._of(channel, "offset") - swing
        reach = 10.0 * self._of(channel, "load") / (self._of(channel, "load") + _SOURCE)
        if max(high, -low) > reach * (1 + 1e-9):
            raise ScpiError(-221, "amplitude and offset exceed what the output can give")
        if self._of(channel, "limited") and not (
            self._of(channel, "limit_low") - 1e-9 <= low and high <= self._of(channel, "limit_high") + 1e-9
        ):
            raise ScpiError(-221, "amplitude and offset exceed the voltage limits")

    # ----- what reaches the output

    def _volts(self, channel: int) -> tuple[Array, float]:
        """One period [V without load], and its sample rate [Hz]."""
        name = self.values["shape", channel]
        if name == "ARB":
            shape, rate = self._arbs[channel].samples, self._of(channel, "rate")
        else:
            shape = built_in(name, self._of(channel, "duty") / 100)
            rate = self._of(channel, "frequency") * len(shape)
        sign = 1 if self.values["polarity", channel] == "NORM" else -1
        codes, load = np.rint(shape * self._full_scale) / self._full_scale, self._of(channel, "load")
        volts = self._of(channel, "offset") + codes * self._of(channel, "amplitude") / 2
        return sign * volts * (load + _SOURCE) / load, rate

    def _output(self, channel: int) -> None:
        """What the output does from now on."""
        now, track = self._world.clock.now(), self._world.output(f"{self._name}.ch{channel}")
        if not self._of(channel, "output"):
            if track.still_from > now or track.at(now) != 0:
                with self._world.event(now):
                    track.hold(now, 0.0)
            return
        volts, rate = self._volts(channel)
        if self._of(channel, "burst") or not np.ptp(volts):
            if track.still_from > now or track.at(now) != volts[0]:
                with self._world.event(now):
                    track.hold(now, float(volts[0]))
        else:
            with self._world.event(now):
                track.play(now, volts, rate, math.inf, 0.0)

    def _start(self, channels: Sequence[int], moment: float) -> None:
        """Bursts of some channels, triggered at `moment`."""
        with self._world.event(moment, fires=True):
            for channel in channels:
                begin = moment + self._of(channel, "delay") + self._latency
                (volts, rate), cycles = self._volts(channel), self._of(channel, "cycles")
                end = begin + len(volts) * (math.inf if cycles >= _OPEN else cycles) / rate
                if self._of(channel, "output"):
                    self._world.output(f"{self._name}.ch{channel}").play(
                        begin, volts, rate, math.inf if math.isinf(end) else cycles, float(volts[0])
                    )
                self._busy_until = max(self._busy_until, end if math.isfinite(end) else begin)
                if self.values["sync", 0] and self.values["sync_source", 0] == f"CH{channel}":
                    line = self._world.line(f"{self._name}.sync")
                    line.play(begin, np.ones(1), 1 / max(end - begin, 1e-9), 1, 0.0)
            if self.values["trigger_out", 0]:
                self._world.pulse(f"{self._name}.trigger_out", moment)

    def _armed(self, source: str, channels: Sequence[int] = BOTH) -> list[int]:
        return [c for c in channels if self._of(c, "burst") and self.values["trigger", c] == source]

    def _external(self, moment: float) -> None:
        channels = self._armed("EXT")
        if channels:
            self._start(channels, moment)

    # ----- commands

    @command("*TRG")
    def _bus_trigger(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channels = self._armed("BUS")
        if not channels:
            raise ScpiError(-211)
        self._start(channels, self._world.clock.now())
        return None

    @command("TRIGger#[:IMMediate]")
    def _trigger(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channel = self.channel(suffixes)
        if not self._of(channel, "burst"):
            raise ScpiError(-211)
        self._start([channel], self._world.clock.now())
        return None

    @command("ABORt")
    def _abort(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._busy_until = self._world.clock.now()
        for channel in BOTH:
            self._output(channel)
        return None

    @command("[SOURce#:]DATA:ARBitrary")
    def _floats(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._arbs[self.channel(suffixes)].store(words, FLOATS, swapped=self.values["order", 0] == "SWAP")
        return None

    @command("[SOURce#:]DATA:ARBitrary:DAC")
    def _codes(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._arbs[self.channel(suffixes)].store(words, CODES, swapped=self.values["order", 0] == "SWAP")
        return None

    @command("[SOURce#:]DATA:VOLatile:CLEar")
    def _forget(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._arbs[self.channel(suffixes)].clear()
        self._output(self.channel(suffixes))
        return None

    @command("[SOURce#:]DATA:VOLatile:CATalog?")
    def _catalog(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return ",".join(f'"{name}"' for name in self._arbs[self.channel(suffixes)].names) or '""'

    @command("[SOURce#:]DATA:VOLatile:FREE?")
    def _free(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return f"{self._arbs[self.channel(suffixes)].free:+d}"

    @command("[SOURce#:]FUNCtion:ARBitrary")
    def _choose(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._arbs[self.channel(suffixes)].choose(words)
        self._output(self.channel(suffixes))
        return None

    @command("[SOURce#:]FUNCtion:ARBitrary?")
    def _chosen_query(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return f'"{self._arbs[self.channel(suffixes)].chosen}"'

    @command("[SOURce#:]FUNCtion:ARBitrary:POINts?")
    def _points(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        arbs = self._arbs[self.channel(suffixes)]
        return f"{len(arbs.samples) if arbs.chosen else 0:+d}"

    @command("*OPT?")
    def _options(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return "0"

    @command("ROSCillator:SOURce:CURRent?")
    def _reference(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.values["reference", 0]

    @command("PHASe:SYNChronize", "[SOURce#:]PHASe:SYNChronize", "DISPlay:TEXT:CLEar", "SYSTem:BEEPer[:IMMediate]")
    def _nothing(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return None

    def channel(self, suffixes: tuple[int, ...]) -> int:
        """1 where the header names none."""
        channel = suffixes[0] if suffixes else 1
        if channel not in BOTH:
            raise ScpiError(-114)
        return channel
