"""Configuration files: YAML in, checked values out, every mistake one sentence with file, line and key."""

from labrhel.config.document import Config, Document, json_schema, load
from labrhel.config.examples import examples, find

__all__ = ["Config", "Document", "examples", "find", "json_schema", "load"]
