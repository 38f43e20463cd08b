"""The whole configuration file, its schema, and how it is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from labrhel.config.changes import read_changed
from labrhel.config.code import CodeBeside
from labrhel.config.data import DataSection
from labrhel.config.fields import Section
from labrhel.config.health import HealthSection
from labrhel.config.imperfections import ImperfectionsSection
from labrhel.config.interlocks import InterlocksSection
from labrhel.config.model import ModelSection
from labrhel.config.problems import sentence
from labrhel.config.reader import Source
from labrhel.config.rigs import Rigs, urls_of
from labrhel.config.stack import KIND, StackConfig, kind_of
from labrhel.config.telemetry import TelemetrySection
from labrhel.config.training import OptimizerSection, ProtocolSection
from labrhel.config.wiring import MapSection
from labrhel.errors import ConfigurationError


class Config(Section):
    """An experiment: model, rig, wiring, protocol, optimizer and data; only `model` is always needed."""

    model: ModelSection = Field(description="The nominal model of the rig.")
    rig: Rigs = Field(
        default="sim:",
        description="URL of the rig; `labrhel rigs` lists the kinds; or in a file beside this one: my_rig.py:open_rig. "
        "A list of several deals the sequences of each batch to them.",
    )
    imperfections: ImperfectionsSection = Field(
        default=ImperfectionsSection(), description="The device that the rig sim:THIS_FILE.yaml simulates."
    )
    map: MapSection = Field(default=MapSection(), description="Wiring of ports and knobs; ideal where left out.")
    protocol: ProtocolSection = Field(default=ProtocolSection(), description="How a gradient is measured.")
    interlocks: InterlocksSection = Field(default=InterlocksSection(), description="What a run is stopped for.")
    health: HealthSection | None = Field(default=None, description="When a run doubts its calibration.")
    optimizer: OptimizerSection = Field(default=OptimizerSection(), description="How the parameters are moved.")
    data: DataSection | None = Field(default=None, description="Inputs and targets; needed to train.")
    telemetry: TelemetrySection | None = Field(default=None, description="Where the run is published, over MQTT.")

    @property
    def rigs(self) -> tuple[str, ...]:
        """The URL of the rig, or of each."""
        return urls_of(self.rig)


@dataclass(frozen=True, slots=True)
class Document:
    """A checked configuration and where it came from; `source.error` makes errors that name file, line and key.

    `code` finds the classes and functions that it names as `my_file.py:Name`.
    """

    config: Config
    source: Source
    code: CodeBeside

    @contextmanager
    def at(self, *path: str | int) -> Iterator[None]:
        """Give a ConfigurationError that knows no place the file, line and key of `path`."""
        try:
            yield
        except ConfigurationError as error:
            if error.file is not None:
                raise
            raise self.source.error(error.problem, *path) from None


def load(
    file: Path, home: Path | None = None, recorded: Mapping[str, str] | None = None, changes: Sequence[str] = ()
) -> Document:
    """Read and check a file that describes a rig; raises ConfigurationError with file, line and key.

    Code that it names lies in `home`, its own folder if left out; `recorded`: the digests it must have, by the record
    of the run that the file comes from.  `changes`: KEY=VALUE, in place of what the file says.
    """
    source = read_changed(file, changes)
    if kind_of(source) == KIND:
        raise source.error(f"a model of kind {KIND} is not a rig's: only `labrhel run` takes it", "model", "kind")
    try:
        config = Config.model_validate(source.data)
    except ValidationError as error:
        raise sentence(source, error) from None
    return Document(config, source, CodeBeside(file.parent if home is None else home, recorded))


def json_schema() -> dict[str, Any]:
    """The JSON schema that editors use to complete and check configurations (docs/config.schema.json)."""
    whole = {item.__name__: _tidy(item.model_json_schema(mode="validation")) for item in (Config, StackConfig)}
    parts = {name: part for schema in whole.values() for name, part in schema.pop("$defs").items()}
    is_stack = {"properties": {"model": {"properties": {"kind": {"const": KIND}}, "required": ["kind"]}}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "labrhel configuration",
        "if": {**is_stack, "required": ["model"]},
        "then": {"$ref": "#/$defs/StackConfig"},
        "else": {"$ref": "#/$defs/Config"},
        "$defs": {**parts, **whole},
    }


def _tidy(schema: Any) -> Any:
    """Leave out titles that repeat the key, and defaults of null, which no file may write."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _tidy(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str)) and not (key == "default" and value is None)
    }
