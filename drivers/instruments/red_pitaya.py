"""The Red Pitaya STEMlab 125-14: two generators, two inputs and four slow outputs behind its SCPI server.

Speaks the commands of the Red Pitaya documentation (remote control, SCPI command list, OS 1.04 and later) in the way
that the server's own source obeys them.  Not yet tried on the physical instrument.

A burst is up to 16384 samples in the memory of an output, read once a trigger.  The output idles at its first sample,
which therefore has to be the idle level; initial and last value are set to it, too.  The server cannot say when a burst
has ended, so that is a matter of time.  A generator that waited for an external trigger is triggered by being told to
wait for software, so a new source means to set up anew, with the outputs off.

The generators trigger the inputs (trigger "generator") through the first output, which is on for every shot.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from drivers.instruments._pitaya import CLOCK, FULL, MEMORY, Samples, plan_samples, silence
from drivers.instruments._pitaya_inputs import PitayaInputs
from drivers.instruments._pitaya_levels import PitayaLevels
from drivers.instruments._waiting import wait_until
from drivers.instruments.answers import number
from drivers.instruments.generator import Generator, GeneratorChannel
from drivers.instruments.linked import Ranges, Reading, closed_after
from drivers.roles import Burst
from labrhel.arrays import Array
from labrhel.errors import InstrumentError, TransportError

_SLOWEST = 100.0  # samples a second of an output


class RedPitaya(Generator[Samples], PitayaInputs, PitayaLevels):
    """A `drivers.roles.Generator` (ch1, ch2), `Digitizer` (in1, in2) and `LevelSource` (aout0 to aout3) in one.

    `load` [Ohm] is what the outputs are connected to, for both or by terminal; `limits` [V at that load] what they may
    ever play; `gain`: "LV" or "HV" as the jumpers of the inputs stand, for both or by terminal; `level_limits` and
    `safe` [V] of the slow outputs; `latency` [s] from a trigger to the first sample.

    `arm` with a source arms the generators, without one the inputs; `wait` waits for whatever is under way.
    """

    expected = r"redpitaya"
    swing = 2.0
    terminator = "\r\n"
    joins_commands = False  # the documentation says nothing about several commands in a message

    def __init__(
        self,
        name: str,
        address: str,
        *,
        load: float | Mapping[str, float] = math.inf,
        limits: Ranges = None,
        gain: str | Mapping[str, str] = "LV",
        level_limits: Ranges = None,
        safe: Mapping[str, float] | None = None,
        latency: float = 0.0,
        **link: Any,
    ) -> None:
        super().__init__(name, address, limits=level_limits, safe=safe, **link)
        try:
            rates = (_SLOWEST, CLOCK)
            self.add_outputs(load, limits, bits=14, memory=MEMORY, rates=rates, latency=latency)
            self._add_inputs(gain)
        except BaseException:
            closed_after(self)
            raise
        self._set_for = ""  # the trigger source that the generators are set up for
        self._plans: dict[str, Samples] = {}
        self._idling: dict[str, int] = {}  # codes
        self._ends: float | None = None  # when the burst has ended, by the clock of the host
        for own in self.outs:
            self.add_submodule(own, GeneratorChannel(self, own))

    def plan(self, own: str, burst: Burst) -> Samples:
        return plan_samples(f"{self.name}.{own}", burst, self.outputs[own], self._reach[own])

    def upload(self, plans: Mapping[str, Samples]) -> dict[str, Array]:
        """The samples are those of a perfect board; the calibration of a physical one moves them by a code or two."""
        if not self._set_for:
            self._set_up()
        self._plans = {own: plans.get(own, silence(0, self._reach[own])) for own in self.outs}
        self._upload(self._plans)
        return {own: plan.played for own, plan in plans.items()}

    def arm(self, *, source: str = "") -> None:
        """Without a source: record one trigger, from now on.

        With one, "external" or "software": outputs on, idling, waiting for a trigger from there.
        """
        if not source:
            self._arm_inputs()
            return
        super().arm(source=source)

    def arm_outputs(self, source: str) -> None:
        if self._set_for != source:
            if self._set_for == "external":
                self._set_up()
                self._upload(self._plans)
            if source == "external":
                self._do(*(f"SOUR{own[2:]}:TRIG:SOUR EXT_PE" for own in self.outs))
                self._set_for = source
        on = sorted({self.outs[0], *self._loaded})
        self._do(*(self.switch_command(own, on=True) for own in on))
        self._ends = None

    def trigger(self) -> None:
        """Both outputs, and with them the inputs that wait for "generator"."""
        before = self._mendings
        self.link.write("SOUR:TRIG:INT")
        self._refuse(["SOUR:TRIG:INT"])
        if self._mendings != before:
            raise TransportError(f"{self.name}: the link failed around the trigger, which may not have come")
        self._ends = time.monotonic() + self._longest()

    def switch_command(self, own: str, *, on: bool) -> str:
        return f"OUTPUT{own[2:]}:STATE {'ON' if on else 'OFF'}"

    def output_question(self, own: str) -> str:
        return f"OUTPUT{own[2:]}:STATE?"

    def output_readings(self, own: str) -> Sequence[Reading]:
        source = f"SOUR{own[2:]}"
        return (
            Reading("amplitude", f"{source}:VOLT?", "Amplitude into 50 Ohm", "V"),
            Reading("offset", f"{source}:VOLT:OFFS?", "Offset into 50 Ohm", "V"),
            Reading("frequency", f"{source}:FREQ:FIX?", "How often the whole memory would be read", "Hz"),
        )

    def wait(self, seconds: float) -> None:
        """Until the record, if one is armed, is complete, and the burst, if one is armed, has ended; or DeadlineError.

        Of a burst that is triggered from outside it knows nothing but by its record; InstrumentError without one.
        """
        end = time.monotonic() + seconds
        if not (self._recording or self._armed):
            raise InstrumentError(f"{self.name} waits for no trigger: arm it first")
        is_recording = self._recording
        if is_recording:
            self._await_record(seconds)
        if not self._armed:
            return
        if self._ends is None and not (is_recording and self._armed == "external"):
            raise InstrumentError(f"{self.name} cannot say whether it has been triggered: wait for whoever fires")
        if self._ends is None:
            self._ends = time.monotonic() + self._longest()
        wait_until(self._has_ended, max(end - time.monotonic(), 0.0), f"{self.name}: the burst has not ended")

    def _has_ended(self) -> bool:
        if self._ends is None:
            raise InstrumentError(f"{self.name} has been interrupted: it was made safe, or loaded again")
        return time.monotonic() >= self._ends

    def _longest(self) -> float:
        return max(self._plans[own].duration for own in self._loaded)

    def _set_up(self) -> None:
        """With the outputs off: bursts of one cycle at full amplitude, triggered by software."""
        self._set_for, self._idling = "", {}
        self._remembers = {key: value for key, value in self._remembers.items() if not key.startswith("SOUR")}
        commands = ["GEN:RST"]
        for own in self.outs:
            source = f"SOUR{own[2:]}"
            commands += [
                f"{source}:FUNC ARBITRARY",
                f"{source}:VOLT:OFFS 0",
                f"{source}:VOLT 1",
                f"{source}:BURS:STAT BURST",
                f"{source}:BURS:NCYC 1",
                f"{source}:BURS:NOR 1",
            ]
        kept = [f"SOUR{own[2:]}:{what}?" for own in self.outs for what in ("FUNC", "BURS:STAT", "VOLT")]
        answers, amplitudes = self._do_as(
            lambda texts: (texts, dict(zip(kept[2::3], map(number, texts[2::3]), strict=True))), *commands, *kept
        )
        for question, answer in zip(kept, answers, strict=True):
            wanted = {"FUNC": "ARBITRARY", "BURS:STAT": "BURST"}.get(question.partition(":")[2].rstrip("?"))
            if answer != wanted if wanted else not math.isclose(amplitudes[question], 1.0, rel_tol=1e-5):
                raise InstrumentError(
                    f"{self.name} does not do what it was told: {question} is {answer}", answer=answer
                )
        self._remembers |= dict(zip(kept, answers, strict=True))
        self._set_for = "software"

    def _upload(self, plans: Mapping[str, Samples]) -> None:
        for own, plan in plans.items():
            source, idle = f"SOUR{own[2:]}", plan.idle / FULL
            commands = []
            if self._set_for == "external" and not (plan.idle or self._idling.get(own)):
                commands += [f"OUTPUT{own[2:]}:STATE OFF"]  # a trigger might come, and off is where it idles
            if plan.idle or self._idling.get(own):  # servers of OS 1.04 know neither
                commands += [f"{source}:BURS:LASTVALUE {idle:.6f}", f"{source}:INITVALUE {idle:.6f}"]
            frequency = plan.rate / MEMORY  # of the whole memory, whatever part of it is used
            commands += [f"{source}:FREQ:FIX {frequency:.9g}", f"{source}:TRAC:DATA:DATA {plan.text}"]
            got = self._do_as(lambda texts: number(texts[0]), *commands, f"{source}:FREQ:FIX?")
            if not math.isclose(got, frequency, rel_tol=1e-5):
                raise InstrumentError(
                    f"{self.name}.{own} plays at {got * MEMORY:g} samples a second instead of {plan.rate:g}: "
                    "load it again",
                    answer=f"{got:g}",
                )
            self._idling[own] = plan.idle

    def _make_safe(self) -> None:
        self._switch_off()
        self.set_levels(self.held)

    def _switch_off(self) -> None:
        """Outputs off that idle at 0 V, the others at their idle level; slow outputs to 0 V; it records no more."""
        off = [own for own in self.outs if not self._idling.get(own)]
        quiet = [
            f"SOUR{own[2:]}:TRAC:DATA:DATA {silence(self._idling[own], self._reach[own]).text}"  # also ends a burst
            for own in sorted(self.outs, key=lambda own: not self._idling.get(own))
            if own in self._idling
        ]
        switched = (self.switch_command(own, on=False) for own in off)
        answers = self._do(*switched, *quiet, "ACQ:STOP", *map(self.output_question, off))
        self.require_off(off, answers)
        self.set_levels({own: 0.0 for own in self.levels if own not in self.held})

    def _forget(self) -> None:
        super()._forget()
        self._ends = None
        self._recording = self._complete = False

    def _lost(self) -> None:
        super()._lost()
        self._forget()
        self._window = None
        self._set_for, self._idling = "", {}
