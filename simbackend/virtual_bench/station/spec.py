"""The file of a virtual bench: which instruments, and what is wired to what.

    model: NAME or FILE          the oscillators, with the imperfections that the file lists
    ring_down: 60ms              after which they are at rest
    instruments: {NAME: {kind: DIALECT, model: ..., wires: [socket, hislip, serial], ...options}}
    leads: [{wire: awg1.ch1, to: f1, gain: 1, ...}, ...]

What a lead is follows from its ends: from an output to a port (u1, f2), from a position (q3) to an input, from a
logic output to an input, from a trigger output to a trigger input, or from a source to a parameter ("coupling[0]").
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from labrhel.config import examples
from labrhel.config.fields import Finite, Positive, Section
from labrhel.config.imperfections import ImperfectionsSection
from labrhel.config.measures import Reading, Seconds, Volts
from labrhel.config.problems import nearest, sentence
from labrhel.config.reader import Source, read
from labrhel.errors import ConfigurationError
from simbackend.virtual_bench.station.invented import invented, is_configuration

STATIONS = Path(__file__).parent.parent / "stations"

Wire = Literal["socket", "hislip", "serial"]


class InstrumentSection(Section):
    """One instrument; options that its dialect lacks are refused."""

    kind: str = Field(description="What it is, by its registered name, such as keysight_33600 or rigol_ds1000z.")
    model: str = Field(default="", description="Model it says it is; left out, the usual one of its dialect.")
    wires: Annotated[list[Wire], Field(min_length=1)] = Field(
        default=["socket"], description="Ways to reach it, the best first."
    )
    port: Annotated[int, Field(ge=0, le=65535)] = Field(default=0, description="TCP port of its socket; 0: any.")
    noise: Reading | None = Field(default=None, description="Of every input, V rms.")
    jitter: Seconds | None = Field(default=None, description="Of the trigger, s rms.")
    clock_error: Finite | None = Field(default=None, description="How much too slow the clock of a scope runs, 1.")
    latency: Seconds | None = Field(default=None, description="From a trigger to the first sample of an output, s.")

    def options(self) -> dict[str, float]:
        """What was given of noise [V], jitter and latency [s], clock_error [1]; raises ConfigurationError."""
        noise = None if self.noise is None else self.noise.of("V")
        given = {
            "noise": noise, "jitter": self.jitter, "latency": self.latency, "clock_error": self.clock_error
        }  # fmt: skip
        return {name: value for name, value in given.items() if value is not None}


_ENDS = ("wire", "to", "reach", "when")


class LeadSection(Section):
    """One lead; which numbers it may have depends on what it is."""

    wire: str = Field(description="Output, position (q1), or source.")
    to: str = Field(description="Port (u1, f1), input, trigger input, or parameter.")
    gain: Finite | None = Field(default=None, description="Model units per volt, polarity included; not 0.")
    offset: Volts | None = Field(default=None, description="Voltage at which port or position is 0, V.")
    delay: Seconds | None = Field(default=None, description="Seconds on the way.")
    load: Positive | None = Field(default=None, description="Load of an output, Ohm; 1e6 where left out.")
    reach: Positive = Field(default=2.0, description="Largest voltage an input expects, for the station file.")
    high: Finite | None = Field(default=None, description="Voltage of a logic line that is up.")
    at_zero: Finite | None = Field(default=None, description="Parameter at 0 V.")
    per_volt: Finite | None = Field(default=None, description="Change of the parameter for each volt.")
    when: dict[str, Volts] = Field(default={}, description="Levels of sources at which a switch connects a position.")

    @property
    def levels(self) -> tuple[tuple[str, float], ...]:
        """The levels of `when`, in order."""
        return tuple(sorted(self.when.items()))

    def numbers(self, *names: str) -> dict[str, float]:
        """The numbers that were given; raises ConfigurationError for one that this kind of lead has not."""
        given = {name: getattr(self, name) for name in type(self).model_fields if name not in _ENDS}
        for name, value in given.items():
            if value is not None and name not in names:
                words = ", ".join(names)
                raise ConfigurationError(f"the lead from {self.wire} to {self.to} has {words}, but no {name}")
        return {name: value for name, value in given.items() if value is not None}


class BenchSpec(Section):
    """A bench file, checked."""

    model: str = Field(description="Name of an example, or path of a configuration: the oscillators.")
    ring_down: Seconds = Field(description="Time after the last drive when the oscillators are at rest.")
    step: Seconds | None = Field(default=None, description="Step of the integration; left out, 1/50 radian.")
    imperfections: ImperfectionsSection | None = Field(
        default=None, description="In place of those that the model's file lists."
    )
    instruments: dict[str, InstrumentSection] = Field(description="Instruments by name.")
    leads: list[LeadSection] = Field(default=[], description="What is wired to what.")


def stations() -> dict[str, Path]:
    """The benches that come with labrhel, by name."""
    return {file.stem: file for file in sorted(STATIONS.glob("*.yaml"))}


def load(name: str | Path) -> tuple[BenchSpec, Source]:
    """The bench of that path, the station of that name, or one invented for a configuration or an example.

    Raises ConfigurationError.
    """
    source = read(_found(name))
    if is_configuration(source):
        source = invented(source.file)
    try:
        return BenchSpec.model_validate(source.data), source
    except ValidationError as error:
        raise sentence(source, error) from None


def invents(name: str | Path) -> bool:
    """Whether `load` takes a configuration or an example of that name, for which it invents a bench."""
    return is_configuration(read(_found(name)))


def _found(name: str | Path) -> Path:
    known = examples() | stations()
    file = Path(name)
    if file.is_file():
        return file
    if str(name) not in known:
        hint = nearest(str(name), known)
        raise ConfigurationError(f"there is no file {name} and no virtual bench of that name; {hint}")
    return known[str(name)]
