"""Lines of a text file, whatever it is encoded in, a block at a time: a file of gigabytes is never in memory."""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labrhel.data.formats.interface import UnreadableError

_BLOCK = 1 << 20  # characters
_LONGEST = 1 << 20  # characters of a line
_SAMPLE = 1 << 16  # bytes that tell the encoding
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True, slots=True)
class Block:
    """Lines without their ends; `first` is the number of the first, counted from 1.

    The last line of the `last` block is what follows the last end of a line: "" in most files.
    """

    first: int
    lines: list[str]
    last: bool = False


def encoding_of(file: Path) -> str:
    """By its mark of byte order, by zeros between letters, or as UTF-8 if its head is that; else the one of Windows."""
    with file.open("rb") as opened:
        head = opened.read(_SAMPLE)
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) > len(head) // 8 and min(even, odd) == 0:  # ASCII, in two bytes a letter
        return "utf-16-le" if odd else "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def blocks(file: Path, encoding: str, characters: int = _BLOCK) -> Iterator[Block]:
    """All lines, which may end in LF, CR LF, CR CR LF or CR.

    Bytes that are no letters become U+FFFD: in a comment they do no harm, and no number holds one.  Raises
    UnreadableError for binary zeros and for a line without end.
    """
    number, rest = 1, ""
    # Universal newlines: CR LF and CR arrive as LF.  CR CR LF becomes an empty line more.
    with file.open(encoding=encoding, errors="replace", newline=None) as opened:
        while True:
            text = opened.read(characters).replace("\x1a", "")  # the end of a file, as DOS wrote it
            if "\0" in text:
                line = number + (rest + text).partition("\0")[0].count("\n")
                raise UnreadableError(f"line {line} holds binary zeros: it is no text, or damaged")
            lines = (rest + text).split("\n")
            if not text:
                yield Block(number, lines, last=True)
                return
            rest = lines.pop()
            if len(rest) > _LONGEST:
                raise UnreadableError(f"line {number + len(lines)} does not end within {_LONGEST} characters")
            if lines:
                yield Block(number, lines)
            number += len(lines)


def head_of(file: Path, encoding: str, characters: int = 1 << 18) -> tuple[list[str], bool]:
    """The first lines, those that are whole, and whether they are all that there are."""
    lines: list[str] = []
    for block in itertools.islice(blocks(file, encoding, characters), 2):
        if block.last or not lines:
            lines += block.lines
        if block.last:
            return lines, True
    return lines, False
