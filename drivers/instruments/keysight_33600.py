"""Waveform generators of the Keysight 33500B and 33600A series (one channel or two, as the model has).

Speaks the commands of the Trueform Series Operating and Service Guide (33500-90911), chapter SCPI.  Not yet tried on
the physical instrument.

A burst is an arbitrary waveform in volatile memory, under a new name each time, played once a trigger.  The output
idles at its first sample, which therefore has to be the idle level; that is also the offset where the limits allow it,
so neither a new amplitude nor the next burst moves an output that idles.  Memory is cleared when it is full, with the
output off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from qcodes.validators import Bool

from drivers.instruments._bursts import Plan, plan_burst
from drivers.instruments.answers import extended, flag, number, one_of, whole
from drivers.instruments.generator import Generator, GeneratorChannel
from drivers.instruments.linked import Ranges, Reading, asker, closed_after, require_within
from drivers.roles import Burst
from drivers.transport import LinkError
from labrhel.arrays import Array
from labrhel.errors import ConfigurationError, DeadlineError, InstrumentError, LimitError

_ODD = "13579"
_SMALLEST = 2e-3  # V peak to peak without load
_TRIGGERS = {"external": "EXT", "software": "BUS"}


@dataclass(frozen=True, slots=True)
class _Grade:
    """Bits, memory [samples], shortest waveform [samples], fastest rate without filter [Hz]."""

    bits: int
    memory: int
    shortest: int
    fastest: float


_GRADES = {"5": _Grade(16, 1_000_000, 8, 62.5e6), "6": _Grade(14, 4_000_000, 32, 250e6)}

_ASKED = ("VOLT:OFFS", "VOLT", "FUNC:ARB:SRAT", "FUNC:ARB:POIN", "FUNC:ARB")


class _Playing(NamedTuple):
    """Offset and amplitude [V], sample rate [Hz], points, and the name of the waveform: the answers to _ASKED."""

    offset: float
    amplitude: float
    rate: float
    points: int
    chosen: str


class Keysight33600(Generator[Plan]):
    """A `drivers.roles.Generator` with the outputs ch1 and ch2, or ch1 alone if its model ends in an odd number.

    `load` [Ohm] is what the outputs are connected to, for all or by terminal; `limits` [V at that load] what they may
    ever play, also set in the instrument; `reference`: "external" for units in step by one 10 MHz clock, "internal",
    or None to leave it; `latency` [s] from a trigger to the first sample.
    """

    # 33502A is an amplifier; the numbers that are left out do not exist.
    expected = r"(agilent|keysight)[^,]*,\s*33(5(09|1[0129]|2[0-2])[AB]|6[12][12]A)\b"
    swing = 10.0

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
            if reference not in (None, "internal", "external"):
                raise ConfigurationError(f'the reference is "internal" or "external", not {reference!r}')
            grade = self._grade
            rates = (1e-6, grade.fastest)
            self.add_outputs(load, limits, bits=grade.bits, memory=grade.memory, rates=rates, latency=latency)
        except BaseException:
            closed_after(self)
            raise
        self._reference = reference
        self._smallest = {
            own: _SMALLEST / (1 + self.resistance / ohm) for own, ohm in self._loads.items()
        }  # V peak to peak
        self._free: dict[str, int] = {}  # samples of memory, of outputs that have been set up
        self._offsets: dict[str, float] = {}
        self._count = 0
        self.reference = self.add_parameter(
            "reference",
            label="Clock reference",
            get_cmd=asker(self, ":ROSC:SOUR?", one_of("INT", "EXT")),
            set_cmd=":ROSC:SOUR {}",
            val_mapping={"internal": "INT", "external": "EXT"},
        )
        self.sync = self.add_parameter(
            "sync", label="Sync output", get_cmd=asker(self, ":OUTP:SYNC?", flag), set_cmd=":OUTP:SYNC {:d}",
            vals=Bool(),
        )  # fmt: skip
        for own in self.outs:
            self.add_submodule(own, GeneratorChannel(self, own))

    def fit(self, model: str) -> None:
        self._grade = _GRADES[model[2:3]]
        self.outs = ("ch1",) if model[4:5] in _ODD else ("ch1", "ch2")

    def plan(self, own: str, burst: Burst) -> Plan:
        where, spec = f"{self.name}.{own}", self.outputs[own]
        return plan_burst(where, burst, spec, self._grade.shortest, self._smallest[own])

    def upload(self, plans: Mapping[str, Plan]) -> dict[str, Array]:
        if not plans:
            return {}
        for own, plan in plans.items():
            if self._free.get(own, 0) < len(plan.codes):
                self._set_up(own)
        free = {own: self._free.pop(own) for own in plans}  # a failure in between: set up anew
        names = {own: f"L{self._count + number}" for number, own in enumerate(plans, start=1)}
        self._count += len(plans)
        for own in plans:
            self._remembers.pop(f":SOUR{own[2:]}:FUNC:ARB?", None)
        quiet = ";".join(self._untriggered())
        self._do_blocks(
            *((f"{quiet};:SOUR{own[2:]}:DATA:ARB:DAC {names[own]},", plan.block) for own, plan in plans.items())
        )
        chosen = [command for own, plan in plans.items() for command in self._choice(own, plan, names[own])]
        asked = [f":SOUR{own[2:]}:{what}?" for own in plans for what in _ASKED]
        answers = iter(self._do_as(_all_playing, *chosen, *asked))
        played = {own: self._required(own, plan, names[own], next(answers)) for own, plan in plans.items()}
        for own, plan in plans.items():
            self._free[own], self._offsets[own] = free[own] - len(plan.codes), plan.offset
        return played

    def arm_outputs(self, source: str) -> None:
        first, *_ = self._loaded
        commands = [
            f":OUTP:TRIG {'1' if source == 'software' else '0'}",
            f":OUTP:SYNC:SOUR {first.upper()}",
            ":OUTP:SYNC ON",
        ]
        for own in self._loaded:
            number = own[2:]
            commands += [f":TRIG{number}:SOUR {_TRIGGERS[source]}", f":TRIG{number}:SLOP POS", f":OUTP{number} ON"]
        self._do(*commands)

    def trigger(self) -> None:
        self._do("*TRG")

    def switch_command(self, own: str, *, on: bool) -> str:
        return f":OUTP{own[2:]} {'1' if on else '0'}"

    def output_question(self, own: str) -> str:
        return f":OUTP{own[2:]}?"

    def output_readings(self, own: str) -> Sequence[Reading]:
        source = f":SOUR{own[2:]}"
        return (
            Reading(
                "amplitude",
                f"{source}:VOLT?",
                "Amplitude, peak to peak",
                "V",
                setter=lambda volts: self._set_volts(own, amplitude=volts),
            ),
            Reading(
                "offset", f"{source}:VOLT:OFFS?", "Offset", "V", setter=lambda volts: self._set_volts(own, offset=volts)
            ),
            Reading("limit_low", f"{source}:VOLT:LIM:LOW?", "Lowest voltage", "V"),
            Reading("limit_high", f"{source}:VOLT:LIM:HIGH?", "Highest voltage", "V"),
            Reading("sample_rate", f"{source}:FUNC:ARB:SRAT?", "Sample rate", "Hz"),
            Reading("load", f":OUTP{own[2:]}:LOAD?", "Load", "Ohm", extended, lambda ohm: self._set_load(own, ohm)),
        )

    def _set_volts(self, own: str, *, amplitude: float | None = None, offset: float | None = None) -> None:
        """Of what is loaded, until the next burst is; LimitError if its ends would lie outside the limits."""
        source = f":SOUR{own[2:]}"
        with self.link.exclusive():
            has, at = self._do_as(
                lambda texts: [number(text) for text in texts],
                f"{source}:VOLT:UNIT VPP", f"{source}:VOLT?", f"{source}:VOLT:OFFS?",
            )  # fmt: skip
            half, middle = (has if amplitude is None else amplitude) / 2, at if offset is None else offset
            for volts in (middle - half, middle + half):
                require_within(f"{self.name}.{own}", volts, self._limits[own])
            if own in self._offsets:
                self._offsets[own] = math.nan  # whatever the next burst needs is another one
            self._do(f"{source}:VOLT {amplitude:.9g}" if offset is None else f"{source}:VOLT:OFFS {offset:.9g}")

    def _set_load(self, own: str, ohm: float) -> None:
        """With the output off, and to be loaded again; LimitError if its limits lie beyond what it reaches then."""
        if not ohm >= 1:
            raise LimitError(f"{self.name}.{own}: a load has 1 Ohm to infinity, not {ohm:g}; nothing was sent")
        reach, limits = self.swing / (1 + self.resistance / ohm), self._limits[own]
        if limits == (-self._reach[own], self._reach[own]):  # nobody has set any
            limits = -reach, reach
        for volts in limits:
            require_within(f"{self.name}.{own} at {ohm:g} Ohm, by its limits,", volts, (-reach, reach))
        with self.link.exclusive():
            self._free.pop(own, None)
            self._forget()
            self._do(f":OUTP{own[2:]} OFF", f":SOUR{own[2:]}:VOLT:LIM:STAT OFF", f":OUTP{own[2:]}:LOAD {_spelled(ohm)}")
            self._loads[own], self._reach[own], self._limits[own] = ohm, reach, limits
            self._smallest[own] = _SMALLEST / (1 + self.resistance / ohm)
            self.outputs = dict(self.outputs) | {own: replace(self.outputs[own], low=limits[0], high=limits[1])}

    def wait(self, seconds: float) -> None:
        """Until the burst has ended; DeadlineError if it has not by then."""
        try:
            self.link.query("*OPC?", repeat=False, timeout=seconds)
        except LinkError as error:
            if not isinstance(error.__cause__, TimeoutError):
                raise
            self.link.query("*IDN?")  # a wire that has gone silent says so itself
            raise DeadlineError(f"{self.name}: the burst has not ended within {seconds:g} s; make it safe") from error

    def _choice(self, own: str, plan: Plan, name: str) -> list[str]:
        """The commands that have an output play what was uploaded under this name."""
        source = f":SOUR{own[2:]}"
        volts = [f"{source}:VOLT {plan.amplitude:.9g}"]
        if self._offsets[own] != plan.offset:  # nothing in between is beyond the limits
            volts = [f"{source}:VOLT MIN", f"{source}:VOLT:OFFS {plan.offset:.9g}", *volts]
        return [f"{source}:FUNC:ARB {name}", f"{source}:FUNC:ARB:SRAT {plan.rate:.12g}", *volts]

    def _required(self, own: str, plan: Plan, name: str, playing: _Playing) -> Array:
        """Volts that an output is going to play; InstrumentError if it is not what was uploaded under this name."""
        has = playing.points == len(plan.codes) and playing.chosen.strip('"').upper() == name
        if not has or not math.isclose(playing.rate, plan.rate, rel_tol=1e-6):
            raise InstrumentError(
                f"{self.name}.{own} has {playing.points} points of {playing.chosen} at {playing.rate:g} samples a "
                f"second instead of {len(plan.codes)} of {name} at {plan.rate:g}: load it again",
                answer=playing.chosen,
            )
        self._remembers[f":SOUR{own[2:]}:FUNC:ARB?"] = playing.chosen
        return plan.played(playing.amplitude, playing.offset, self._grade.bits)

    def _set_up(self, own: str) -> None:
        """With the output off: empty memory, load, limits, bursts of one cycle."""
        number, source = own[2:], f":SOUR{own[2:]}"
        low, high = self._limits[own]
        self._offsets[own] = min(max(0.0, low + self._smallest[own]), high - self._smallest[own])
        reference = [] if self._reference is None else [f":ROSC:SOUR {self._reference[:3].upper()}"]
        self._free[own] = self._do_as(
            lambda answers: whole(answers[0]),
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
            f":OUTP{number}:LOAD {_spelled(self._loads[own])}",
            f":OUTP{number}:POL NORM",
            f"{source}:VOLT:OFFS {self._offsets[own]:.9g}",
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

    def _untriggered(self) -> list[str]:
        """Nothing from outside triggers any output."""
        return [f":TRIG{own[2:]}:SOUR BUS" for own in self.outs]

    def _make_safe(self) -> None:
        """Outputs off; those that idle at another level than 0 V stay there, with their trigger disabled."""
        off = [own for own in self.outs if not self._idles.get(own)]
        self._each(f":OUTP{own[2:]} OFF" for own in off)
        answers = self._do(*self._untriggered(), ":ABOR", *map(self.output_question, off))
        self.require_off(off, answers)

    def _lost(self) -> None:
        self._forget()
        self._free, self._idles = {}, {}


def _spelled(ohm: float) -> str:
    return "INF" if math.isinf(ohm) else f"{ohm:.9g}"


def _all_playing(answers: list[str]) -> list[_Playing]:
    found = []
    for at in range(0, len(answers), len(_ASKED)):
        offset, amplitude, rate, points, chosen = answers[at : at + len(_ASKED)]
        found.append(_Playing(number(offset), number(amplitude), number(rate), whole(points), chosen))
    return found
