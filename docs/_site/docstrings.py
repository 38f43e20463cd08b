"""Docstrings are written for readers of code: names in single backticks, indented blocks; here they become Sphinx's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_NAME_OR_STRESSED = re.compile(r"(`[^`]+`|(?<![\w*])\*\w[^*]*\w\*(?![\w*]))")
_MARKUP = re.compile(r"[*|\\]|_(?=\W|$)")


def to_restructured_text(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Change the lines of a docstring in place: names become literals, and what is indented stays as it was typed."""
    lines[:] = _converted("\n".join(lines))


def _converted(text: str) -> Iterator[str]:
    for block in re.split(r"\n\s*\n", text):
        block_lines = block.splitlines()
        if all(line.startswith("    ") for line in block_lines):
            yield from ("", ".. code-block:: text", "", *block_lines, "")
        else:
            yield from (*map(_escaped, block_lines), "")


def _escaped(line: str) -> str:
    """A line with its names as literals, and nothing else that reStructuredText takes for markup."""
    parts = _NAME_OR_STRESSED.split(line)
    parts[::2] = [_MARKUP.sub(r"\\\g<0>", part) for part in parts[::2]]
    parts[1::2] = [f"`{part}`" if part.startswith("`") else part for part in parts[1::2]]
    return "".join(parts)
