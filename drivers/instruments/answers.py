"""What instruments answer, as values: the one place where the text of an answer becomes a number, a word, a list.

Every converter takes a text and raises ValueError, in words, for one that is not what it should be.  A link then asks
again what only reads, and names the answer otherwise (`drivers.transport.Link.query_as`), so that `+0`, where a list of
ten numbers was due, is a sentence and no traceback.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_OPEN = 9.9e37
"""How SCPI writes infinity; 9.91e37 is not a number."""
_UNIT = re.compile(r"""(?:[^;"]+|"(?:[^"]|"")*")*""")
_ERROR = re.compile(r"[+-]?\d+\s*(,|$)")
_NO_ERROR = re.compile(r"[+-]?0+\b")


def number(text: str) -> float:
    """A finite number, as SCPI writes it."""
    value = extended(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:60]!r} stands for no number")
    return value


def extended(text: str) -> float:
    """A number or infinity, such as the load of an output that is open."""
    if not _NUMBER.fullmatch(text.strip()):
        raise ValueError(f"{text[:60]!r} is no number")
    value = float(text)
    if abs(value) >= 1.001 * _OPEN:
        return math.nan
    return math.copysign(math.inf, value) if abs(value) >= _OPEN else value


def positive(text: str) -> float:
    """A number above 0."""
    if not (value := number(text)) > 0:
        raise ValueError(f"{text[:60]!r} is not above 0")
    return value


def whole(text: str) -> int:
    """A whole number, however it is written (`+1.00000E+03`)."""
    value = number(text)
    if value != math.floor(value):
        raise ValueError(f"{text[:60]!r} is no whole number")
    return int(value)


def flag(text: str) -> bool:
    """0 or 1, OFF or ON."""
    known = {"0": False, "1": True, "OFF": False, "ON": True}
    word = text.strip().lstrip("+").upper()
    if word not in known:
        raise ValueError(f"{text[:60]!r} is neither 0 nor 1")
    return known[word]


def numbers(count: int) -> Callable[[str], list[float]]:
    """So many finite numbers, with commas between them."""

    def parse(text: str) -> list[float]:
        return [number(part) for part in fields(text, count)]

    return parse


def fields(text: str, count: int) -> list[str]:
    """So many fields between commas, without blanks around them."""
    found = [part.strip() for part in text.split(",")]
    if len(found) != count:
        raise ValueError(f"{text[:60]!r} has {len(found)} fields of {count}")
    return found


def one_of(*words: str) -> Callable[[str], str]:
    """One of these words, whatever the case."""

    def parse(text: str) -> str:
        word = text.strip().strip('"').upper()
        if word not in words:
            raise ValueError(f"{text[:60]!r} is none of {', '.join(words)}")
        return word

    return parse


def units(text: str) -> list[str]:
    """The answers in one message: between semicolons, but for those within quotes."""
    found, at = [], 0
    while True:
        match = _UNIT.match(text, at)
        end = text.find(";", at) if match is None else match.end()
        if end >= len(text) or text[end] != ";":  # the end, or a quote that is never closed
            return [*found, text[at:].strip()]
        found.append(text[at:end].strip())
        at = end + 1


def error(text: str) -> str:
    """What an answer to :SYST:ERR? names; empty for no error.  ValueError for what is no such answer."""
    if not _ERROR.match(text):
        raise ValueError(f"{text[:60]!r} is no answer to a question for errors")
    return "" if _NO_ERROR.match(text) else text


def looks_like_error(text: str) -> bool:
    """Whether a text can be nothing else than an entry of the queue of errors: a number and words in quotes."""
    return re.match(r"[+-]?\d+\s*,\s*\"", text) is not None and not _NO_ERROR.match(text)


def identity_of(text: str) -> list[str | None]:
    """Maker, model, serial number and firmware of what *IDN? answers; None for what it does not say."""
    parts = [part.strip() for part in text.split(",", 3)]
    return [*parts, *[None] * (4 - len(parts))]


def preamble_and_source(answers: list[str]) -> tuple[list[float], str]:
    """What an oscilloscope says of the record that it would send: ten numbers, and the channel it is of."""
    preamble, source = answers
    return numbers(10)(preamble), source.strip()
