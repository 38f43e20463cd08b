"""Configurations of stacks: the recurrent model of the RHEL paper on a set of labelled sequences.

A stack has no rig, ports or knobs of its own, so its sections are others than those of a rig; `model: {kind: hssm}`
tells the two apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, WithJsonSchema, model_validator

from labrhel.config.changes import read_changed
from labrhel.config.fields import AutoOrPositive, Count, Positive, Section, Size
from labrhel.config.problems import describe, sentence
from labrhel.config.reader import Source, parse
from labrhel.errors import ConfigurationError

KIND = "hssm"

_MOST_PARAMETERS = 1 << 27

Fraction = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Seeds = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]


EngineName = Literal["echoes", "difference", "adjoint", "bptt", "pumped", "spsa"]
EstimatorName = Literal["one_sided", "symmetric", "four_point"]
UnitName = Literal["linear", "complex", "nonlinear", "damped", "damped_nonlinear"]


def _begins(value: Any, below: float) -> float | tuple[float, float]:
    ends: list[Any] = value if isinstance(value, list) and len(value) == 2 else [value]
    if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends):
        raise ValueError(f"expected a number, or [LOW, HIGH], not {describe(value)}")
    for end in ends:
        if not end > 0:
            raise ValueError(f"must be > 0, not {end}")
        if not end < below:
            raise ValueError(f"must be < {below:g}, not {end}")
    if len(ends) == 1:
        return float(ends[0])
    if not ends[0] < ends[1]:
        raise ValueError(f"is [LOW, HIGH]: {ends[0]:g} is not below {ends[1]:g}")
    return float(ends[0]), float(ends[1])


_POSITIVE = {"type": "number", "exclusiveMinimum": 0}
_BETWEEN = {"type": "array", "items": _POSITIVE, "minItems": 2, "maxItems": 2}
_WRITTEN = WithJsonSchema({"anyOf": [_POSITIVE, _BETWEEN]})
Beginning = Annotated[Any, AfterValidator(partial(_begins, below=math.inf)), _WRITTEN]
BeginningWithin = Annotated[Any, AfterValidator(partial(_begins, below=1.0)), _WRITTEN]
_ALL = "Where all begin, or [LOW, HIGH]: drawn with a uniform logarithm; left out: drawn"


class UnitStepSection(Section):
    """The time step of each oscillator, below 1 [model time]."""

    initial: BeginningWithin | None = Field(default=None, description=f"{_ALL}, near 0.6.")
    trained: bool = Field(default=True, description="Whether it is trained.")


class UnitFrictionSection(Section):
    """The friction g of each oscillator of a damped unit [1/model time]: it forgets in about 2/g."""

    initial: Beginning | None = Field(default=None, description=f"{_ALL} from 0.01 to 1.")
    trained: bool = Field(default=True, description="Whether it is trained.")


class UnitStiffnessSection(Section):
    """The stiffness of each oscillator: A of linear units, alpha of nonlinear ones [1/model time^2]."""

    initial: Beginning | None = Field(default=None, description=f"{_ALL} from 0.05 to 1.")
    trained: bool = Field(default=True, description="Whether it is trained.")


class StackModelSection(Section):
    """Encoder, blocks of one recurrent unit each, and the read-out that the data ask for."""

    kind: Literal["hssm"] = Field(description="Hamiltonian state-space model.")
    unit: UnitName | Annotated[list[UnitName], Field(min_length=1)] = Field(
        default="linear", description="The recurrent unit of every block, or a list with one for each block."
    )
    step: UnitStepSection = Field(default=UnitStepSection(), description="The time steps of the units.")
    friction: UnitFrictionSection | None = Field(default=None, description="The friction of the damped units.")
    stiffness: UnitStiffnessSection = Field(default=UnitStiffnessSection(), description="The stiffness of the units.")
    blocks: Size = Field(description="Number of blocks.")
    hidden: Size = Field(description="Features between the blocks.")
    state: Size = Field(description="Oscillators in each unit.")
    dropout: Fraction = Field(default=0.05, description="Share of the features that each training pass leaves out.")
    time_channel: bool = Field(default=False, description="Whether time, 0 to 1, is added as an input channel.")

    @property
    def units(self) -> list[UnitName]:
        """The unit of each block."""
        return self.unit if isinstance(self.unit, list) else [self.unit] * self.blocks

    @model_validator(mode="after")
    def _one_unit_for_each_block(self) -> StackModelSection:
        if len(self.units) != self.blocks:
            raise ValueError(
                f"'unit' lists {len(self.units)} units for {self.blocks} blocks; give one for each, or one for all"
            )
        if self.friction is not None and not any(name.startswith("damped") for name in self.units):
            raise ValueError(
                "'friction' belongs to damped units; use unit: damped or damped_nonlinear, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _fits(self) -> StackModelSection:
        # Matrices between features, and between features and oscillators; units hold one between oscillators at most.
        numbers = self.blocks * (self.hidden + self.state) ** 2
        if numbers > _MOST_PARAMETERS:
            raise ValueError(
                f"{self.blocks} blocks of {self.hidden} features and {self.state} oscillators may hold {numbers:.3g} "
                f"parameters, and {_MOST_PARAMETERS:.3g} are the most: give fewer"
            )
        return self


class StackProtocolSection(Section):
    """How the units are differentiated; everything between them is differentiated on the host."""

    engine: EngineName = Field(
        default="echoes",
        description="Physical echoes, their difference form, the reversible adjoint, or a tape. To compare with: "
        "pumped, echoes that pump lost energy back; spsa, two losses with all parameters moved at random.",
    )
    eps: AutoOrPositive = Field(default=None, description="Strength of the nudge; auto aims at a small response.")
    estimator: EstimatorName = Field(
        default="symmetric", description="Which echoes are combined; error of order eps, eps^2, eps^4."
    )
    precision: Literal["float32", "float64"] = Field(default="float64", description="Type of all numbers.")

    @model_validator(mode="after")
    def _of_echoes(self) -> StackProtocolSection:
        if self.estimator != "symmetric" and self.engine not in ("echoes", "pumped"):
            raise ValueError(
                f"'estimator' combines physical echoes; the engine {self.engine} has none: take engine: echoes, or "
                "leave out 'estimator'"
            )
        return self


class StackOptimizerSection(Section):
    """Adam, for each seed from the start; a seed decides the split, the initial values and all that is random."""

    kind: Literal["adam"] = Field(default="adam", description="The optimizer.")
    rate: Positive = Field(default=1e-3, description="Learning rate.")
    epochs: Count = Field(default=50, description="Passes through the training set, for each seed.")
    batch: Count = Field(default=32, description="Sequences in each gradient.")
    seeds: Seeds = Field(default=[0, 1, 2, 3, 4], description="Trained one after the other; the mean is reported.")


class WindowsSection(Section):
    """How a subject's record is cut, in readings of the heart rate (2 s each)."""

    length: Count = Field(description="Readings in each window.")
    every: Count = Field(description="Readings from the start of one window to the start of the next.")


class TaskSection(Section):
    """A made problem; the first three kinds are drawn anew for each seed."""

    kind: Literal["decay", "adding", "copy_memory", "classes", "heart_rate"] = Field(
        description="A leaky integral of noise, the sum of two marked numbers, symbols to repeat after a wait; or "
        "series in place of a data set, drawn once for all seeds: of classes, or of a heart rate."
    )
    steps: Count = Field(description="Length of each sequence; of a heart rate the readings of each subject.")
    sequences: Count = Field(default=200, description="Number of sequences, those to stop by and to test on included.")
    channels: Count | None = Field(default=None, description="Channels of each series of classes; left out: 6.")
    classes: Count | None = Field(default=None, description="Number of classes; left out: 2.")

    @model_validator(mode="after")
    def _shaped(self) -> TaskSection:
        if self.kind != "classes" and (self.channels, self.classes) != (None, None):
            raise ValueError(f"'channels' and 'classes' belong to kind: classes, not to kind: {self.kind}")
        return self


class StackDataSection(Section):
    """One of `file`, of the UEA archive, `folder`, PPG-DaLiA's heart rate, `images`, and `task`, which is made.

    Split 70/15/15 at random, if not as it was given.
    """

    file: str | None = Field(
        default=None, description="NAME.npz or NAME_TRAIN.ts, beside this file or in the folder LABRHEL_DATA."
    )
    folder: str | None = Field(
        default=None, description="Folder of S1/S1.pkl and so on, beside this file or in the folder LABRHEL_DATA."
    )
    task: TaskSection | None = Field(default=None, description="A made problem, for which no data are needed.")
    images: str | None = Field(
        default=None,
        description="Images read pixel by pixel: digits (scikit-learn's, 8 x 8), or a file such as mnist.npz.",
    )
    split: Literal["merged", "given"] = Field(
        default="merged",
        description="Training and test set merged, duplicates dropped, and split anew, or as they were given.",
    )
    windows: WindowsSection | None = Field(
        default=None, description="Windows of a folder, or of a made heart rate; left out: the paper's."
    )

    @model_validator(mode="after")
    def _one_origin(self) -> StackDataSection:
        if sum(origin is not None for origin in (self.file, self.folder, self.task, self.images)) != 1:
            raise ValueError("data comes from a file or from a folder, or is a task, or images; give one of them")
        if self.split != "merged" and self.file is None and self.images is None:
            raise ValueError(f"split: {self.split} belongs to a file or to images")
        makes_windows = self.folder is not None or (self.task is not None and self.task.kind == "heart_rate")
        if self.windows is not None and not makes_windows:
            other = "file" if self.file is not None else "task" if self.task is not None else "set of images"
            raise ValueError(f"'windows' belongs to a folder, not to a {other}")
        return self


class StackInterlocksSection(Section):
    """What a training is stopped for; a gradient that is no number stops it always."""

    ruined: Share = Field(
        default=0.5, description="Largest share of an epoch's gradients of which nothing is left but rounding."
    )
    instead: Literal["difference", "adjoint", "bptt"] | None = Field(
        default=None, description="The engine that takes over where there are more of them; left out: training stops."
    )


class StackConfig(Section):
    """A stack, how it is trained, and on what."""

    model: StackModelSection = Field(description="The stack.")
    protocol: StackProtocolSection = Field(default=StackProtocolSection(), description="How gradients are found.")
    interlocks: StackInterlocksSection = Field(
        default=StackInterlocksSection(), description="What a training is stopped for."
    )
    optimizer: StackOptimizerSection = Field(default=StackOptimizerSection(), description="How it is trained.")
    data: StackDataSection = Field(description="What it learns.")

    def by(self, engine: EngineName) -> StackConfig:
        """The same with this engine; another one than the file's has its nudge chosen, and no echoes to combine."""
        if engine == self.protocol.engine:
            return self
        changes = {"engine": engine, "eps": None, "estimator": "symmetric"}
        return self.model_copy(update={"protocol": self.protocol.model_copy(update=changes)})


@dataclass(frozen=True, slots=True)
class StackDocument:
    """A checked configuration of a stack and where it came from."""

    config: StackConfig
    source: Source

    @contextmanager
    def at(self, *path: str | int) -> Iterator[None]:
        """Give a ConfigurationError that knows no line of the configuration the file, line and key of `path`."""
        try:
            yield
        except ConfigurationError as error:
            if error.file == self.source.file:
                raise
            raise self.source.error(str(error), *path) from None


def kind_of(source: Source) -> Any:
    """The `kind` that the model section names, None if it names none; nothing is checked."""
    model = source.data.get("model")
    return model.get("kind") if isinstance(model, dict) else None


def load_stack(file: Path, changes: Sequence[str] = ()) -> StackDocument:
    """Read and check a file, with `changes` (KEY=VALUE) in place of what it says.

    Raises ConfigurationError with file, line and key.
    """
    return _checked(read_changed(file, changes))


def stack_of(sections: Mapping[str, Any], name: str) -> StackDocument:
    """The same of sections as plain data, such as one training of a table; `name` stands for the file.

    Raises ConfigurationError.
    """
    from ruamel.yaml import YAML

    stream = StringIO()
    YAML(typ="safe", pure=True).dump(dict(sections), stream)
    file = Path(f"{name}.yaml")
    return _checked(Source(file, stream.getvalue(), *parse(stream.getvalue(), file)))


def _checked(source: Source) -> StackDocument:
    try:
        return StackDocument(StackConfig.model_validate(source.data), source)
    except ValidationError as error:
        raise sentence(source, error) from None
