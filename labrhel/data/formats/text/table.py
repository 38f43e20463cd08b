"""Text tables as a format: .csv, .txt, .tsv, .lvm, .dat and whatever else people call them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from labrhel.arrays import Array
from labrhel.data.formats.interface import Entry, Listing, Pick, UnreadableError, require_small
from labrhel.data.formats.text.aside import is_comment, is_rule, is_summary
from labrhel.data.formats.text.body import why
from labrhel.data.formats.text.clock import Clock, seconds_of
from labrhel.data.formats.text.layout import Column, Layout, layout_of
from labrhel.data.formats.text.lines import Block, blocks
from labrhel.data.formats.text.numbers import Notation
from labrhel.data.formats.text.quantities import unknown_unit

_NOTED = 50  # rows that tell why a column is text
_BELOW = 1000  # lines below the table, at most
_BESIDE = 20  # rows behind an empty line that may be no part of the table, at most
_HALF_DAY = 43200
_DECIMALS = 20  # last lines whose decimals are compared


class TextTable:
    """The reader of text tables.  Rows are counted from 0 below the names; lines, in its errors, from 1."""

    def contents(self, file: Path) -> Listing:
        layout = layout_of(file)
        count, head = 0, []
        for _, lines in _data(file, layout):
            head = head or lines[:_NOTED]
            count += len(lines)
        entries = [
            Entry(column.name, (count,), "f" if column.numeric or column.clock else "S", column.unit, column.aliases)
            for column in layout.columns
        ]
        times = tuple(column.name for column in layout.columns if column.time)
        return Listing(tuple(entries), layout.interval, times, tuple(_notes(layout, head)))

    def read(self, file: Path, picks: Sequence[Pick]) -> list[Array]:
        layout = layout_of(file)
        known = {column.name: column for column in layout.columns}
        wanted = [known[pick.name] for pick in picks]
        low, high = _range(picks)
        parts: list[list[Array]] = [[] for _ in wanted]
        size, row = 0, 0
        for numbers, lines in _data(file, layout):
            first, last = max(low - row, 0), len(lines) if high is None else min(high - row, len(lines))
            row += len(lines)
            if first >= last:
                if high is not None and row >= high:
                    break
                continue
            cells = _cells(layout, numbers[first:last], lines[first:last])
            size += (last - first) * len(wanted) * 8
            require_small(size)
            for part, column in zip(parts, wanted, strict=True):
                part.append(_values(layout, column, cells, numbers[first:last]))
        whole = [np.concatenate(part) if part else np.empty(0) for part in parts]
        return [_picked(values, pick, low) if pick.index else values for values, pick in zip(whole, picks, strict=True)]


def _notes(layout: Layout, lines: Sequence[str]) -> Iterator[str]:
    """Why columns that look like numbers with units are text."""
    rows = [layout.dialect.row(line) for line in lines]
    for column in layout.columns:
        if not column.numeric and column.clock is None:
            cells = [row[column.place] for row in rows if column.place < len(row)]
            if word := unknown_unit(cells, layout.dialect.notation):
                yield f"{column.name} is text: the unit {word} is not known"


def _range(picks: Sequence[Pick]) -> tuple[int, int | None]:
    """The rows that all picks together need."""
    low, high = None, 0
    for pick in picks:
        if len(pick.index) > 1:
            raise UnreadableError(f"{pick.name!r} is a column: it has one axis")
        at = pick.index[0] if pick.index else slice(None)
        start, stop = (at.start or 0, at.stop) if isinstance(at, slice) else (at, at + 1)
        low = start if low is None else min(low, start)
        high = None if stop is None or high is None else max(high, stop)
    return low or 0, high


def _picked(values: Array, pick: Pick, low: int) -> Array:
    at = pick.index[0]
    if isinstance(at, slice):
        return values[(at.start or 0) - low : None if at.stop is None else at.stop - low]
    if not 0 <= at - low < len(values):
        raise UnreadableError(f"there is no row {at} of {pick.name!r}")
    return values[at - low]


def _data(file: Path, layout: Layout) -> Iterator[tuple[Sequence[int], list[str]]]:
    """Numbers and text of the lines that are rows, a block at a time, without what stands below the table."""
    held: list[tuple[int, str]] = []  # lines that may be below the table, or a gap in it
    recent: list[str] = []
    count, beside = 0, 0  # rows of the table, and those behind its end
    ended: int | None = None
    for block in blocks(file, layout.encoding):
        numbers, lines = _rows(block, layout)
        if ended is None and (end := _table_ends(layout, block, numbers, lines)) is not None:
            ended, beside = numbers[end], len(lines) - end
            numbers, lines = numbers[:end], lines[:end]
        elif ended is not None:
            beside, numbers, lines = beside + len(lines), [], []
        count += len(lines)
        if ended is not None and beside >= min(count, _BESIDE):
            raise UnreadableError(f"line {ended} begins another table, behind an empty line: keep one in the file")
        if not lines:
            continue
        end = len(lines)
        while (
            end
            and len(lines) - end < _BELOW
            and (is_rule(lines[end - 1], layout.dialect.separator) or _is_below(layout, lines[end - 1]))
        ):
            end -= 1
        if end and held:
            numbers, lines = [*(n for n, _ in held), *numbers], [*(text for _, text in held), *lines]
            end += len(held)
            held = []
        held += zip(numbers[end:], lines[end:], strict=True)
        if end:
            recent = [*recent, *lines[max(0, end - _DECIMALS) : end]][-_DECIMALS:]
            if block.last and not held and block.lines[-1].strip():
                _require_whole(layout, numbers[end - 1], recent)
            yield numbers[:end], lines[:end]


def _table_ends(layout: Layout, block: Block, numbers: Sequence[int], lines: Sequence[str]) -> int | None:
    """The first of these rows that stands behind an empty line and goes back in time, or in the count of samples.

    Where there are empty lines between rows everywhere, they say nothing.
    """
    if isinstance(numbers, range):
        return None
    gaps = [
        index
        for index in range(1, len(numbers))
        if numbers[index] - numbers[index - 1] > 1
        and not all(map(str.strip, block.lines[numbers[index - 1] - block.first + 1 : numbers[index] - block.first]))
    ]
    if not gaps or len(gaps) > max(2, len(lines) // 4):
        return None
    for column in layout.columns:
        if not column.numeric and column.clock is None:
            continue
        values = _first_values(layout, column, lines[max(0, gaps[0] - _DECIMALS) : gaps[0]])
        if not column.time and not (column.place == layout.left and len(values) > 2 and (np.diff(values) > 0).all()):
            continue
        for gap in gaps:
            before, after = _first_values(layout, column, lines[gap - 1 : gap + 1])
            midnight = column.clock is not None and not column.clock.first.day and before - after > _HALF_DAY
            if after <= before and not midnight:
                return gap
    return None


def _first_values(layout: Layout, column: Column, lines: Sequence[str]) -> Array:
    """The values of one column in lines (lines,), NaN where it has none."""
    found = np.full(len(lines), np.nan)
    for index, line in enumerate(lines):
        row = layout.dialect.row(line)
        cell = row[column.place] if column.place < len(row) else ""
        if column.clock is not None:
            moment = column.clock.moment_of(cell)
            found[index] = math.nan if moment is None else moment.day * 86400.0 + moment.seconds
        else:
            with suppress(ValueError):
                found[index] = _number(layout, column, cell)
    return found


def _rows(block: Block, layout: Layout) -> tuple[Sequence[int], list[str]]:
    lines, first = block.lines, block.first
    if first < layout.first:
        lines, first = lines[layout.first - first :], layout.first
    if all(lines) and not any(line[0] in "#% \t\r" for line in lines):
        return range(first, first + len(lines)), lines
    kept = [(n, line) for n, line in enumerate(lines, first) if line.strip(" \t\r") and not is_comment(line)]
    return [n for n, _ in kept], [line for _, line in kept]


def _is_below(layout: Layout, line: str) -> bool:
    """Whether a line below the table is words, or says a mean or a sum: it begins with such a word, and no number."""
    row = layout.dialect.row(line)
    if is_summary(line) and (layout.columns[0].numeric or layout.columns[0].clock):
        return True
    return (
        bool(row and row[0][:1].isalpha())
        and not any(layout.dialect.is_number(cell) for cell in row)
        and all(column.numeric or column.clock for column in layout.columns)
    )


def _require_whole(layout: Layout, number: int, lines: Sequence[str]) -> None:
    """Raise UnreadableError if the last line, which has no end, has fewer decimals than all before it."""
    ends = [len(line.rstrip().rpartition(layout.dialect.notation.decimal)[2]) for line in lines]
    if len(ends) > 3 and len(set(ends[:-1])) == 1 and ends[-1] < ends[0]:
        raise UnreadableError(f"line {number}, the last, is cut short: the file is not whole")


def _cells(layout: Layout, numbers: Sequence[int], lines: list[str]) -> list[tuple[str, ...]]:
    """The columns of cells of these lines; raises UnreadableError for the line that does not fit."""
    try:
        rows = layout.dialect.rows(lines)
        counts = set(map(len, rows))
        if len(counts) == 1 and layout.width <= min(counts) and not any(any(row[layout.width :]) for row in rows):
            return list(zip(*rows, strict=True))
    except ValueError:
        pass
    found = []
    for number, line in zip(numbers, lines, strict=True):
        try:
            row = layout.dialect.rows([line])[0]
        except ValueError as error:
            raise UnreadableError(f"line {number} does not fit: {error}") from None
        if len(row) < layout.width or any(cell.strip() for cell in row[layout.width :]):
            kinds = ["number" if column.numeric else "text" for column in layout.columns]
            kinds = ["empty"] * layout.left + kinds
            raise UnreadableError(f"line {number} does not fit: {why(layout.dialect, row, kinds, layout.width)}")
        found.append(row[: layout.width])
    return list(zip(*found, strict=True))


def _values(layout: Layout, column: Column, cells: list[tuple[str, ...]], numbers: Sequence[int]) -> Array:
    if column.clock is not None:
        return _clock(column, column.clock, cells[column.place], numbers)
    if not column.numeric:
        return np.array(cells[column.place], "U64")
    try:
        if column.origin:
            return _after(column.origin, layout.dialect.notation, cells[column.place])
        if column.in_cells is not None:
            return column.in_cells.column(cells[column.place], layout.dialect.notation)
        return layout.dialect.notation.column(cells[column.place])
    except ValueError:
        for number, cell in zip(numbers, cells[column.place], strict=True):
            try:
                _number(layout, column, cell)
            except ValueError as error:
                raise UnreadableError(f"line {number}: {error}, under {column.name!r}") from None
        raise


def _number(layout: Layout, column: Column, cell: str) -> float:
    notation = layout.dialect.notation
    return notation.number(cell) if column.in_cells is None else column.in_cells.number(cell, notation)


def _clock(column: Column, clock: Clock, cells: Sequence[str], numbers: Sequence[int]) -> Array:
    found, bad = seconds_of(cells, clock)
    if bad is not None:
        raise UnreadableError(f"line {numbers[bad]}: {cells[bad][:40]!r} is no time, under {column.name!r}")
    return found


def _after(origin: int, notation: Notation, cells: Sequence[str]) -> Array:
    """Numbers without a large part that all have, exact to the digits that are written."""
    parts = [cell.strip().partition(notation.decimal) for cell in cells]
    if all(whole.isdigit() and (not rest or rest.isdigit()) for whole, _, rest in parts):
        return np.array([int(whole) - origin + float(f"0.{rest or 0}") for whole, _, rest in parts])
    return notation.column(cells) - origin
