"""The station file of a bench: which instruments stand where, and what is wired to what.

`instruments` is the section of a QCoDeS station (type, address, init), strictly checked: QCoDeS itself only warns of an
unknown key.  `rig` says how they make one rig: the wires of ports, channels and knobs, triggers, waiting times.  It is
the one place where the wiring of a bench is said: model value = gain * (volts - offset), offsets in volts.

    instruments:
      awg1: {type: drivers.instruments.keysight_33600.Keysight33600, address: "TCPIP::10.0.0.5::5025::SOCKET"}
    rig:
      trigger: {fired_by: awg1, seen_by: {scope1: {terminal: ch4, level: 1 V}}}
      ring_down: 60ms
      ports:    {u1: {terminal: awg1.ch1, gain: 1.0, limits: [-5 V, 5 V]}}
      channels: {q1: {terminal: scope1.ch1, gain: 1.0, range: [-2 V, 2 V]}}
      knobs:    {coupling: {terminals: [bias.ch1, bias.ch2], per_volt: 0.2, limits: [0 V, 10 V]}}

Limits belong to terminals: whatever names one stays within the limits of all that do (`StationDocument.terminals`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from labrhel.config.claims import terminals_of
from labrhel.config.fields import Finite, Positive, Section
from labrhel.config.measures import Seconds, Volts
from labrhel.config.problems import sentence
from labrhel.config.reader import Source, read
from labrhel.errors import ConfigurationError
from labrhel.rig.terminals import Terminals

Terminal = Annotated[str, Field(pattern=r"^\w+\.\w+$")]
"""INSTRUMENT.TERMINAL, such as awg1.ch1."""
Range = Annotated[list[Volts], Field(min_length=2, max_length=2)]


class InstrumentSection(Section):
    """One instrument, as a QCoDeS station writes it."""

    type: str = Field(description="Driver: its module and class, such as drivers.instruments.qdac2.Qdac2.")
    address: str = Field(description="VISA address.")
    init: dict[str, Any] = Field(default={}, description="Further arguments of the driver.")

    @property
    def kind(self) -> str:
        """The name of the driver's module, by which it is opened."""
        return self.type.split(".")[-2] if "." in self.type else self.type


class PortSection(Section):
    """A port of the model and the output that drives it: model value = gain * (volts at the load - offset)."""

    terminal: Terminal = Field(description="The output.")
    gain: Finite = Field(default=1.0, description="Model units per volt, polarity included; not 0.")
    offset: Volts = Field(default=0.0, description="Voltage at which the port is 0.")
    limits: Range = Field(description="Lowest and highest voltage that may ever be there.")
    safe: Volts = Field(default=0.0, description="Voltage between shots, and when it is made safe.")
    delay: Seconds = Field(default=0.0, description="From the trigger to the first sample at the port.")


class ChannelSection(Section):
    """A channel of the model and the input that sees it: model value = gain * (volts - offset)."""

    terminal: Terminal = Field(description="The input.")
    gain: Finite = Field(default=1.0, description="Model units per volt, polarity included; not 0.")
    offset: Volts = Field(default=0.0, description="Voltage at which the channel is 0.")
    range: Range = Field(description="Lowest and highest voltage that must fit.")
    delay: Seconds = Field(default=0.0, description="From the oscillator to the input.")
    noise: Volts = Field(default=0.0, description="rms of a single reading.")
    select: dict[Terminal, Volts] = Field(
        default={}, description="Levels at which a switch connects it, where channels share an input."
    )


class KnobSection(Section):
    """A parameter and the levels that set its entries: value = at_zero + per_volt * volts."""

    terminals: Annotated[list[Terminal], Field(min_length=1)] = Field(description="One for each entry, in order.")
    per_volt: Finite = Field(description="Change of the parameter for each volt; not 0.")
    at_zero: Finite = Field(default=0.0, description="The parameter at 0 V.")
    limits: Range = Field(description="Lowest and highest voltage that may ever be there.")


class SeenSection(Section):
    """Where an oscilloscope sees the trigger."""

    terminal: str = Field(
        description="One of its own inputs, such as ch4, or external; generator, if its own outputs begin the shot."
    )
    level: Volts = Field(default=1.0, description="Voltage that counts as the trigger.")
    delay: Seconds = Field(default=0.0, description="From the trigger to that input.")
    fiducial: bool = Field(
        default=False,
        description="It sees the sync output, which is up for the whole burst: correct its clock by that.",
    )


class RampSection(Section):
    """How a level goes to its safe value when the bench is made safe."""

    time: Seconds = Field(description="Length of the ramp.")
    order: int = Field(default=0, description="Its turn, low first; levels of one order go together.")


class TriggerSection(Section):
    """Who starts a shot, and who sees it, in which order they are armed, and how late a shot may be."""

    fired_by: str = Field(
        description="The generator that is triggered by software; its trigger output starts the rest."
    )
    seen_by: dict[str, SeenSection] = Field(default={}, description="By oscilloscope.")
    arming_order: list[str] = Field(
        default=[],
        description="Instruments to be armed first, one after the other; then the others that are triggered, and last "
        "the one that fires.",
    )
    re_arm: dict[str, Seconds] = Field(
        default={}, description="By instrument: from the end of a shot until it can be armed again."
    )
    latest: Seconds = Field(default=5.0, description="A shot that starts later than this after it was due is an error.")


class RigSection(Section):
    """The rig that the instruments make."""

    trigger: TriggerSection = Field(description="Who starts a shot.")
    ring_down: Seconds = Field(description="After which the oscillators are at rest.")
    settle: Seconds = Field(default=0.0, description="After a knob was turned.")
    safe_order: list[list[str]] = Field(
        default=[], description="Instruments to be made safe first, group after group; then generators, then levels."
    )
    ramps: dict[Terminal, RampSection] = Field(
        default={},
        description="By level that stays on when it is safe (init: safe of its instrument): how it goes there; left "
        "out, at once.",
    )
    oversampling: Positive = Field(default=4.0, description="Readings for each kick, at least.")
    ports: dict[str, PortSection] = Field(description="By port of the model: its inputs, and f1, f2, ... for forces.")
    channels: dict[str, ChannelSection] = Field(description="By position: q1, q2, ...")
    knobs: dict[str, KnobSection] = Field(default={}, description="By parameter of the model.")


class Station(Section):
    """The whole file."""

    instruments: dict[str, InstrumentSection] = Field(description="Instruments by name.")
    rig: RigSection = Field(description="The rig that they make.")


@dataclass(frozen=True, slots=True)
class StationDocument:
    """A checked station file."""

    station: Station
    source: Source
    terminals: Terminals

    @contextmanager
    def at(self, *path: str | int) -> Iterator[None]:
        """Give a ConfigurationError the file, line and key of `path`."""
        try:
            yield
        except ConfigurationError as error:
            if error.file is not None:
                raise
            raise self.source.error(str(error), *path) from None


def load_station(file: Path) -> StationDocument:
    """Read and check a station file; raises ConfigurationError with file, line and key.

    What names a terminal has to agree with all else that does: limits with levels that are safe or connect a switch.
    """
    if not file.is_file():
        raise ConfigurationError(f"there is no station file {file}; bench:FILE.yaml names one")
    source = read(file)
    try:
        station = Station.model_validate(source.data)
    except ValidationError as error:
        raise sentence(source, error) from None
    return StationDocument(station, source, terminals_of(station, source.error))
