"""Configurations of stacks: the recurrent model of the RHEL paper on a set of labelled sequences.

A stack has no rig, ports or knobs of its own, so its sections are others than those of a rig; `model: {kind: hssm}`
tells the two apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from labrhel.config.fields import AutoOrPositive, Count, Positive, Section
from labrhel.config.problems import sentence
from labrhel.config.reader import Source, read
from labrhel.errors import ConfigurationError

KIND = "hssm"

Fraction = Annotated[float, Field(ge=0, lt=1)]
Seeds = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]


class StackModelSection(Section):
    """Encoder, blocks of one recurrent unit each, and a read-out of the mean over time."""

    kind: Literal["hssm"] = Field(description="Hamiltonian state-space model.")
    unit: Literal["linear", "nonlinear"] = Field(default="linear", description="The recurrent unit of every block.")
    blocks: Count = Field(description="Number of blocks.")
    hidden: Count = Field(description="Features between the blocks.")
    state: Count = Field(description="Oscillators in each unit.")
    dropout: Fraction = Field(default=0.05, description="Share of the features that each training pass leaves out.")
    time_channel: bool = Field(default=False, description="Whether time, 0 to 1, is added as an input channel.")


class StackProtocolSection(Section):
    """How the units are differentiated; everything between them is differentiated on the host."""

    engine: Literal["echoes", "difference", "adjoint", "bptt"] = Field(
        default="echoes", description="Physical echoes, their difference form, the reversible adjoint, or a tape."
    )
    eps: AutoOrPositive = Field(default=None, description="Strength of the nudge; auto aims at a small response.")
    precision: Literal["float32", "float64"] = Field(default="float64", description="Type of all numbers.")


class StackOptimizerSection(Section):
    """Adam, for each seed from the start; a seed decides the split, the initial values and all that is random."""

    kind: Literal["adam"] = Field(default="adam", description="The optimizer.")
    rate: Positive = Field(default=1e-3, description="Learning rate.")
    epochs: Count = Field(default=50, description="Passes through the training set, for each seed.")
    batch: Count = Field(default=32, description="Sequences in each gradient.")
    seeds: Seeds = Field(default=[0, 1, 2, 3, 4], description="Trained one after the other; the mean is reported.")


class StackDataSection(Section):
    """A problem of the UEA archive; training and test set are merged, then split 70/15/15 at random."""

    file: str = Field(description="NAME.npz or NAME_TRAIN.ts, beside this file or in the folder LABRHEL_DATA.")


class StackConfig(Section):
    """A stack, how it is trained, and on what."""

    model: StackModelSection = Field(description="The stack.")
    protocol: StackProtocolSection = Field(default=StackProtocolSection(), description="How gradients are found.")
    optimizer: StackOptimizerSection = Field(default=StackOptimizerSection(), description="How it is trained.")
    data: StackDataSection = Field(description="What it learns.")


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


def load_stack(file: Path) -> StackDocument:
    """Read and check a file; raises ConfigurationError with file, line and key."""
    source = read(file)
    try:
        return StackDocument(StackConfig.model_validate(source.data), source)
    except ValidationError as error:
        raise sentence(source, error) from None
