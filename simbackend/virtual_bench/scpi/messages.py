"""Program messages on a byte stream: where one ends, its units, and the parameters of a unit.

A message ends at a newline that stands in no definite-length block (`#`, number of digits, length, bytes); its units
are separated by semicolons, parameters by commas, neither of which count inside quotes, parentheses and blocks.
Source: IEEE 488.2, 7.3 to 7.7.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_QUOTED = re.compile(rb"""("[^"]*"|'[^']*'|\([^)]*\))""")
_SPECIAL = re.compile(rb"""["'(#;]""")
_BLANKS = b" \t\r"
_LONGEST = 1 << 28  # bytes of a message; a client that sends more without an end is not speaking SCPI


class Unit(NamedTuple):
    """One command of a message: its header, and its parameters as they came."""

    header: str
    parameters: bytes


class Framer:
    """Cuts a byte stream into messages, without their newline."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._searched = 0  # no message ends before this place

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Messages that `data` completes.  Raises ValueError for one without end."""
        self._kept += data
        while True:
            end = self._end()
            if end is None:
                break
            message = bytes(self._kept[:end]).rstrip(b"\r")
            del self._kept[: end + 1]
            self._searched = 0
            yield message
        if len(self._kept) > _LONGEST:
            raise ValueError(f"a message of more than {_LONGEST} bytes has no end")

    def _end(self) -> int | None:
        while True:
            newline = self._kept.find(b"\n", self._searched)
            block = self._kept.find(b"#", self._searched, newline if newline >= 0 else len(self._kept))
            if block < 0:
                if newline < 0:
                    self._searched = len(self._kept)
                    return None
                return newline
            after = block_end(self._kept, block)
            if after is None or after > len(self._kept):
                return None  # the head of the block, or the block itself, is still on its way
            self._searched = after


def block_end(text: bytes | bytearray, start: int) -> int | None:
    """Where the block ends that begins with `#` at `start`; just behind the `#` if it begins none; None if cut off."""
    if start + 1 >= len(text):
        return None
    digits = text[start + 1] - ord("0")
    if not 1 <= digits <= 9:
        return start + 1
    if len(text) < start + 2 + digits:
        return None
    head = bytes(text[start + 2 : start + 2 + digits])
    return start + 2 + digits + int(head) if head.isdigit() else start + 1


def units(message: bytes) -> Iterator[Unit]:
    """The commands of a message."""
    for part in _split(message, b";"):
        header, *rest = part.lstrip(_BLANKS).split(None, 1)[:2] or [b""]
        if header:
            yield Unit(header.decode("ascii", "replace"), rest[0] if rest else b"")


def split_parameters(parameters: bytes) -> list[bytes]:
    """Parameters at their commas, without the blanks around them; blocks stay as they are."""
    if not parameters.strip(_BLANKS):
        return []
    if _SPECIAL.search(parameters) is None:
        return [item.strip() for item in parameters.split(b",")]
    items = _split(parameters, b",")
    return [item.lstrip() if item.lstrip().startswith(b"#") else item.strip() for item in items]


def block_of(data: bytes, digits: int = 1) -> bytes:
    """`data` as a definite-length block, its length written with at least so many digits."""
    length = str(len(data)).zfill(digits).encode()
    return b"#" + str(len(length)).encode() + length + data


def _split(text: bytes, separator: bytes) -> list[bytes]:
    parts, start, place = [], 0, 0
    wanted = re.compile(rb"""["'(#]|""" + re.escape(separator))
    while (found := wanted.search(text, place)) is not None:
        if found[0] == separator:
            parts.append(text[start : found.start()])
            start = place = found.end()
        elif found[0] == b"#":
            place = min(block_end(text, found.start()) or found.end(), len(text))
        else:
            quoted = _QUOTED.match(text, found.start())
            place = found.end() if quoted is None else quoted.end()
    return [*parts, text[start:]]
