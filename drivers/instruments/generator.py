"""What waveform generators share: outputs behind a source resistance, bursts that are loaded, armed and fired.

A driver says how a burst becomes what its instrument holds (`plan`), how that is uploaded, armed and triggered, and how
an output is switched.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from qcodes.instrument import InstrumentChannel
from qcodes.validators import Bool

from drivers.instruments.answers import flag
from drivers.instruments.linked import LinkedInstrument, Ranges, Reading, add_readings, asker, ranges_of
from drivers.roles import Burst, OutputSpec
from labrhel.arrays import Array
from labrhel.errors import ConfigurationError, InstrumentError, ProgramError

P = TypeVar("P")
_SOURCES = ("external", "software")


class Generator(LinkedInstrument, ABC, Generic[P]):
    """A `drivers.roles.Generator`; P is what a burst becomes before anything is sent."""

    outs: tuple[str, ...] = ("ch1", "ch2")
    """Its outputs, as many as the model has (`fit`)."""
    swing: ClassVar[float]
    """The largest voltage without load [V]."""
    resistance: ClassVar[float] = 50.0
    """Of an output [Ohm]."""
    outputs: Mapping[str, OutputSpec]
    _loaded: Mapping[str, float]  # idle levels of what may be played
    _idles: Mapping[str, float]  # the same, and kept when nothing may be played any more
    _armed: str

    def add_outputs(
        self, load: float | Mapping[str, float], limits: Ranges, *, bits: int, memory: int, rates: tuple[float, float],
        latency: float,
    ) -> None:  # fmt: skip
        """To be called once, in `__init__`; `load` [Ohm] and `limits` [V at it] for all or by terminal.

        Raises ConfigurationError for a load below 1 Ohm, and for limits beyond reach.
        """
        loads = dict.fromkeys(self.outs, load) if not isinstance(load, Mapping) else dict(load)
        if set(loads) != set(self.outs) or not all(value >= 1 for value in loads.values()):
            known = " and ".join(self.outs)
            raise ConfigurationError(f"a load has 1 Ohm to infinity, one for all or for each of {known}, not {load}")
        self._loads = loads
        self._reach = {own: self.swing / (1 + self.resistance / ohm) for own, ohm in loads.items()}
        self._limits = ranges_of(limits, {own: (-volts, volts) for own, volts in self._reach.items()})
        self._loaded, self._idles, self._armed = {}, {}, ""
        self.outputs = {own: OutputSpec(*self._limits[own], bits, memory, rates, latency) for own in self.outs}

    @abstractmethod
    def plan(self, own: str, burst: Burst) -> P:
        """What is to be uploaded; all that can be refused is refused here: ProgramError, LimitError."""

    @abstractmethod
    def upload(self, plans: Mapping[str, P]) -> dict[str, Array]:
        """Upload; the samples [V] as the converters have them, perhaps with more behind them."""

    @abstractmethod
    def arm_outputs(self, source: str) -> None:
        """Switch on what is loaded, to wait for a trigger from "external" or "software"."""

    @abstractmethod
    def trigger(self) -> None:
        """Trigger by software; under the lock of the link."""

    @abstractmethod
    def switch_command(self, own: str, *, on: bool) -> str:
        """What switches an output."""

    @abstractmethod
    def output_question(self, own: str) -> str:
        """What asks whether an output is on."""

    def output_readings(self, own: str) -> Sequence[Reading]:
        """What else an output is asked for, as QCoDeS parameters."""
        return ()

    def load(self, bursts: Mapping[str, Burst]) -> dict[str, Array]:
        """Upload, and leave outputs that are in no burst off; returns the samples [V] as its converters have them."""
        if unknown := [own for own in bursts if own not in self.outputs]:
            raise ProgramError(f"{self.name} has no output {unknown[0]!r}; it has {' and '.join(self.outputs)}")
        plans = {own: self.plan(own, burst) for own, burst in bursts.items()}
        with self.link.exclusive():
            self._forget()
            played = self.upload(plans)
            if left := [own for own in self.outputs if own not in plans]:
                self._do(*(self.switch_command(own, on=False) for own in left))
            self._loaded = {own: burst.idle for own, burst in bursts.items()}
            self._idles = dict(self._loaded)
        return {own: played[own][: len(burst.samples)] for own, burst in bursts.items()}

    def arm(self, *, source: str) -> None:
        """Outputs on, idling, waiting for a trigger from `source`: "external" or "software"."""
        if source not in _SOURCES:
            raise ProgramError(f'a trigger comes from "external" or "software", not {source!r}')
        with self.link.exclusive():
            if not self._loaded:
                raise InstrumentError(f"{self.name} has nothing to play: load it before it is armed")
            self.arm_outputs(source)
            self._armed = source

    def fire(self) -> None:
        """Trigger it by software; its trigger output, if it has one, triggers the others."""
        with self.link.exclusive():
            if self._armed != "software":
                raise InstrumentError(f"{self.name} does not wait for a software trigger: arm it so first")
            self.trigger()

    def switch(self, own: str, *, on: bool) -> None:
        """Switch an output; on only if it has something to idle at."""
        with self.link.exclusive():
            if on and own not in self._loaded:
                raise InstrumentError(f"{self.name}.{own} has nothing to play: load it before it is switched on")
            self._do(self.switch_command(own, on=on))

    def require_off(self, outs: Sequence[str], answers: Sequence[str]) -> None:
        """Raise InstrumentError unless outputs are off, by the answers to their questions."""
        for own, answer in zip(outs, answers, strict=True):
            if flag(answer):
                raise InstrumentError(f"{self.name}.{own} does not switch off", answer=answer)

    def _forget(self) -> None:
        self._loaded, self._armed = {}, ""


class GeneratorChannel(InstrumentChannel):
    """One output; what it plays is set by `Generator.load` alone."""

    def __init__(self, parent: Generator[Any], own: str) -> None:
        super().__init__(parent, own)
        self.output = self.add_parameter(
            "output",
            label="Output",
            get_cmd=asker(parent, parent.output_question(own), flag),
            set_cmd=lambda on: parent.switch(own, on=on),
            vals=Bool(),
            docstring="Whether it is on; it can only be switched on when a burst is loaded.",
        )
        add_readings(self, parent.output_readings(own))
