"""The `data` section: a recording and its segments, or a teacher that makes data."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from labrhel.config.fields import Count, Index, Name, NotNegative, Numbers, Positive, Repeats, Section, Seed
from labrhel.config.problems import describe


def _names(value: Any) -> Any:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"expected the name of an array, or a list of names, not {describe(value)}")
    return names


def _name_or_rate(value: Any) -> Any:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ValueError(f"expected a number of samples per second, or the name of an array, not {describe(value)}")
    if not isinstance(value, str) and not 0 < value <= sys.float_info.max:
        raise ValueError(f"the rate must be a positive number of samples per second, not {value}")
    return value


_NAMES = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_RATE = {"anyOf": [{"type": "string"}, {"type": "number", "exclusiveMinimum": 0}]}
Names = Annotated[Any, AfterValidator(_names), WithJsonSchema(_NAMES)]
NameOrRate = Annotated[Any, AfterValidator(_name_or_rate), WithJsonSchema(_RATE)]


class Segments(Section):
    """Pieces of a recording, counted in samples from 0: one from `start` to before `stop`, or many of one `length`."""

    start: Index | None = Field(default=None, description="First sample of the segment.")
    stop: Index | None = Field(default=None, description="Sample after the last one.")
    starts: Annotated[list[Index], Field(min_length=1)] | None = Field(default=None, description="First samples.")
    length: Count | None = Field(default=None, description="Samples in each segment.")

    @model_validator(mode="after")
    def _one_form(self) -> Segments:
        given = self.model_fields_set
        if given not in ({"start", "stop"}, {"starts", "length"}):
            raise ValueError("segments are given by start and stop, or by starts and length")
        if self.start is not None and self.stop is not None and self.stop <= self.start:
            raise ValueError(f"stop must lie after start, not at {self.stop}")
        return self

    def ranges(self) -> Iterator[tuple[int, int]]:
        """(start, stop) of each segment."""
        if self.start is not None and self.stop is not None:
            yield self.start, self.stop
        for start in self.starts or ():
            yield start, start + (self.length or 0)


class TestSegments(Segments):
    """Segments to test on: of the file that is trained on, or of another one with the same arrays."""

    file: str | None = Field(
        default=None, description="Another file with these arrays; without start, stop or starts: all of it."
    )

    @model_validator(mode="after")
    def _one_form(self) -> TestSegments:
        given = self.model_fields_set - {"file"}
        if self.file is None or given:
            Segments(**{name: getattr(self, name) for name in given})
        return self

    @property
    def whole(self) -> bool:
        """Whether all samples of the file are meant."""
        return self.stop is None and self.starts is None


class Multisine(Section):
    """Equally spaced tones of equal amplitude with random phases, drawn anew for each sequence and input."""

    amplitude: Positive = Field(description="rms, in input units.")
    band: Annotated[list[NotNegative], Field(min_length=2, max_length=2)] = Field(
        description="Lowest and highest frequency, in 1/model time (kHz when time is in ms); [0, 0] is steady inputs."
    )
    tones: Repeats = Field(default=12, description="Number of tones.")
    seed: Seed = Field(default=0, description="Seed of the phases.")

    @model_validator(mode="after")
    def _band_is_ordered(self) -> Multisine:
        if not self.band[0] <= self.band[1]:
            raise ValueError(f"the band is [lowest, highest], not {self.band}")
        return self


class Teacher(Section):
    """Targets are what the model answers with other parameters, simulated without imperfections."""

    parameters: dict[str, Numbers] = Field(description="The teacher's parameters that differ, in model units.")
    input: Multisine = Field(description="What drives teacher and rig.")
    samples: Count = Field(description="Samples in each sequence.")
    spacing: Positive = Field(description="Time between samples, in model time.")
    sequences: Count = Field(description="Training sequences.")
    test_sequences: Index = Field(default=0, description="Test sequences, with inputs of their own.")
    noise: NotNegative = Field(default=0.0, description="rms noise added to the training targets, in target units.")


_OF_A_FILE = ("input", "target", "start", "rate", "time", "train", "test", "source", "units")
_NEEDED = ("target", "train")


class DataSection(Section):
    """Either `file` with its arrays and segments, or `teacher`."""

    file: str | None = Field(
        default=None,
        description="A table of text (.csv, .txt, .tsv, .lvm), .npy, .npz, .nc, .h5 or .mat, beside this file or in "
        "the folder LABRHEL_DATA.",
    )
    source: str = Field(default="", description="Where the file can be had; said when it is not found.")
    input: Names = Field(
        default=None, description="Names of the input arrays, one column per model input; left out: nothing drives it."
    )
    target: Names = Field(default=None, description="Names of the target arrays, one column per output.")
    start: Names = Field(
        default=None,
        description="Names of arrays whose values at the first sample of a segment are where oscillators 1, 2 ... "
        "start, beside where the model starts them; left out: nowhere else.",
    )
    rate: NameOrRate = Field(
        default=None,
        description="Samples per second: a number, or the name of an array; left out: as the file or `time` says. "
        "Compared with the file's own axis of time.",
    )
    time: str | None = Field(
        default=None,
        description="The array that holds the time of each sample; left out: the one that the file calls time; none: "
        "no axis is looked at.",
    )
    units: dict[str, str] = Field(
        default={},
        description="Units of arrays, such as {y: mV}, where the file does not say; turned into the model's.",
    )
    train: Segments | None = Field(default=None, description="Segments to learn from; each is started from rest.")
    test: dict[Name, TestSegments] = Field(default={}, description="Named segments to test on.")
    teacher: Teacher | None = Field(default=None, description="Makes data instead of reading a file.")
    interpolation: Literal["hold", "linear", "cubic", "band_limited"] = Field(
        default="cubic", description="How the input is read between its samples; hold only for unfiltered converters."
    )
    substeps: Count = Field(default=1, description="Integrator steps from one sample to the next.")
    skip: Index = Field(default=0, description="Samples at the start of each segment that do not count.")
    batch: Count | None = Field(default=None, description="Sequences in each gradient; left out: all.")

    @model_validator(mode="after")
    def _one_origin(self) -> DataSection:
        if (self.file is None) == (self.teacher is None):
            raise ValueError("data comes either from a file or from a teacher; give one of the two")
        given = self.model_fields_set
        if self.teacher is not None and given & set(_OF_A_FILE):
            raise ValueError(f"{sorted(given & set(_OF_A_FILE))[0]!r} belongs to a file, not to a teacher")
        missing = [name for name in _NEEDED if getattr(self, name) is None]
        if self.file is not None and missing:
            raise ValueError(f"a file needs {missing[0]!r} as well")
        return self
