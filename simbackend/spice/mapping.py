"""The file beside a netlist, `CIRCUIT.yaml` for `CIRCUIT.cir`: what of the circuit is what of the rig.

    ring_down: 200us             after which the circuit is at rest again
    ports:
      u1: {source: Vin, limits: [-2, 2]}                    an input of the model
      f1: {source: V1, force: 1, limits: [-2, 2]}           a force on oscillator 1
    channels:
      q1: {reads: "v(a1,b1)", position: 1}                  of oscillator 1
      v1: {reads: "i(L1)", velocity: 1, gain: 1000}         model units per volt or ampere
    knobs:
      coupling: {components: [C12, C23], law: inverse, per: 1e9, limits: [1e6, 1e10], tolerance: 5%}
    flips: [L1, L2]              components whose current or voltage a reversal of time turns round

A knob is the value of its components, or with `law: inverse` one over it (a stiffness is that of a capacitor), and
`offset` and `per` times the parameter of the model: what the circuit has where the knob is 0 belongs to the offset (a
trimmer in series with a capacitor).  `tolerance`: how far real parts are off, drawn by the `seed` of the URL.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from labrhel.config.fields import Finite, Positive, Section
from labrhel.config.measures import Seconds, Share
from labrhel.config.problems import sentence
from labrhel.config.reader import Source, read
from labrhel.errors import ConfigurationError

Range = Annotated[list[Finite], Field(min_length=2, max_length=2)]
Oscillator = Annotated[int, Field(ge=1)]


class PortSection(Section):
    """A source of the netlist that the rig plays."""

    source: str = Field(description="Name of the V or I source; what the netlist has it do is left out.")
    force: Oscillator | None = Field(default=None, description="Oscillator that it pushes; left out, it is an input.")
    gain: Finite = Field(default=1.0, description="Model units per volt or ampere, polarity included; not 0.")
    limits: Range = Field(description="Lowest and highest value, V or A.")


class ChannelSection(Section):
    """What can be read."""

    reads: str = Field(description="v(NODE), v(NODE,NODE) or i(COMPONENT) of an inductor or voltage source.")
    position: Oscillator | None = Field(default=None, description="Oscillator whose position it is.")
    velocity: Oscillator | None = Field(default=None, description="Oscillator whose velocity it is.")
    gain: Finite = Field(default=1.0, description="Model units per volt or ampere, polarity included; not 0.")


class KnobSection(Section):
    """Component values that a parameter of the model turns."""

    components: Annotated[list[str | list[str]], Field(min_length=1)] = Field(
        description="Of the parameter's entries, in order; a list for one entry are the gangs of one potentiometer."
    )
    law: Literal["value", "inverse"] = Field(default="value", description="The knob is the value, or one over it.")
    per: Finite = Field(default=1.0, description="Knob per parameter; not 0.")
    offset: Finite = Field(default=0.0, description="Knob where the parameter is 0.")
    limits: Range = Field(description="Lowest and highest knob; both above 0.")
    step: Positive | None = Field(default=None, description="Smallest step of the knob; left out, any.")
    tolerance: Share = Field(default=0.0, description="Standard deviation of real parts, as a share of their value.")


class Numerics(Section):
    """How ngspice computes."""

    substeps: Annotated[int, Field(ge=1, le=1000)] = Field(default=8, description="Steps of a kick.")
    accuracy: Positive = Field(default=1e-6, description="Relative tolerance of each step's equations (reltol).")


class Mapping(Section):
    """The whole file."""

    ring_down: Seconds = Field(description="Time after which the circuit is at rest, s.")
    ports: dict[str, PortSection] = Field(description="Ports by the names of the model: u1 or the input's, f1.")
    channels: dict[str, ChannelSection] = Field(description="Channels by name: q1, v1.")
    knobs: dict[str, KnobSection] = Field(default={}, description="Parameters of the model by name.")
    flips: list[str] = Field(default=[], description="Components that a momentum flip turns round; left out: none.")
    numerics: Numerics = Field(default_factory=Numerics, description="How ngspice computes.")


def load(netlist: Path) -> tuple[Mapping, Source]:
    """The mapping beside a netlist; raises ConfigurationError with file, line and key."""
    file = netlist.with_suffix(".yaml")
    if not file.is_file():
        raise ConfigurationError(
            f"{netlist.name} needs {file}, which says what its ports and channels are (docs/spice.md)"
        )
    source = read(file)
    try:
        found = Mapping.model_validate(source.data)
    except ValidationError as error:
        raise sentence(source, error) from None
    for words, *path in _contradictions(found):
        raise source.error(words, *path)
    return found, source


def _contradictions(mapping: Mapping) -> Iterator[tuple[str, ...]]:
    for name, port in mapping.ports.items():
        if not port.limits[0] <= 0 <= port.limits[1]:
            yield "rest is 0, and lies within the limits of every port", "ports", name
    for name, item in mapping.channels.items():
        if (item.position is None) == (item.velocity is None):
            yield "a channel reads the position or the velocity of one oscillator", "channels", name
    for kind, items in (("ports", mapping.ports), ("channels", mapping.channels)):
        for name, item in items.items():
            if item.gain == 0:
                yield "a gain is not 0", kind, name
    for name, knob in mapping.knobs.items():
        if not 0 < knob.limits[0] < knob.limits[1] or knob.per == 0:
            yield "a knob has two limits above 0, the lower first, and per is not 0", "knobs", name
