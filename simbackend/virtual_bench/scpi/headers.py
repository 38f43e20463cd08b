"""Program headers of SCPI: which command a client means, in long or short form, with its numeric suffixes.

A pattern is written as manuals write it: capitals are the short form, brackets hold what may be left out, `#` stands
for a numeric suffix that is 1 when left out:  `[SOURce#:]VOLTage[:LEVel]:OFFSet?`.
Source: SCPI-99 volume 1, chapter 6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Generic, TypeVar

Handler = TypeVar("Handler")

_TOKEN = re.compile(r"([A-Z_]+)([a-z]*)|([\[\]:#*?])|(\d+)")
_PARTS = {"[": "(?:", "]": ")?", ":": ":", "#": r"(\d*)", "*": r"\*", "?": r"\?"}
_REMEMBERED = 4096  # headers; a client uses some dozens


@lru_cache(maxsize=4096)
def pattern_of(words: str) -> re.Pattern[str]:
    """The regular expression of one pattern, for headers in capitals and without a leading colon."""
    parts = []
    for short, rest, sign, digits in _TOKEN.findall(words):
        parts.append(_PARTS[sign] if sign else digits + short + (f"(?:{rest.upper()})?" if rest else ""))
    return re.compile("".join(parts))


class HeaderTable(Generic[Handler]):
    """All commands of an instrument; what was looked up once is found at once."""

    def __init__(self, commands: Mapping[str, Handler]) -> None:
        self._commands = [(pattern_of(words), handler) for words, handler in commands.items()]
        self._known: dict[str, tuple[Handler, tuple[int, ...]] | None] = {}

    def find(self, header: str) -> tuple[Handler, tuple[int, ...]] | None:
        """The command that a header names, and its suffixes in order; None if there is no such command."""
        if header not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[header] = self._search(header)
        return self._known[header]

    def _search(self, header: str) -> tuple[Handler, tuple[int, ...]] | None:
        for pattern, handler in self._commands:
            match = pattern.fullmatch(header.upper())
            if match is not None:
                return handler, tuple(int(digits or 1) for digits in match.groups())
        return None
