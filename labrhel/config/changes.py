"""`--set KEY=VALUE`: a configuration with some of its values changed, as the text that it would be.

The text of the file is spliced, not written anew: comments, order and the way numbers are written stay, and what is
recorded of a run is what ran.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from labrhel.config.reader import KeyPath, Source, parse, read, spell
from labrhel.errors import ConfigurationError

_PART = re.compile(r"([^.\[\]\s=]+)|\[(\d+)\]")
_GIVEN = Path("--set")


def read_changed(file: Path, changes: Sequence[str]) -> Source:
    """Read a file and change what `changes` say, each KEY=VALUE: a dotted key, list positions as `[2]`, and YAML.

    What is changed does not stand in the file, and errors about it name `--set` in its place.  Raises
    ConfigurationError.
    """
    source = read(file)
    for change in changes:
        source = _changed(source, *parsed_change(change))
    return source


def parsed_change(change: str) -> tuple[KeyPath, str]:
    """The path of KEY=VALUE, and the value as JSON, which is YAML on one line.  Raises ConfigurationError."""
    key, sign, text = change.partition("=")
    parts = [int(index) if index else word for word, index in _PART.findall(key)]
    written = spell(tuple(parts))
    if not sign or not parts or written != key.strip() or isinstance(parts[0], int):
        raise ConfigurationError(f"{change!r} is not KEY=VALUE, such as optimizer.steps=20", file=_GIVEN)
    try:
        data, _ = parse("value: " + text.strip().replace("\n", "\n  "), _GIVEN)
    except ConfigurationError as error:
        raise ConfigurationError(error.problem, file=_GIVEN, key=key) from None
    return tuple(parts), json.dumps(data["value"], ensure_ascii=False, default=str)


def _changed(source: Source, path: KeyPath, value: str) -> Source:
    from ruamel.yaml import YAML

    root = YAML(typ="safe", pure=True).compose(source.text)
    key, node, depth = None, root, 0
    while depth < len(path) and (inner := _inside(node, path[depth])) is not None:
        (key, node), depth = inner, depth + 1
    if _stands_twice(root, node):
        words = "this value has a name (&) and stands in several places; change the file"
        raise ConfigurationError(words, file=_GIVEN, key=spell(path))
    missing = path[depth:]
    if missing and (node is None or not (_is_mapping(node) or _is_nothing(node)) or isinstance(missing[0], int)):
        what = spell(path[:depth]) or "the file"
        raise ConfigurationError(f"{what} has no {spell(missing)}", file=_GIVEN, key=spell(path))
    begin, end, text = _splice(node, missing, value)
    if begin == end and _is_nothing(node) and key is not None:  # the mark of nothing is that of what follows it
        begin = end = source.text.index(":", key.end_mark.index) + 1
    whole = source.text[:begin] + text + source.text[end:]
    data, lines = parse(whole, source.file)
    return replace(source, text=whole, data=data, lines=lines, given=source.given | {path[: depth + 1]})


def _splice(node: Any, missing: KeyPath, value: str) -> tuple[int, int, str]:
    """Where in the text, from and to, which words take the place of what stands there."""
    for key in reversed(missing[1:]):
        value = f"{{{json.dumps(key)}: {value}}}"
    begin, end = node.start_mark.index, _end(node)
    if not missing:
        return begin, end, value if begin < end else f" {value}"
    entry = f"{json.dumps(missing[0])}: {value}"
    if _is_nothing(node) or not node.value:
        return begin, end, f" {{{entry}}}"
    first = node.value[0][0].start_mark
    separator = ", " if node.flow_style else "\n" + " " * first.column
    return first.index, first.index, entry + separator


def _inside(node: Any, part: str | int) -> Any:
    """Key (None in a list) and value at a key or position in a node; None if there is none."""
    from ruamel.yaml.nodes import MappingNode, SequenceNode

    if isinstance(node, MappingNode) and isinstance(part, str):
        return next((pair for pair in node.value if pair[0].value == part), None)
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return None, node.value[part]
    return None


def _end(node: Any) -> int:
    """Where a node ends, without the comments and blank lines that follow a block."""
    if isinstance(node.value, list) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    end = node.end_mark.index
    return end - 1 if node.tag.endswith(":str") and getattr(node, "style", None) in ("|", ">") else end


def _stands_twice(root: Any, node: Any) -> bool:
    count, waiting = 0, [root]
    while waiting:
        here = waiting.pop()
        count += here is node
        if isinstance(here.value, list) and here is not node:
            waiting += [item for entry in here.value for item in (entry if isinstance(entry, tuple) else (entry,))]
    return count > 1


def _is_mapping(node: Any) -> bool:
    return node.tag.endswith(":map")


def _is_nothing(node: Any) -> bool:
    return node.tag.endswith(":null")
