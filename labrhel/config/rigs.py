"""The key `rig`: the URL of a rig, or a list of several, to which the sequences of each batch are dealt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema

from labrhel.config.problems import describe

SEPARATOR = ", "
MOST = 64
"""Rigs of one training: each has threads, sockets and a record of its own."""


def _urls(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        found = "an empty list" if value == [] else describe(value)
        raise ValueError(f"expected a word, not {found}: the URL of a rig, or a list of several")
    for url in value:
        if not isinstance(url, str):
            raise ValueError(f"expected a URL for each rig of the list, not {describe(url)}")
    if len(value) > MOST:
        raise ValueError(f"{MOST} rigs are the most, not {len(value)}")
    return value


_SCHEMA = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MOST}]
}
Rigs = Annotated[Any, AfterValidator(_urls), WithJsonSchema(_SCHEMA)]


def urls_of(rig: str | list[str]) -> tuple[str, ...]:
    """The URLs that the key names."""
    return (rig,) if isinstance(rig, str) else tuple(rig)


def said(urls: Sequence[str]) -> str:
    """The rigs in one line, as records, tables and sentences name them."""
    return SEPARATOR.join(urls)


def in_short(said: str) -> str:
    """The same for a cell of a table: the first, and how many more."""
    first, *more = said.split(SEPARATOR)
    return f"{first} and {len(more)} more" if more else said
