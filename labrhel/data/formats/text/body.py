"""Which rows of a text file are its table, and which line does not fit."""

from __future__ import annotations

import re
from collections.abc import Sequence

from labrhel.data.formats.interface import UnreadableError
from labrhel.data.formats.text.aside import is_comment, is_measured, is_summary
from labrhel.data.formats.text.clock import moment_of
from labrhel.data.formats.text.dialect import Dialect, trimmed
from labrhel.data.formats.text.numbers import is_mark
from labrhel.data.formats.text.preamble import KEYS

ABOVE = 4
"""Rows above the table that may be names and units."""

_LAST = 50  # rows that tell what the columns are, and those of them that tell how many
_SHORT = 12
_FOOTER = 20  # lines below the table, at most
_COLUMN = 3  # values that make a column of what may be a preamble beside the first row
_EARLY = 2  # rows of a preamble that look like rows of the table, at most
_INSIDE = re.compile(r"(\d{1,3})([pnuµmkKMG])(\d{1,3})", re.ASCII)  # 4k7, a prefix in place of the point
_DATE = re.compile(r"(?:19|20)\d\d|\d:\d\d")


class Body:
    """The rows of the head, and where in them the table is."""

    def __init__(self, dialect: Dialect, rows: list[tuple[int, list[str], str]], *, whole: bool) -> None:
        self.dialect, self.rows = dialect, rows
        end = self._end() if whole else len(rows)
        rows_of_numbers = [row for _, row, line in rows[:end] if not is_comment(line) and self.numbers(row)]
        body = [
            row for row in rows_of_numbers[-_LAST:] if len(row) == _usual([len(r) for r in rows_of_numbers[-_SHORT:]])
        ]
        body = self._without_preamble(body)
        self.width = max((len(trimmed(row)) for row in body), default=0)
        self.full = max((len(row) for row in body), default=0)
        if longer := self._longer(rows_of_numbers):
            self.width = max(len(trimmed(row)) for row in longer)
            body = [*longer, *body]
        self.kinds = [self._kind([row[place] for row in body if place < len(row)]) for place in range(self.width)]
        if "number" not in self.kinds:
            raise UnreadableError("it holds no column of numbers")
        self.left = next(place for place, kind in enumerate(self.kinds) if kind != "empty")
        self.start = self._start(end)

    def _without_preamble(self, rows: list[list[str]]) -> list[list[str]]:
        """The rows of a short table, without those of its preamble that hold numbers, too: `Sequence,VOLT,-1e-3,2e-6`.

        They begin it, and have words where its last rows have none.
        """
        last = max(len(rows) - _SHORT, len(rows) // 2)
        plain = [all(map(self._is_value, column)) for column in zip(*rows[last:], strict=True)]
        for index, row in enumerate(rows[:last]):
            if all(self._is_value(cell) for cell, is_plain in zip(row, plain, strict=True) if is_plain):
                return rows[index:]
        return rows[last:]

    def _is_value(self, cell: str) -> bool:
        return is_mark(cell) or self.dialect.is_number(cell) or moment_of(cell) is not None

    def _longer(self, rows: Sequence[Sequence[str]]) -> list[list[str]]:
        """The last rows of numbers in columns that end before the others: slower channels, with times of their own."""
        found: list[list[str]] = []
        for row in reversed(rows):
            cells = trimmed(row)
            if len(row) == self.full and len(cells) > self.width:
                if len(found) == _SHORT or not all(
                    is_mark(cell) or self.numbers([cell]) for cell in cells[self.width :]
                ):
                    break
                found.append(cells)
        return [row for row in found if len(row) == len(found[0])] if len(found) >= _COLUMN else []

    @property
    def first(self) -> int:
        """The number of the first line."""
        return self.rows[self.start][0]

    def cells(self, place: int) -> list[str]:
        """The first cells of a column."""
        rows = [row for _, row, line in self.rows[self.start : self.start + _LAST] if not is_comment(line)]
        return [row[place] for row in rows if place < len(row) and self._fits(row)]

    def _end(self) -> int:
        end = len(self.rows)
        while end and len(self.rows) - end < _FOOTER:
            _, row, line = self.rows[end - 1]
            if self.numbers(row) and not is_summary(line):
                break
            end -= 1
        return end if end and len(self.rows) - end < _FOOTER else len(self.rows)

    def numbers(self, row: Sequence[str]) -> int:
        return sum(self.dialect.is_number(cell) for cell in row)

    def _kind(self, cells: Sequence[str]) -> str:
        if not any(cells):
            return "empty"
        if all(is_mark(cell) or self.dialect.is_number(cell) for cell in cells):
            return "number"
        if all(is_mark(cell) or moment_of(cell) for cell in cells):
            return "clock"
        good = sum(self.dialect.is_number(cell) for cell in cells)
        return "number" if 2 * good > len(cells) else "text"

    def _fits(self, row: Sequence[str]) -> bool:
        """Whether a row can be one of the table: numbers or marks where there are numbers, nothing behind."""
        row = trimmed(row)
        if not self.left < len(row) <= self.width:
            return False
        for place, (cell, kind) in enumerate(zip(row, self.kinds, strict=False)):
            if kind == "number" and not (is_mark(cell) or self.dialect.is_number(cell)):
                return False
            if kind == "clock" and not (is_mark(cell) or moment_of(cell)):
                return False
            if kind == "empty" and cell and place > self.left:
                return False
        return len(row) == self.width or all(kind != "text" for kind in self.kinds)

    def _start(self, end: int) -> int:
        start = end
        while start and (is_comment(self.rows[start - 1][2]) or self._fits(self.rows[start - 1][1])):
            start -= 1
        while start < end and is_comment(self.rows[start][2]):
            start += 1
        if start >= end:
            raise self._misfit(end - 1)
        if self._only_counts(start):
            start += 1
        header = next((index for index in reversed(range(start)) if self.is_header(self.rows[index][1])), -1)
        for index in range(header + 1, start):
            _, row, line = self.rows[index]
            if not is_comment(line) and not self._fits(row) and self._looks_damaged(index, header):
                raise self._misfit(index)
            if header >= 0 and self._is_row(row):
                raise self._misfit(start - 1)
        if sum(self._is_row(row) for _, row, _ in self.rows[:start]) > _EARLY:
            raise self._misfit(start - 1)  # a table above, and words between
        return start

    def _is_row(self, row: Sequence[str]) -> bool:
        return self._fits(row) and self.numbers(row) == self.kinds.count("number")

    def _looks_damaged(self, index: int, header: int) -> bool:
        """Whether a row between the names and the table is one of the table, with something that does not fit."""
        _, row, line = self.rows[index]
        cells = trimmed(row)
        if self.is_statistic(row):
            return False
        word = cells[0].lower()
        if word in KEYS or "=" in line or (word.endswith(":")):
            return False
        letters = any(letter.isalpha() for letter in line.lower().replace("e", ""))
        digits = any(letter.isdigit() for letter in line)
        if digits and not letters:
            return header >= 0 or not _DATE.search(line)
        if self.dialect.is_number(cells[0]):
            return True
        whole = len(cells) == self.width and self.numbers(cells) >= self.kinds.count("number") - 1 > 0
        return whole and header >= 0 and (self.width > 2 or any(letter.isdigit() for letter in cells[0]))

    def _names_channels(self, row: Sequence[str]) -> bool:
        return not self.dialect.is_number(row[self.left]) and all(c.isdigit() for c in row if self.numbers([c]))

    def _only_counts(self, start: int) -> bool:
        """Whether the first row counts columns, as tables do whose columns have no names: `,0,1` or `0,1,2`."""
        rows = self.rows[start:]
        if len(rows) < 3:
            return False
        cells = rows[0][1][: self.width]
        counted = [cell for cell in cells if cell]
        if not all(cell.isdigit() for cell in counted) or len(counted) < (1 if len(counted) < len(cells) else 3):
            return False  # "0,1" is the first sample of many a table
        if any(self.is_header(row) for _, row, _ in self.rows[max(0, start - ABOVE) : start]):
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
        number, row, _ = self.rows[index]
        return UnreadableError(f"line {number} does not fit: {why(self.dialect, row, self.kinds, self.width)}")

    def is_statistic(self, row: Sequence[str]) -> bool:
        """Whether a row above the table says what was measured of its columns, `PK-PK,3,4`, and names none."""
        return len(row) > 1 and is_measured(row[0]) and all(map(self._is_value, row[1:]))

    def is_header(self, row: Sequence[str]) -> bool:
        cells = trimmed(row)
        if self.is_statistic(row):
            return False
        if not self.width <= len(cells) <= max(self.full, self.width):
            extra = [cell.strip().lower() for cell in cells[self.width :]]
            known = all(not cell or cell in KEYS or "=" in cell or self.numbers([cell]) for cell in extra)
            if len(cells) < self.width or not known:
                # The name of an index may be missing, or names of columns that are empty all through.
                return len(row) == self.width and any(cells) and not self.numbers(cells)
        words = [cell for cell in row[: self.width] if cell]
        return any(not self.numbers([cell]) for cell in words) and (
            not self.numbers(row[: self.width]) or self._names_channels(row[: self.width])
        )


def why(dialect: Dialect, row: Sequence[str], kinds: Sequence[str], width: int) -> str:
    """What is wrong with a row, in words."""
    row = trimmed(row)
    for cell, kind in zip(row, kinds, strict=False):
        if kind == "number" and not (is_mark(cell) or dialect.is_number(cell)):
            inside = _INSIDE.fullmatch(cell)
            return f"{cell[:40]!r} is not a number" + (
                f": write {'{}.{}{}'.format(*inside.group(1, 3, 2))}" if inside else ""
            )
    return f"it has {len(row)} values, where the others have {width}"


def _usual(counts: Sequence[int]) -> int:
    return max(set(counts), key=counts.count)
