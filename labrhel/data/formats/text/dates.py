"""Which of two numbers in front of a year is the day: 03/04/2026 is the third of April, or the fourth of March.

A number above 12, in whatever row of the column, decides; points between the numbers stand behind the day everywhere.
Where all rows are of one day, nothing depends on it.
"""

from __future__ import annotations

import re
from pathlib import Path

from labrhel.data.formats.interface import UnreadableError
from labrhel.data.formats.text.aside import is_comment
from labrhel.data.formats.text.dialect import Dialect
from labrhel.data.formats.text.lines import blocks

_DATED = re.compile(r"\s*(\d\d?)([-/.])(\d\d?)\2(\d{4})(?=[T ,])", re.ASCII)
_DECIDES = re.compile(r"(?:(?:1[3-9]|[23]\d)[-/.]\d\d?|\d[-/.](?:1[3-9]|[23]\d))[-/.]\d{4}", re.ASCII)


def has_two_orders(cell: str) -> bool:
    """Whether a time begins with a date whose year comes last."""
    return _DATED.match(cell) is not None


def are_days_first(file: Path, encoding: str, dialect: Dialect, first: int, place: int, name: str) -> bool:
    """Whether the day comes first in the dates of a column, which begin in line `first`, by all of them.

    Raises UnreadableError, with the line, where the date changes and no row decides.
    """
    begin, sign, other = "", "", None
    for block in blocks(file, encoding):
        for number, line in enumerate(block.lines, block.first):
            if number < first or (begin and begin in line and not _DECIDES.search(line)) or is_comment(line):
                continue
            row = dialect.row(line)
            date = _DATED.match(row[place]) if place < len(row) else None
            if date is None:
                continue
            if int(date[1]) > 12 or int(date[3]) > 12:
                return int(date[1]) > 12
            sign, begin = date[2], begin or date[0]
            if other is None and date[0] != begin and not (int(date[1]) == int(date[3]) and _is_double(begin)):
                other = number, date[0].strip()
    if other is not None and sign != ".":
        number, words = other
        raise UnreadableError(
            f"line {number}: in {words!r} under {name!r} the day may be the first number or the second, and no row of "
            "that column decides: write dates as 2026-04-03"
        )
    return True


def _is_double(date: str) -> bool:
    parts = re.split("[-/.]", date.strip())
    return int(parts[0]) == int(parts[1])
