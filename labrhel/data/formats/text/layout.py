"""Where the numbers of a text table begin, and what the lines above them say of its columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labrhel.data.formats.interface import UnreadableError
from labrhel.data.formats.text.dialect import Dialect, dialect_of, trimmed
from labrhel.data.formats.text.lines import encoding_of, head_of
from labrhel.data.formats.text.naming import Named, distinct, is_time, named, unique_aliases, unit_of_cell
from labrhel.data.formats.text.numbers import is_mark
from labrhel.data.formats.text.preamble import KEYS, Preamble

COMMENTS = ("#", "%")
"""What a line begins with that is none of the table."""

_LAST = 50  # rows that tell what the columns are, and those of them that tell how many
_SHORT = 12
_FOOTER = 20  # lines below the table, at most
_EARLY = 2  # rows of a preamble that look like rows of the table, at most
_DATE = re.compile(r"(?:19|20)\d\d|\d:\d\d")
_ABOVE = 4  # rows above the table that may be names and units


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table: `place` counts cells from 0; `numeric` or text, such as the time of day."""

    place: int
    name: str
    unit: str
    aliases: tuple[str, ...]
    numeric: bool
    time: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """A table: its first row is in line `first`, counted from 1; rows have `width` cells, without empty ones behind.

    `left`: cells before the first column, in which a preamble may stand beside the numbers.
    """

    encoding: str
    dialect: Dialect
    first: int
    width: int
    left: int
    columns: tuple[Column, ...]
    interval: float | None


def layout_of(file: Path) -> Layout:
    """Find it from the head of the file.

    Raises UnreadableError, with the line, for what is no table, or is one with a line that does not fit.
    """
    encoding = encoding_of(file)
    lines, whole = head_of(file, encoding)
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip(" \t\r\ufeff,;")]
    if not numbered:
        raise UnreadableError("it is empty")
    dialect = dialect_of([line for _, line in numbered if not line.startswith(COMMENTS)] or [numbered[-1][1]])
    rows = [(number, dialect.row(line.lstrip("\ufeff")), line) for number, line in numbered]
    table = _Table(dialect, rows, whole=whole)
    names, units, preamble = table.header()
    return _assembled(encoding, table, names, units, preamble)


class _Table:
    """The rows of the head, and where in them the table is."""

    def __init__(self, dialect: Dialect, rows: list[tuple[int, list[str], str]], *, whole: bool) -> None:
        self.dialect, self._rows = dialect, rows
        end = self._end() if whole else len(rows)
        rows_of_numbers = [row for _, row, line in rows[:end] if not line.startswith(COMMENTS) and self._numbers(row)]
        body = [
            row for row in rows_of_numbers[-_LAST:] if len(row) == _usual([len(r) for r in rows_of_numbers[-_SHORT:]])
        ]
        self.width = max((len(trimmed(row)) for row in body), default=0)
        self.full = max((len(row) for row in body), default=0)
        self.kinds = [self._kind([row[place] for row in body]) for place in range(self.width)]
        if "number" not in self.kinds:
            raise UnreadableError("it holds no column of numbers")
        self.left = next(place for place, kind in enumerate(self.kinds) if kind != "empty")
        self.start = self._start(end)

    @property
    def first(self) -> int:
        """The number of the first line."""
        return self._rows[self.start][0]

    def _end(self) -> int:
        end = len(self._rows)
        while end and len(self._rows) - end < _FOOTER and not self._numbers(self._rows[end - 1][1]):
            end -= 1
        return end if end and len(self._rows) - end < _FOOTER else len(self._rows)

    def _numbers(self, row: Sequence[str]) -> int:
        return sum(self.dialect.notation.is_number(cell) for cell in row)

    def _kind(self, cells: Sequence[str]) -> str:
        if not any(cells):
            return "empty"
        if all(is_mark(cell) or self.dialect.notation.is_number(cell) for cell in cells):
            return "number"
        good = sum(self.dialect.notation.is_number(cell) for cell in cells)
        return "number" if 2 * good > len(cells) else "text"

    def _fits(self, row: Sequence[str]) -> bool:
        """Whether a row can be one of the table: numbers or marks where there are numbers, nothing behind."""
        row = trimmed(row)
        if not self.left < len(row) <= self.width:
            return False
        for place, (cell, kind) in enumerate(zip(row, self.kinds, strict=False)):
            if kind == "number" and not (is_mark(cell) or self.dialect.notation.is_number(cell)):
                return False
            if kind == "empty" and cell and place > self.left:
                return False
        return len(row) == self.width or all(kind != "text" for kind in self.kinds)

    def _start(self, end: int) -> int:
        start = end
        while start and (self._rows[start - 1][2].startswith(COMMENTS) or self._fits(self._rows[start - 1][1])):
            start -= 1
        while start < end and self._rows[start][2].startswith(COMMENTS):
            start += 1
        if start >= end:
            raise self._misfit(end - 1)
        if self._only_counts(start):
            start += 1
        header = next((index for index in reversed(range(start)) if self._is_header(self._rows[index][1])), -1)
        for index in range(header + 1, start):
            _, row, line = self._rows[index]
            if not line.startswith(COMMENTS) and not self._fits(row) and self._looks_damaged(index, header):
                raise self._misfit(index)
            if header >= 0 and self._is_row(row):
                raise self._misfit(start - 1)
        if sum(self._is_row(row) for _, row, _ in self._rows[:start]) > _EARLY:
            raise self._misfit(start - 1)  # a table above, and words between
        return start

    def _is_row(self, row: Sequence[str]) -> bool:
        return self._fits(row) and self._numbers(row) == self.kinds.count("number")

    def _looks_damaged(self, index: int, header: int) -> bool:
        """Whether a row between the names and the table is one of the table, with something that does not fit."""
        _, row, line = self._rows[index]
        cells = trimmed(row)
        word = cells[0].lower()
        if word in KEYS or "=" in line or (word.endswith(":")):
            return False
        letters = any(letter.isalpha() for letter in line.lower().replace("e", ""))
        digits = any(letter.isdigit() for letter in line)
        if digits and not letters:
            return header >= 0 or not _DATE.search(line)
        if self.dialect.notation.is_number(cells[0]):
            return True
        whole = len(cells) == self.width and self._numbers(cells) >= self.kinds.count("number") - 1 > 0
        return whole and header >= 0 and (self.width > 2 or any(letter.isdigit() for letter in cells[0]))

    def _names_channels(self, row: Sequence[str]) -> bool:
        return not self.dialect.notation.is_number(row[self.left]) and all(
            c.isdigit() for c in row if self._numbers([c])
        )

    def _only_counts(self, start: int) -> bool:
        """Whether the first row counts columns, as tables do whose columns have no names: `,0,1` or `0,1,2`."""
        rows = self._rows[start:]
        if len(rows) < 3:
            return False
        cells = rows[0][1][: self.width]
        counted = [cell for cell in cells if cell]
        if not all(cell.isdigit() for cell in counted) or len(counted) < (1 if len(counted) < len(cells) else 3):
            return False  # "0,1" is the first sample of many a table
        if any(self._is_header(row) for _, row, _ in self._rows[max(0, start - _ABOVE) : start]):
            return False
        numbers = [int(cell) for cell in counted]
        written = [cell for _, row, _ in rows[1:20] for cell in row[self.width - len(counted) : self.width]]
        plain = sum(cell.lstrip("+-").isdigit() for cell in written)
        return (
            numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            and numbers[0] < 2
            and 2 * plain < len(written)
        )

    def _misfit(self, index: int) -> UnreadableError:
        number, row, _ = self._rows[index]
        return UnreadableError(f"line {number} does not fit: {why(self.dialect, row, self.kinds, self.width)}")

    def header(self) -> tuple[list[str], list[str], Preamble]:
        """Names and units of the columns, by place, and the preamble."""
        decimal = self.dialect.notation.decimal
        beside = [row[: self.left] for _, row, _ in self._rows[self.start :] if any(row[: self.left])]
        if beside:  # a preamble beside the numbers
            return [""] * self.width, [""] * self.width, Preamble(beside, decimal)
        above = [
            (number, self.dialect.row(line.lstrip("#% \ufeff")) if line.startswith(COMMENTS) else row, line)
            for number, row, line in self._rows[: self.start]
        ]
        whole = [line for _, _, line in above]
        close = [self._cells(row, line) for _, row, line in above[-_ABOVE:]]
        names_at, units_at = self._names_and_units(close, [n for n, _, _ in above[-_ABOVE:]], whole[-_ABOVE:])
        names = close[names_at][: self.width] if names_at is not None else [""] * self.width
        found = (
            [unit_of_cell(cell) or "" for cell in close[units_at][: self.width]]
            if units_at is not None
            else [""] * self.width
        )
        extra = []
        if names_at is not None:
            below = close[units_at] if units_at is not None else []
            extra = [
                [key, *below[place : place + 1]] for place, key in enumerate(close[names_at]) if place >= self.width
            ]
        rows = [
            row
            for index, (_, row, _) in enumerate(above)
            if names_at is None or index != len(above) - len(close) + names_at
        ]
        return names, found, Preamble([*extra, *rows], decimal)

    def _cells(self, row: list[str], line: str) -> list[str]:
        """The cells of a row of names, which may be separated by something else than the numbers."""
        if len(trimmed(row)) >= self.width:
            return row
        for separator in (",", ";", "\t", "  ", ""):
            text = line.lstrip("#% \ufeff")
            if separator == "  ":
                cells = [cell for part in text.split("\t") for cell in part.strip().split("  ") if cell]
            else:
                cells = Dialect(separator, self.dialect.notation).row(text)
            if len(trimmed(cells)) == self.width:
                return [cell.strip() for cell in cells]
        return row

    def _names_and_units(
        self, rows: list[list[str]], numbers: list[int], lines: list[str]
    ) -> tuple[int | None, int | None]:
        units = None
        for index in reversed(range(len(rows))):
            row, cells = rows[index], trimmed(rows[index])
            fits = self._is_header(row)
            if not fits:
                if lines[index].startswith(COMMENTS):
                    continue
                if units is None and len(cells) > 1 and not self._numbers(cells) and self._wrong_width(cells):
                    raise UnreadableError(
                        f"line {numbers[index]} names {len(cells)} columns, and line {self.first} has "
                        f"{self.width} values"
                    )
                break
            if cells[0].lower() in KEYS:
                break
            found = [unit_of_cell(cell) for cell in row[: self.width]]
            if units is None and all(unit is not None for unit in found) and any(found):
                units = index
                continue
            if units is not None and self._is_key(rows, index):
                break
            return index, units
        return units, units  # a row of units alone names the columns, too

    def _is_key(self, rows: list[list[str]], index: int) -> bool:
        """Whether a row of two cells is one of a preamble: the one above has the same form."""
        return self.width == 2 and index > 0 and len(trimmed(rows[index - 1])) == 2

    def _wrong_width(self, cells: Sequence[str]) -> bool:
        return not any("=" in c or c.strip().lower() in KEYS for c in cells) and not cells[0].endswith(":")

    def _is_header(self, row: Sequence[str]) -> bool:
        cells = trimmed(row)
        if not self.width <= len(cells) <= max(self.full, self.width):
            extra = [cell.strip().lower() for cell in cells[self.width :]]
            known = all(not cell or cell in KEYS or "=" in cell or self._numbers([cell]) for cell in extra)
            if len(cells) < self.width or not known:
                # The name of an index may be missing, or names of columns that are empty all through.
                return len(row) == self.width and any(cells) and not self._numbers(cells)
        words = [cell for cell in row[: self.width] if cell]
        return any(not self._numbers([cell]) for cell in words) and (
            not self._numbers(row[: self.width]) or self._names_channels(row[: self.width])
        )


def why(dialect: Dialect, row: Sequence[str], kinds: Sequence[str], width: int) -> str:
    """What is wrong with a row, in words."""
    row = trimmed(row)
    for cell, kind in zip(row, kinds, strict=False):
        if kind == "number" and not (is_mark(cell) or dialect.notation.is_number(cell)):
            return f"{cell[:40]!r} is not a number"
    return f"it has {len(row)} values, where the others have {width}"


def _usual(counts: Sequence[int]) -> int:
    return max(set(counts), key=counts.count)


def _assembled(encoding: str, table: _Table, cells: list[str], units: list[str], preamble: Preamble) -> Layout:
    places = [place for place, kind in enumerate(table.kinds) if kind != "empty"]
    columns = [named(cells[place]) for place in places]
    found = [units[place] or column.unit for place, column in zip(places, columns, strict=True)]
    if not any(column.name for column in columns) or all(unit_of_cell(cells[place]) for place in places):
        columns = _from_preamble(columns, preamble)
    times = [
        is_time(column, unit, first=not index) for index, (column, unit) in enumerate(zip(columns, found, strict=True))
    ]
    channels = [index for index, time in enumerate(times) if not time and table.kinds[places[index]] == "number"]
    counts = _counts(columns, units, places)
    channels = [index for index in channels if index not in counts]
    for index, unit in zip(channels, preamble.units([columns[index].name for index in channels]), strict=True):
        found[index] = found[index] or unit
    found = [unit or (preamble.time_unit if time else "") for unit, time in zip(found, times, strict=True)]
    names = distinct(column.name for column in columns)
    aliases = unique_aliases(columns, names)
    return Layout(
        encoding,
        table.dialect,
        table.first,
        table.width,
        table.left,
        tuple(
            Column(place, names[index], found[index], aliases[index], table.kinds[place] == "number", times[index])
            for index, place in enumerate(places)
        ),
        preamble.interval(),
    )


def _counts(columns: Sequence[Named], units: Sequence[str], places: Sequence[int]) -> set[int]:
    """Columns that count samples."""
    words = ("x", "sequence", "index", "sample", "samples", "no", "no.", "#", "point", "points", "n")
    return {
        index
        for index, column in enumerate(columns)
        if not index and not units[places[0]] and column.bare.lower() in words
    }


def _from_preamble(columns: list[Named], preamble: Preamble) -> list[Named]:
    """Names that only a preamble has: those of the channels, after a column of time if there is one more."""
    names = preamble.names
    if len(names) == len(columns):
        return [named(name) for name in names]
    if len(names) == len(columns) - 1:
        return [named("time"), *(named(name) for name in names)]
    return columns
