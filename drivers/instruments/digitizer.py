"""What oscilloscopes share: a window is prepared once, armed for every shot, waited for, and read channel by channel.

A driver says which windows its instrument can record, in what words (`setup`, `vertical`), how it knows that it waits
and that it is done (`is_waiting`, `is_complete`), and what it reads (`record`).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np
from qcodes.instrument import InstrumentChannel
from qcodes.parameters import ParameterWithSetpoints
from qcodes.validators import Arrays

from drivers.instruments._waiting import wait_until
from drivers.instruments.answers import number
from drivers.instruments.linked import LinkedInstrument, Range, Reading, add_readings, require_within
from drivers.roles import InputSpec, Record, Window
from labrhel.arrays import Array
from labrhel.errors import InstrumentError, LimitError, ProgramError

T = TypeVar("T")
_TRIGGER = 5.0  # s that a trace waits for its trigger


@dataclass(frozen=True, slots=True)
class Setup:
    """What prepares a window: `commands`, and the questions `kept`, whose answers tell that it still is prepared.

    `wanted`: the answers, within 1e-4, that some of them must have, with words for them: {question: (words, value)}.
    """

    commands: Sequence[str]
    kept: Sequence[str]
    wanted: Mapping[str, tuple[str, float]] = field(default_factory=dict)


class Digitizer(LinkedInstrument):
    """A `drivers.roles.Digitizer` whose inputs are all recorded at once."""

    inputs: Mapping[str, InputSpec]
    """As many as the model has (`fit`)."""
    external: ClassVar[tuple[str, ...]] = ()
    """Where triggers come from beside the inputs."""
    trigger_hint: ClassVar[str] = ""
    """What to do about a trigger that it does not have."""
    arming: ClassVar[tuple[str, ...]]
    """Commands that make it wait for one trigger."""
    stopping: ClassVar[tuple[str, ...]] = (":STOP",)
    """Commands that end that."""
    box_readings: ClassVar[Sequence[Reading]] = ()
    """What the instrument is asked for, as QCoDeS parameters."""

    def __init__(self, name: str, address: str, **link: Any) -> None:
        super().__init__(name, address, **link)
        self._window: tuple[Window, str, float] | None = None
        self._set: Setup | None = None
        self._rate = 0.0
        self._armed = self._complete = False
        self._shown = set[str]()  # inputs whose record somebody has as a trace
        add_readings(self, self.box_readings)
        for own in self.inputs:
            self.add_submodule(own, DigitizerChannel(self, own))

    @property
    def triggers(self) -> tuple[str, ...]:
        """What it can be triggered by."""
        return (*self.inputs, *self.external)

    @abstractmethod
    def setup(self, window: Window, trigger: str, level: float, vertical: Sequence[str]) -> Setup:
        """How a window is prepared; `vertical`: the commands of the ranges.  LimitError if it cannot be recorded."""

    @abstractmethod
    def vertical(self, own: str, pair: Range) -> list[str]:
        """How an input comes to show a range [V], which is not empty; LimitError if it cannot."""

    @abstractmethod
    def rate(self, answers: Mapping[str, str]) -> float:
        """The sample rate [Hz], by the answers to the questions kept; ValueError for what is no such answer."""

    @abstractmethod
    def is_waiting(self) -> bool:
        """True if what lies before the trigger is in memory."""

    @abstractmethod
    def is_complete(self) -> bool:
        """True if the record is complete."""

    @abstractmethod
    def record(self, own: str, window: Window) -> Record:
        """The record of an input; what it holds is complete."""

    def points(self, window: Window) -> int:
        """How many samples the record of a window has."""
        return math.ceil(window.duration * self._rate)

    def readings(self, own: str) -> Sequence[Reading]:
        """What an input is asked for, as QCoDeS parameters."""
        return ()

    def setter(self, command: str, allowed: Range = (-math.inf, math.inf)) -> Callable[[float], None]:
        """What sets an input by hand, in a `command` with braces; whatever was prepared is to be prepared again."""

        def send(volts: float) -> None:
            require_within(f"{self.name} by {command.split()[0]}", volts, allowed)
            with self.link.exclusive():
                self._lost()
                self._do(command.format(volts))

        return send

    def trace(self, own: str) -> Record:
        """The record that this input has not shown yet: of the trigger it is armed for, else of the next one."""
        if self._window is None:
            raise InstrumentError(f"{self.name} does not know what to record: prepare it first")
        if not self._armed or own in self._shown:
            self.arm()
        if not self._complete:
            start, duration = self._window[0].start, self._window[0].duration
            self.wait(max(start + duration, 0.0) + _TRIGGER)
        self._shown.add(own)
        return self._read(own)

    def length(self) -> int:
        """Samples of the record that is prepared; 0 if none is."""
        return 0 if self._window is None else self.points(self._window[0])

    def prepare(self, window: Window, trigger: str, level: float) -> float:
        """Set time base, ranges and trigger (an input or external, at `level` [V], rising); the rate it took [Hz]."""
        if self._window == (window, trigger, level):
            return self._rate
        if trigger not in self.triggers:
            known = " or ".join([", ".join(self.inputs), *self.external])
            raise ProgramError(f"{self.name} triggers on {known}, not on {trigger!r}{self.trigger_hint}")
        half = 2 * abs(level) or 1.0  # of the range of an input that only triggers
        ranges = ({trigger: (-half, half)} if trigger in self.inputs else {}) | dict(window.ranges)
        vertical = [command for own, pair in ranges.items() for command in self._vertical(own, pair)]
        setup = self.setup(window, trigger, level, vertical)
        with self.link.exclusive():
            if self._window is not None and setup == self._set:  # another part of the same record
                self._forget()
                self._window = (window, trigger, level)
                return self._rate
            self._lost()
            self._remembers = {}
            self._do(*setup.commands)
            answers, wanted, rate = self._do_as(lambda texts: self._taken(setup, texts), *setup.kept, again=True)
            for question, (words, value) in setup.wanted.items():
                if not math.isclose(wanted[question], value, rel_tol=1e-4):
                    got = answers[question]
                    raise InstrumentError(f"{self.name}: the {words} is {got} instead of {value:g}", answer=got)
            self._remembers = answers
            self._rate, self._window, self._set = rate, (window, trigger, level), setup
        return self._rate

    def arm(self) -> None:
        """Wait for one trigger; returns when what lies before it is in memory."""
        if self._window is None:
            raise InstrumentError(f"{self.name} does not know what to record: prepare it before it is armed")
        before = max(-self._window[0].start, 0.0)
        with self.link.exclusive():
            self._armed = self._complete = False
            self._do(*self.arming)
            self._armed = True
            self._shown.clear()
        wait_until(self.is_waiting, 2 * before + 5.0, f"{self.name} does not begin to wait for a trigger")

    def wait(self, seconds: float) -> None:
        """Until the record is complete; DeadlineError if no trigger came by then."""
        if not self._armed:
            raise InstrumentError(f"{self.name} waits for no trigger: arm it first")
        wait_until(self.is_complete, seconds, f"{self.name} has not seen a trigger, or not to the end,")
        with self.link.exclusive():
            self._complete = self._armed

    def read(self, terminals: Sequence[str]) -> dict[str, Record]:
        """The records of these inputs."""
        return {own: self._read(own) for own in terminals}

    def asked(self, question: str, parse: Callable[[str], T]) -> T:
        """The answer to a question about the trigger; InstrumentError if it was made safe meanwhile."""
        if not self._armed:
            raise InstrumentError(f"{self.name} has been made safe: prepare and arm it again")
        return self.ask_as(question, parse)

    def cannot_record(self, window: Window, memory: int) -> LimitError:
        """That it has not the rate, or not the memory [samples]."""
        return LimitError(
            f"{self.name} cannot record {window.duration:.3g} s at {window.rate:.6g} samples a second; it has the "
            f"rates of `inputs` and a memory of {memory} samples; nothing was sent"
        )

    def _taken(self, setup: Setup, texts: Sequence[str]) -> tuple[dict[str, str], dict[str, float], float]:
        """By question, the answers, and those that are wanted as numbers; the sample rate [Hz]."""
        answers = dict(zip(setup.kept, texts, strict=True))
        return answers, {question: number(answers[question]) for question in setup.wanted}, self.rate(answers)

    def _vertical(self, own: str, pair: Range) -> list[str]:
        self._known(own)
        if not pair[0] < pair[1]:
            raise LimitError(f"{self.name}.{own} cannot show [{pair[0]:g}, {pair[1]:g}] V: no range; nothing was sent")
        return self.vertical(own, pair)

    def _known(self, own: str) -> None:
        if own not in self.inputs:
            raise ProgramError(f"{self.name} has no input {own!r}; it has {', '.join(self.inputs)}")

    def _read(self, own: str) -> Record:
        self._known(own)
        with self.link.exclusive():
            if not self._complete or self._window is None:
                raise InstrumentError(f"{self.name} has no complete record: arm it, and wait for its end")
            return self.record(own, self._window[0])

    def _make_safe(self) -> None:
        """Stop waiting; a digitizer drives nothing."""
        self._do(*self.stopping)

    def _forget(self) -> None:
        self._armed = self._complete = False

    def _lost(self) -> None:
        self._forget()
        self._window = None


class DigitizerChannel(InstrumentChannel):
    """One input; set by `Digitizer.prepare`.

    Its `trace` has the `time` of its samples as setpoints, for QCoDeS measurements.  Of several inputs each shows the
    same record, and whichever is asked twice lets the instrument wait for the next trigger:

        do1d(awg.ch1.amplitude, 0.1, 1.0, 10, 0.0, scope.arm, awg.fire, scope.ch1.trace, scope.ch2.trace)
    """

    def __init__(self, parent: Digitizer, own: str) -> None:
        super().__init__(parent, own)
        add_readings(self, parent.readings(own))
        self._axis = 0.0, 1.0  # s after the trigger of the sample shown last, and between two
        self.time = self.add_parameter(
            "time",
            label="Time after the trigger",
            unit="s",
            get_cmd=lambda: self._axis[0] + self._axis[1] * np.arange(parent.length()),
            set_cmd=False,
            vals=Arrays(shape=(parent.length,)),
            snapshot_value=False,
        )
        self.trace = self.add_parameter(
            "trace",
            parameter_class=ParameterWithSetpoints,
            label="Voltage",
            unit="V",
            get_cmd=lambda: self._read(parent, own),
            set_cmd=False,
            setpoints=(self.time,),
            vals=Arrays(shape=(parent.length,)),
            snapshot_value=False,
        )

        for parameter in (self.time, self.trace):
            parameter.cache.set(np.zeros(0))  # a monitor asks where there is nothing, and must not wait for a trigger

    def _read(self, parent: Digitizer, own: str) -> Array:
        record = parent.trace(own)
        self._axis = record.t0, record.dt
        return record.volts
