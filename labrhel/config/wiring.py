"""The `map` section: how model ports and parameters are wired to instruments."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from labrhel.config.fields import Finite, NotNegative, Numbers, Positive, Section


class WireSection(Section):
    """One model port or channel and its terminal: device value = model value / gain + offset."""

    terminal: str = Field(description="The instrument's own name of the terminal.")
    gain: Finite = Field(
        default=1.0, description="Model units per device unit at the terminal, polarity included; not 0."
    )
    offset: Finite = Field(default=0.0, description="Offset at the terminal, in device units.")
    source_ohm: NotNegative = Field(default=0.0, description="Output impedance of the source, in ohm.")
    load_ohm: Positive | None = Field(default=None, description="Impedance it drives, in ohm; left out: open.")
    assumed_load_ohm: Positive | None = Field(
        default=None, description="Load the instrument is set for, in ohm (a 50-ohm setting into an open load doubles)."
    )
    coupling: Literal["dc", "ac"] = Field(default="dc", description="ac blocks the mean.")


class ApproachSection(Section):
    """From which side a knob with hysteresis is set."""

    overshoot: Finite = Field(
        description="In knob units, with its sign: turned beyond its value by so much first, and set from there."
    )


class KnobSection(Section):
    """knobs = matrix @ parameters + offset, for the flattened entries of one parameter."""

    matrix: Numbers = Field(
        default=1.0, description="A number for all entries, or a square matrix with the cross-talk."
    )
    offset: Numbers = Field(default=0.0, description="In knob units: a number, or one per entry.")
    approach: ApproachSection | None = Field(default=None, description="Left out, it is set at once.")


class MapSection(Section):
    """What is left out passes through unchanged."""

    ports: dict[str, WireSection] = Field(default={}, description="Wires by port or channel.")
    parameters: dict[str, KnobSection] = Field(default={}, description="Knob maps by parameter.")
