"""One sentence for what pydantic found wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from labrhel.config.reader import Source
from labrhel.errors import ConfigurationError

_EXPECTED = {
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "a word",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "finite_number": "a finite number",
}
_LONGEST = 60  # characters of a wrong value that are shown
_BOUNDS = {"greater_than": ">", "greater_than_equal": ">=", "less_than": "<", "less_than_equal": "<="}


def sentence(source: Source, error: ValidationError) -> ConfigurationError:
    """The mistake that stands first in the file, as a ConfigurationError."""
    found = [_place_and_words(item) for item in error.errors(include_url=False)]
    problems = [source.error(words, *path) for path, words in found]
    first = min(problems, key=lambda problem: problem.line or 0)
    if len(problems) == 1:
        return first
    more = f"{first.problem} (and {len(problems) - 1} more)"
    return ConfigurationError(more, file=first.file, line=first.line, key=first.key)


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint: `did you mean 'eps'?`, or the list of what is known."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(known) or 'none'}"


def describe(value: Any) -> str:
    """A value as the user knows it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the word {value!r}"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return _brief(value)


def _brief(value: Any) -> str:
    """A number or another thing as it is written, unless that fills the screen."""
    written = repr(value)
    return written if len(written) <= _LONGEST else f"{written[:_LONGEST]}..."


def _place_and_words(item: Any) -> tuple[tuple[str | int, ...], str]:
    kind, path, context, value = item["type"], tuple(item["loc"]), item.get("ctx", {}), item["input"]
    if kind == "unknown_key":
        return (*path, context["key"]), item["msg"]
    if kind == "missing":
        return path, f"the key {path[-1]!r} is missing"
    if kind == "literal_error":
        return path, f"expected {context['expected']}, not {describe(value)}"
    if kind == "value_error":
        return path, str(context["error"])
    if kind == "string_pattern_mismatch":
        return path, f"a name is one line of text without a slash, not {describe(value)}"
    if kind in ("too_short", "too_long"):
        least, most = context.get("min_length"), context.get("max_length")
        number = f"at least {least}" if most is None else str(most)
        return path, f"expected {number} item{'' if number.endswith(' 1') else 's'}, not {len(value)}"
    if kind in _EXPECTED:
        return path, f"expected {_EXPECTED[kind]}, not {describe(value)}"
    if kind in _BOUNDS:
        limit = next(iter(context.values()))
        return path, f"must be {_BOUNDS[kind]} {limit:g}, not {_brief(value)}"
    return path, f"{item['msg']}, not {describe(value)}"
