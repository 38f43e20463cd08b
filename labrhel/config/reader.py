"""YAML text -> plain data, and the line of every key.

YAML 1.2, so that `1e-3` is a number and `on` is a word.  Duplicate keys are errors: the second would silently win.
Every number is finite: an infinite limit is none, and whatever is computed from it is wrong somewhere else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from labrhel.errors import ConfigurationError
from labrhel.safety.plain_files import read_plain

_MOST_VALUES = 300_000
KeyPath = tuple[str | int, ...]
"""Where a value stands: keys and list positions from the top of the file."""

_FLOAT = "tag:yaml.org,2002:float"
_WORDS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")  # `<<` merges another mapping


@dataclass(frozen=True, slots=True)
class Source:
    """A configuration file as read: its text, its data, and the line (from 1) of each key path.

    `given`: where the command line has put values that do not stand in the file (`labrhel.config.changes`).
    """

    file: Path
    text: str
    data: dict[str, Any]
    lines: dict[KeyPath, int]
    given: frozenset[KeyPath] = frozenset()

    def error(self, problem: str, *path: str | int) -> ConfigurationError:
        """A ConfigurationError at `path`, or at the nearest part of it that stands in the file."""
        known = self._standing(path)
        if any(known[: len(place)] == place for place in self.given):
            return ConfigurationError(problem, file=Path("--set"), key=spell(known))
        return ConfigurationError(problem, file=self.file, line=self.lines.get(known, 1), key=spell(known))

    def place(self, *path: str | int) -> str:
        """Where `path` stands, as errors name it: "station.yaml:12: rig.ports.u1"."""
        known = self._standing(path)
        return f"{self.file}:{self.lines.get(known, 1)}: {spell(known)}"

    def _standing(self, path: KeyPath) -> KeyPath:
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        return known


def spell(path: KeyPath) -> str:
    """A key path as one writes it: `data.train.starts[2]`."""
    words = ""
    for part in path:
        words += f"[{part}]" if isinstance(part, int) else f".{part}" if words else str(part)
    return words


def read(file: Path) -> Source:
    """Read a file; raises ConfigurationError if it is missing, unreadable or not a YAML mapping."""
    try:
        text = read_plain(file).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        words = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(f"the configuration cannot be read: {words}", file=file) from None
    data, lines = parse(text, file)
    return Source(file, text, data, lines)


def parse(text: str, file: Path) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """Plain data and lines from YAML text; `file` is named in errors."""
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        data = YAML(typ="safe", pure=True).load(text)
        root = YAML(typ="safe", pure=True).compose(text)
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1
        key = error.problem.split('"')[1]  # ruamel says: found duplicate key "rate" with value ...
        raise ConfigurationError(f"the key {key!r} stands twice; keep one", file=file, line=line) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = f"this is not valid YAML: {error.problem or error.context}"
        raise ConfigurationError(words, file=file, line=mark.line + 1 if mark else None) from None
    except (YAMLError, ValueError) as error:
        raise ConfigurationError(f"this is not valid YAML: {str(error).splitlines()[0]}", file=file) from None
    except RecursionError:
        raise ConfigurationError("the lists and mappings are nested too deeply", file=file) from None
    if not isinstance(data, dict):
        raise ConfigurationError("a configuration is a mapping of sections such as model: and data:", file=file, line=1)
    lines = dict(islice(_lines(root, (), (), file), _MOST_VALUES + 1))
    if len(lines) > _MOST_VALUES:  # a few lines that repeat each other by name (&a, *a) can stand for any number
        raise ConfigurationError(f"the file stands for more than {_MOST_VALUES:,} values; nobody wrote them", file=file)
    return data, lines


def _lines(node: Any, path: KeyPath, above: tuple[Any, ...], file: Path) -> Iterator[tuple[KeyPath, int]]:
    """The line of each key below `node`, which stands inside the nodes `above`."""
    from ruamel.yaml.nodes import MappingNode, SequenceNode

    line = node.start_mark.line + 1
    if any(node is outer for outer in above):
        raise ConfigurationError("this value contains itself", file=file, line=line, key=spell(path))
    inside = (*above, node)
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if key.tag not in _WORDS:
                written = key.value if isinstance(key.value, str) else "a list or a mapping"
                words = f"keys are words, not {written}; a word that looks like a number needs quotes"
                raise ConfigurationError(words, file=file, line=key.start_mark.line + 1, key=spell(path))
            yield (*path, key.value), key.start_mark.line + 1
            yield from _lines(value, (*path, key.value), inside, file)
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            yield (*path, index), item.start_mark.line + 1
            yield from _lines(item, (*path, index), inside, file)
    elif node.tag == _FLOAT and not _is_finite(node.value):
        key = next(path[:end] for end in range(len(path), -1, -1) if not end or isinstance(path[end - 1], str))
        raise ConfigurationError("every value must be a finite number", file=file, line=line, key=spell(key))


def _is_finite(written: str) -> bool:
    """Of a number as YAML writes it: `.inf`, `-.NaN` and 1e999 are not."""
    number = written.lower().replace("_", "")
    return not number.endswith((".inf", ".nan")) and math.isfinite(float(number))
