"""The sections of a station file, strictly checked; `labrhel.config.station` shows one."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from labrhel.config.driver_sections import InputsSection, LevelsSection, OutputsSection
from labrhel.config.fields import Finite, Positive, Section
from labrhel.config.foreign_drivers import FOREIGN, resource_of
from labrhel.config.measures import Seconds, Volts

Terminal = Annotated[str, Field(pattern=r"^\w+\.\w+$")]
"""INSTRUMENT.TERMINAL, such as awg1.ch1."""
Range = Annotated[list[Volts], Field(min_length=2, max_length=2)]
_ROLES = "outputs", "inputs", "levels"


class InstrumentSection(Section):
    """One instrument, as a QCoDeS station writes it; `kind`, the word of virtual benches, is another for `type`."""

    type: str = Field(
        description="Driver: its module and class, such as drivers.instruments.qdac2.QDac2, or its registered name; "
        "or `qcodes:MODULE.CLASS`, any QCoDeS driver that is installed. Also written `kind`."
    )
    address: str = Field(default="", description="VISA address; needed, but for a driver that has `arguments`.")
    arguments: dict[str, Any] = Field(
        default={},
        description="With `qcodes:` and a driver without VISA, in place of `address`: what its class is made with, "
        "such as a serial number, or host and port.",
    )
    init: dict[str, Any] = Field(default={}, description="Further arguments of the driver.")
    outputs: OutputsSection | None = Field(default=None, description="With `qcodes:`, how it plays bursts.")
    inputs: InputsSection | None = Field(default=None, description="With `qcodes:`, how it records.")
    levels: LevelsSection | None = Field(default=None, description="With `qcodes:`, how it holds voltages.")

    @model_validator(mode="before")
    @classmethod
    def _a_kind_is_a_type(cls, data: Any) -> Any:
        if isinstance(data, dict) and "kind" in data and "type" not in data:
            return {"type" if key == "kind" else key: value for key, value in data.items()}
        return data

    @model_validator(mode="after")
    def _roles_where_the_driver_has_none(self) -> InstrumentSection:
        roles = [name for name in _ROLES if getattr(self, name) is not None]
        if self.is_foreign and not roles:
            raise ValueError(
                "a driver of somebody else says nothing of its role: give outputs, inputs or levels, or several of them"
            )
        named: dict[str, str] = {}
        for role in roles:
            for own in getattr(self, role).terminals:
                if (other := named.setdefault(own, role)) != role:
                    raise ValueError(
                        f"{own} is listed under {other} and under {role}: give each terminal a name of its own; steps "
                        "may say the number that it ends in, {number}"
                    )
        if roles and not self.is_foreign:
            raise ValueError(f"{self.type} has a driver that knows its role: leave {' and '.join(roles)} out")
        return self

    @model_validator(mode="after")
    def _an_address_or_arguments(self) -> InstrumentSection:
        if self.arguments and not self.is_foreign:
            raise ValueError(f"{self.type} has an address: leave `arguments` out, and give further ones in `init`")
        if bool(self.address) == bool(self.arguments):
            words = "give its VISA `address`" if not self.is_foreign else (
                "give its VISA `address`, or, for a driver without VISA, the `arguments` that its class is made with"
            )  # fmt: skip
            raise ValueError(words if not self.address else f"{words}, not both")
        return self

    @property
    def resource(self) -> str:
        """What it is leased by: its address, or its driver and what that is made with."""
        return self.address or resource_of(self.type, self.arguments)

    @property
    def is_foreign(self) -> bool:
        """Whether its driver is somebody else's."""
        return self.type.startswith(FOREIGN)


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


class ApproachSection(Section):
    """From which side a knob with hysteresis is set."""

    overshoot: Volts = Field(
        description="With its sign: turned beyond its voltage by so much first, within its limits, and set from there."
    )


class KnobSection(Section):
    """A parameter and the levels that set its entries: value = at_zero + per_volt * volts."""

    terminals: Annotated[list[Terminal], Field(min_length=1)] = Field(description="One for each entry, in order.")
    per_volt: Finite = Field(description="Change of the parameter for each volt; not 0.")
    at_zero: Finite = Field(default=0.0, description="The parameter at 0 V.")
    limits: Range = Field(description="Lowest and highest voltage that may ever be there.")
    approach: ApproachSection | None = Field(default=None, description="Left out, it is set at once.")


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
    """A station file, checked."""

    instruments: dict[str, InstrumentSection] = Field(description="Instruments by name.")
    rig: RigSection = Field(description="The rig that they make.")
