"""Waveform generators of the Keysight 33500B and 33600A series (two channels).

Speaks the commands of the Trueform Series Operating and Service Guide (33500-90911), chapter SCPI.  Not yet tried on
the physical instrument.

A burst is an arbitrary waveform in volatile memory, under a new name each time, played once a trigger.  The output
idles at its first sample, which therefore has to be the idle level; that is also the offset where the limits allow it,
so neither a new amplitude nor the next burst moves an output that idles.  Memory is cleared when it is full, with the
output off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qcodes.instrument import InstrumentChannel
from qcodes.validators import Bool

from drivers.instruments._bursts import Plan, plan_burst
from drivers.instruments.linked import LinkedInstrument, Ranges, closed_after, ranges_of
from drivers.roles import Burst, OutputSpec
from drivers.transport import LinkError
from labrhel.arrays import Array
from labrhel.errors import ConfigurationError, DeadlineError, InstrumentError, ProgramError

CHANNELS = (1, 2)
_OUTPUTS: tuple[str, ...] = ("ch1", "ch2")
_SOURCE = 50.0  # Ohm
_SWING = 10.0  # V without load
_OPEN = 9.9e37  # how SCPI writes an infinite load
_TRIGGERS = {"external": "EXT", "software": "BUS"}


@dataclass(frozen=True, slots=True)
class _Grade:
    """Bits, memory [samples], shortest waveform [samples], fastest rate without filter [Hz]."""

    bits: int
    memory: int
    shortest: int
    fastest: float


_GRADES = {"5": _Grade(16, 1_000_000, 8, 62.5e6), "6": _Grade(14, 4_000_000, 32, 250e6)}


class Keysight33600(LinkedInstrument):
    """A `drivers.roles.Generator` with outputs ch1 and ch2.

    `load` [Ohm] is what the outputs are connected to, for both or by terminal; `limits` [V at that load] what they may
    ever play, also set in the instrument; `reference`: "external" for units in step by one 10 MHz clock, "internal",
    or None to leave it; `latency` [s] from a trigger to the first sample.
    """

    expected = r"(agilent|keysight)[^,]*,\s*33[56]\d\d[AB]"

    def __init__(
        self,
        name: str,
        address: str,
        *,
        load: float | Mapping[str, float] = math.inf,
        limits: Ranges = None,
        reference: str | None = None,
        latency: float = 0.0,
        **link: Any,
    ) -> None:
        super().__init__(name, address, **link)
        try:
            self._grade = _GRADES[self.identity.split(",")[1].strip()[2]]
            loads = dict.fromkeys(_OUTPUTS, load) if not isinstance(load, Mapping) else dict(load)
            if set(loads) != set(_OUTPUTS) or not all(value >= 1 for value in loads.values()):
                raise ConfigurationError(f"a load has 1 Ohm to infinity, one for both or for each output, not {load}")
            if reference not in (None, "internal", "external"):
                raise ConfigurationError(f'the reference is "internal" or "external", not {reference!r}')
            reach = {own: _SWING / (1 + _SOURCE / ohm) for own, ohm in loads.items()}
            self._limits = ranges_of(limits, {own: (-volts, volts) for own, volts in reach.items()})
        except BaseException:
            closed_after(self)
            raise
        self._loads, self._reference = loads, reference
        self._smallest = {own: 2e-3 / (1 + _SOURCE / ohm) for own, ohm in loads.items()}  # V peak to peak
        self._free: dict[int, int] = {}  # samples of memory, of channels that have been set up
        self._offsets: dict[int, float] = {}
        self._idles: dict[int, float] = {}
        self._loaded: dict[int, float] = {}  # idle levels
        self._count = 0
        self._armed = ""
        self.outputs: Mapping[str, OutputSpec] = {
            own: OutputSpec(
                *self._limits[own],
                bits=self._grade.bits,
                memory=self._grade.memory,
                rates=(1e-6, self._grade.fastest),
                latency=latency,
            )
            for own in _OUTPUTS
        }
        self.reference = self.add_parameter(
            "reference",
            label="Clock reference",
            get_cmd=":ROSC:SOUR?",
            set_cmd=":ROSC:SOUR {}",
            val_mapping={"internal": "INT", "external": "EXT"},
        )
        self.sync = self.add_parameter(
            "sync", label="Sync output", get_cmd=":OUTP:SYNC?", get_parser=_flag, set_cmd=":OUTP:SYNC {:d}", vals=Bool()
        )
        for number in CHANNELS:
            self.add_submodule(f"ch{number}", Keysight33600Channel(self, number))

    def load(self, bursts: Mapping[str, Burst]) -> dict[str, Array]:
        """Upload, and leave outputs that are in no burst off; returns the samples [V] as its converters have them."""
        if unknown := [own for own in bursts if own not in self.outputs]:
            raise ProgramError(f"{self.name} has no output {unknown[0]!r}; it has ch1 and ch2")
        plans = {
            own: plan_burst(f"{self.name}.{own}", burst, self.outputs[own], self._grade.shortest, self._smallest[own])
            for own, burst in bursts.items()
        }
        with self.link.exclusive():
            self._forget()
            played = {own: self._upload(int(own[2:]), plan)[: len(bursts[own].samples)] for own, plan in plans.items()}
            if left := [own for own in self.outputs if own not in plans]:
                self._do(*(f":OUTP{own[2:]} OFF" for own in left))
            self._loaded = {int(own[2:]): burst.idle for own, burst in bursts.items()}
            self._idles = dict(self._loaded)
        return played

    def arm(self, *, source: str) -> None:
        """Outputs on, idling, waiting for a trigger from `source`: "external" or "software"."""
        if source not in _TRIGGERS:
            raise ProgramError(f'a trigger comes from "external" or "software", not {source!r}')
        with self.link.exclusive():
            if not self._loaded:
                raise InstrumentError(f"{self.name} has nothing to play: load it before it is armed")
            first, *_ = self._loaded
            commands = [f":OUTP:TRIG {int(source == 'software')}", f":OUTP:SYNC:SOUR CH{first}", ":OUTP:SYNC ON"]
            for number in self._loaded:
                commands += [f":TRIG{number}:SOUR {_TRIGGERS[source]}", f":TRIG{number}:SLOP POS", f":OUTP{number} ON"]
            self._do(*commands)
            self._armed = source

    def fire(self) -> None:
        """Trigger it by software; its trigger output triggers the others."""
        with self.link.exclusive():
            if self._armed != "software":
                raise InstrumentError(f"{self.name} does not wait for a software trigger: arm it so first")
            self._do("*TRG")

    def switch(self, number: int, *, on: bool) -> None:
        """Switch an output; on only if it has something to idle at."""
        with self.link.exclusive():
            if on and number not in self._loaded:
                raise InstrumentError(f"{self.name}.ch{number} has nothing to play: load it before it is switched on")
            self._do(f":OUTP{number} {int(on)}")

    def wait(self, seconds: float) -> None:
        """Until the burst has ended; DeadlineError if it has not by then."""
        try:
            self.link.query("*OPC?", repeat=False, timeout=seconds)
        except LinkError as error:
            if not isinstance(error.__cause__, TimeoutError):
                raise
            raise DeadlineError(f"{self.name}: the burst has not ended within {seconds:g} s; make it safe") from error

    def _upload(self, number: int, plan: Plan) -> Array:
        if self._free.get(number, 0) < len(plan.codes):
            self._set_up(number)
        free, source = self._free.pop(number), f":SOUR{number}"  # a failure in between: set up anew
        self._remembers.pop(f"{source}:FUNC:ARB?", None)
        self._count += 1
        name = f"L{self._count}"
        volts = [f"{source}:VOLT {plan.amplitude:.9g}"]
        if self._offsets[number] != plan.offset:  # nothing in between is beyond the limits
            volts = [f"{source}:VOLT MIN", f"{source}:VOLT:OFFS {plan.offset:.9g}", *volts]
        self.link.write_block(f":TRIG1:SOUR BUS;:TRIG2:SOUR BUS;{source}:DATA:ARB:DAC {name},", plan.block)
        offset, amplitude, rate, points, chosen = self._do(
            f"{source}:FUNC:ARB {name}",
            f"{source}:FUNC:ARB:SRAT {plan.rate:.12g}",
            *volts,
            f"{source}:VOLT:OFFS?",
            f"{source}:VOLT?",
            f"{source}:FUNC:ARB:SRAT?",
            f"{source}:FUNC:ARB:POIN?",
            f"{source}:FUNC:ARB?",
        )
        has = int(float(points)) == len(plan.codes) and chosen.strip('"').upper() == name
        if not has or not math.isclose(float(rate), plan.rate, rel_tol=1e-6):
            raise InstrumentError(
                f"{self.name}.ch{number} has {points} points of {chosen} at {rate} samples a second instead of "
                f"{len(plan.codes)} of {name} at {plan.rate:g}: load it again",
                answer=chosen,
            )
        self._remembers[f"{source}:FUNC:ARB?"] = chosen
        self._free[number], self._offsets[number] = free - len(plan.codes), plan.offset
        return plan.played(float(amplitude), float(offset), self._grade.bits)

    def _set_up(self, number: int) -> None:
        """With the output off: empty memory, load, limits, bursts of one cycle."""
        own, source = f"ch{number}", f":SOUR{number}"
        low, high = self._limits[own]
        load = "INF" if math.isinf(self._loads[own]) else f"{self._loads[own]:.9g}"
        self._offsets[number] = min(max(0.0, low + self._smallest[own]), high - self._smallest[own])
        reference = [] if self._reference is None else [f":ROSC:SOUR {self._reference[:3].upper()}"]
        (free,) = self._do(
            f":OUTP{number} OFF",
            *reference,
            ":FORM:BORD NORM",
            f"{source}:VOLT:LIM:STAT OFF",
            f"{source}:BURS:STAT OFF",
            f"{source}:FUNC SIN",
            f"{source}:DATA:VOL:CLE",
            f"{source}:VOLT:UNIT VPP",
            f"{source}:VOLT MIN",
            f"{source}:VOLT:OFFS 0",
            f":OUTP{number}:LOAD {load}",
            f":OUTP{number}:POL NORM",
            f"{source}:VOLT:OFFS {self._offsets[number]:.9g}",
            f"{source}:VOLT:LIM:HIGH {high:.9g}",
            f"{source}:VOLT:LIM:LOW {low:.9g}",
            f"{source}:VOLT:LIM:STAT ON",
            f"{source}:FUNC ARB",
            f"{source}:FUNC:ARB:FILT OFF",
            f"{source}:FUNC:ARB:ADV SRAT",
            f"{source}:BURS:MODE TRIG",
            f"{source}:BURS:NCYC 1",
            f"{source}:BURS:PHAS 0",
            f":TRIG{number}:DEL 0",
            f":TRIG{number}:SOUR BUS",
            f"{source}:BURS:STAT ON",
            f"{source}:DATA:VOL:FREE?",
        )
        self._free[number] = int(float(free))

    def _make_safe(self) -> None:
        """Outputs off; those that idle at another level than 0 V stay there, with their trigger disabled."""
        self._each(f":OUTP{number} OFF" for number in CHANNELS if not self._idles.get(number))
        answers = self._do(
            ":TRIG1:SOUR BUS", ":TRIG2:SOUR BUS", ":ABOR", *(f":OUTP{number}?" for number in CHANNELS)
        )
        for number, answer in zip(CHANNELS, answers, strict=True):
            if _flag(answer) and not self._idles.get(number):
                raise InstrumentError(f"{self.name}.ch{number} does not switch off", answer=answer)

    def _forget(self) -> None:
        self._loaded, self._armed = {}, ""

    def _lost(self) -> None:
        self._forget()
        self._free, self._idles = {}, {}


class Keysight33600Channel(InstrumentChannel):
    """One output; what it plays is set by `Keysight33600.load` alone."""

    def __init__(self, parent: Keysight33600, number: int) -> None:
        super().__init__(parent, f"ch{number}")
        self._box, self._number = parent, number
        self.output = self.add_parameter(
            "output",
            label="Output",
            get_cmd=f":OUTP{number}?",
            get_parser=_flag,
            set_cmd=self._switch,
            vals=Bool(),
            docstring="Whether it is on; it can only be switched on when a burst is loaded.",
        )
        for key, words, unit, label in (
            ("amplitude", "VOLT", "V", "Amplitude, peak to peak"),
            ("offset", "VOLT:OFFS", "V", "Offset"),
            ("limit_low", "VOLT:LIM:LOW", "V", "Lowest voltage"),
            ("limit_high", "VOLT:LIM:HIGH", "V", "Highest voltage"),
            ("sample_rate", "FUNC:ARB:SRAT", "Hz", "Sample rate"),
        ):
            self.add_parameter(
                key, label=label, unit=unit, get_cmd=f":SOUR{number}:{words}?", get_parser=float, set_cmd=False
            )
        self.add_parameter(
            "load", label="Load", unit="Ohm", get_cmd=f":OUTP{number}:LOAD?", get_parser=_ohm, set_cmd=False
        )

    def _switch(self, on: bool) -> None:  # noqa: FBT001
        self._box.switch(self._number, on=on)


def _flag(answer: str) -> bool:
    return bool(int(answer))


def _ohm(answer: str) -> float:
    return math.inf if float(answer) >= _OPEN else float(answer)
