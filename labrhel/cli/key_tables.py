"""Keys of files as tables for their page, from what checks them; `python -m labrhel.cli.key_tables PAGE` renews one.

A page says where a table stands, and the lines of it that follow are made:

    <!-- keys of MODULE.CLASS -->      a `Section`: key, what it takes, what is meant where it is left out, meaning
    <!-- options of instruments -->    drivers: kind, and what `init` may say, in the words of the driver
    <!-- virtual instruments -->       their outputs, inputs and options
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from labrhel import plugins
from labrhel.config.fields import Section

_MARK = re.compile(r"(<!-- (.+?) -->\n)(?:\|.*\n)*")
_VIRTUAL_FILES = "simbackend.virtual_bench.station.spec"
_WORDS = {"number": "number", "string": "text", "integer": "whole number", "boolean": "true or false"}


def renewed(page: str) -> str:
    """The page with all of its tables as they are now.  Raises ValueError for a mark that means nothing."""
    return _MARK.sub(lambda found: found[1] + "".join(f"{line}\n" for line in _table(found[2])), page)


def _table(mark: str) -> Iterator[str]:
    if mark.startswith("keys of "):
        module, _, name = mark.removeprefix("keys of ").rpartition(".")
        yield from keys(getattr(import_module(module), name))
    elif mark == "options of instruments":
        yield from _rows(("type", "`init`"), [(f"`{kind}`", _init(made)) for kind, made in sorted(_drivers())])
    elif mark == "virtual instruments":
        yield from _virtual()
    else:
        raise ValueError(f"there is no table {mark!r}")


def keys(section: type[Section]) -> Iterator[str]:
    """The lines of the table of one section's keys."""
    schema = section.model_json_schema()
    if "anyOf" in schema:  # also written as a bare number or list
        schema = next(form for form in schema["anyOf"] if "properties" in form)
    needed = schema.get("required", ())
    yield from _rows(
        ("key", "takes", "left out", "meaning"),
        [
            (f"`{name}`", _takes(item), "needed" if name in needed else _default(item), item.get("description", ""))
            for name, item in schema["properties"].items()
        ],
    )


def _takes(item: dict[str, Any]) -> str:
    """What a key takes, in words; a number that may have its unit is one or a text."""
    if "anyOf" in item:
        kinds = list(dict.fromkeys(_takes(one) for one in item["anyOf"] if one.get("type") != "null"))
        return "number, or one with its unit" if kinds == ["number", "text"] else " or ".join(kinds)
    if "title" in item and item["title"] == "step":
        return "step"
    if "enum" in item:
        return " or ".join(f"`{word}`" for word in item["enum"])
    if "$ref" in item:
        return "mapping, below"
    if item.get("type") == "array":
        return f"list of {_takes(item['items'])}"
    if item.get("type") == "object":
        inner = item.get("additionalProperties")
        return f"by name: {_takes(inner)}" if isinstance(inner, dict) else "mapping"
    return _WORDS.get(item.get("type", ""), "any")


def _default(item: dict[str, Any]) -> str:
    value = item.get("default")
    if isinstance(value, dict):  # a number with its unit; or the section below, with what is left out in it
        value = f"{value['value']:g} {value['unit']}".strip() if value.keys() == {"value", "unit"} else None
    value = ", ".join(map(str, value)) if isinstance(value, list) else value
    return "" if value in (None, "", [], {}) else f"{value:g}" if isinstance(value, float) else str(value).lower()


def _drivers() -> Iterator[tuple[str, Any]]:
    yield from plugins.instrument_drivers().items()


def _init(made: Any) -> str:
    paragraphs = inspect.cleandoc(made.__doc__ or "").split("\n\n")
    said = next((words for words in paragraphs[1:] if words.startswith("`")), "nothing of its own")
    return " ".join(said.split())


def _virtual() -> Iterator[str]:
    rows, known = [], import_module(_VIRTUAL_FILES).InstrumentSection.model_fields
    for kind in plugins.virtual_instruments():
        made = plugins.virtual_instrument(kind)
        options = ", ".join(f"`{name}`" for name in made.options if name in known) or "none"
        ends = [", ".join(f"`{name}`" for name in _spans(names)) for names in (made.outputs, made.inputs)]
        rows.append((f"`{kind}`", ", ".join(made.models), *ends, options))
    yield from _rows(("kind", "models", "outputs", "inputs", "options"), rows)


def _spans(names: Sequence[str]) -> list[str]:
    """`ch1` to `ch24` as one, where there are many."""
    counted = [name for name in names if re.fullmatch(r"ch\d+", name)]
    if len(counted) <= 4:
        return list(names)
    return [f"{counted[0]}` to `{counted[-1]}", *(name for name in names if name not in counted)]


def _rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (heads, ["---"] * len(heads), *rows):
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(renewed(file.read_text(encoding="utf-8")), encoding="utf-8")
