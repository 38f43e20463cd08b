"""The whole configuration file, its schema, and how it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from labrhel.config.data import DataSection
from labrhel.config.fields import Section
from labrhel.config.model import ModelSection
from labrhel.config.problems import sentence
from labrhel.config.reader import Source, read
from labrhel.config.training import OptimizerSection, ProtocolSection
from labrhel.config.wiring import MapSection


class Config(Section):
    """An experiment: model, rig, wiring, protocol, optimizer and data; only `model` is always needed."""

    model: ModelSection = Field(description="The nominal model of the rig.")
    rig: str = Field("sim:", description="URL of the rig; `labrhel rigs` lists the kinds.")
    map: MapSection = Field(MapSection(), description="Wiring of ports and knobs; ideal where left out.")
    protocol: ProtocolSection = Field(ProtocolSection(), description="How a gradient is measured.")
    optimizer: OptimizerSection = Field(OptimizerSection(), description="How the parameters are moved.")
    data: DataSection | None = Field(None, description="Inputs and targets; needed to train.")


@dataclass(frozen=True, slots=True)
class Document:
    """A checked configuration and where it came from; `source.error` makes errors that name file, line and key."""

    config: Config
    source: Source


def load(file: Path) -> Document:
    """Read and check a file; raises ConfigurationError with file, line and key."""
    source = read(file)
    try:
        return Document(Config.model_validate(source.data), source)
    except ValidationError as error:
        raise sentence(source, error) from None


def json_schema() -> dict[str, Any]:
    """The JSON schema that editors use to complete and check configurations (docs/config.schema.json)."""
    schema = Config.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "labrhel configuration"}
