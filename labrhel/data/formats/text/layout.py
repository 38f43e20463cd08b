"""Where the numbers of a text table begin, and what the lines above them say of its columns."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from labrhel.data.formats.interface import UnreadableError
from labrhel.data.formats.text.aside import is_comment, join_names
from labrhel.data.formats.text.body import Body
from labrhel.data.formats.text.clock import Clock, are_dates, clock_of, moment_of
from labrhel.data.formats.text.dates import are_days_first, has_two_orders
from labrhel.data.formats.text.dialect import Dialect, dialect_of
from labrhel.data.formats.text.header import header_of
from labrhel.data.formats.text.lines import encoding_of, head_of
from labrhel.data.formats.text.naming import Named, distinct, is_time, named, unique_aliases, unit_of_cell
from labrhel.data.formats.text.preamble import Preamble
from labrhel.data.formats.text.quantities import InCells, in_cells_of
from labrhel.data.timing import epoch_of
from labrhel.units import read_unit

_LARGE = 1e8  # a time from which on a float64 of it tells less than 15 ns apart


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table: `place` counts cells from 0; `numeric`, times of day and dates after `clock`, or text.

    `origin` is what is taken off every number of an axis of time, where the fractions of large ones would be lost;
    `in_cells` how numbers are read that have their units beside them.
    """

    place: int
    name: str
    unit: str
    aliases: tuple[str, ...]
    numeric: bool
    time: bool
    clock: Clock | None = None
    origin: int = 0
    in_cells: InCells | None = None


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
    join_names(lines)
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip(" \t\r\ufeff,;")]
    if not numbered:
        raise UnreadableError("it is empty")
    dialect = dialect_of([line for _, line in numbered if not is_comment(line)] or [numbered[-1][1]])
    rows = [(number, dialect.row(line.lstrip("\ufeff")), line) for number, line in numbered]
    table = Body(dialect, rows, whole=whole)
    names, units, preamble = header_of(table)
    layout = _assembled(encoding, table, names, units, preamble)
    return replace(layout, columns=tuple(_dated(file, layout, column, table) for column in layout.columns))


def _dated(file: Path, layout: Layout, column: Column, table: Body) -> Column:
    """The column with the order of day and month in its times, where they have one."""
    begin = next((cell for cell in table.cells(column.place) if moment_of(cell)), "")
    if column.clock is None or not has_two_orders(begin):
        return column
    known = are_days_first(file, layout.encoding, layout.dialect, layout.first, column.place, column.name)
    first = moment_of(begin, column.clock.pair, days_first=known) or column.clock.first
    return replace(column, clock=replace(column.clock, first=first, days_first=known))


def _assembled(encoding: str, table: Body, cells: list[str], units: list[str], preamble: Preamble) -> Layout:
    places = [place for place, kind in enumerate(table.kinds) if kind != "empty"]
    columns = [named(cells[place]) for place in places]
    found = [units[place] or column.unit for place, column in zip(places, columns, strict=True)]
    beside = [
        _beside(table, place, unit, column.name) for place, unit, column in zip(places, found, columns, strict=True)
    ]
    found = [unit if one is None else one.unit for unit, one in zip(found, beside, strict=True)]
    if not any(column.name for column in columns) or all(unit_of_cell(cells[place]) for place in places):
        columns = _from_preamble(columns, preamble, first_is_time=_is_axis(table, places[0], found[0], preamble))
    times = [
        is_time(column, unit, first=not index) for index, (column, unit) in enumerate(zip(columns, found, strict=True))
    ]
    if not any(times) and not any(column.name for column in columns) and preamble.says_time(len(columns)):
        times[0] = True
    channels = [index for index, time in enumerate(times) if not time and table.kinds[places[index]] == "number"]
    counts = _counts(table, columns, units, places)
    channels = [index for index in channels if index not in counts]
    if not preamble.names or any(
        column.name for column in columns
    ):  # of fewer channels than there are, it says nothing
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
            _column(table, place, names[index], found[index], aliases[index], beside[index], is_axis=times[index])
            for index, place in enumerate(places)
        ),
        preamble.interval(),
    )


def _beside(table: Body, place: int, unit: str, name: str) -> InCells | None:
    if not table.dialect.measured or table.kinds[place] != "number":
        return None
    return in_cells_of(table.cells(place), unit, table.dialect.notation, name)


def _column(
    table: Body,
    place: int,
    name: str,
    unit: str,
    aliases: tuple[str, ...],
    beside: InCells | None,
    *,
    is_axis: bool,
) -> Column:
    kind, cells = table.kinds[place], table.cells(place)
    if kind == "clock":
        dated = any(are_dates(table.cells(other)) for other in range(table.width) if other != place)
        return Column(place, name, "s", aliases, False, True, clock_of(cells, name, dated=dated))
    if beside is not None:
        return Column(place, name, unit, aliases, True, is_axis, in_cells=beside)
    if kind != "number" or not is_axis:
        return Column(place, name, unit, aliases, kind == "number", is_axis)
    first = next((value for value in map(table.dialect.notation.number, cells) if math.isfinite(value)), 0.0)
    origin = int(first) if first >= _LARGE else 0
    return Column(place, name, unit or epoch_of(first), aliases, True, True, None, origin)


def _counts(table: Body, columns: Sequence[Named], units: Sequence[str], places: Sequence[int]) -> set[int]:
    """Columns that count samples: the first, by its name, or without one beside columns that have names."""
    words = ("x", "sequence", "index", "sample", "samples", "no", "no.", "#", "point", "points", "n")
    if not columns or units[places[0]]:
        return set()
    if columns[0].bare.lower() in words:
        return {0}
    cells = table.cells(places[0])
    if columns[0].name or not any(column.name for column in columns) or not all(cell.isdigit() for cell in cells):
        return set()
    return {0} if all(int(late) - int(early) == 1 for early, late in itertools.pairwise(cells)) else set()


def _from_preamble(columns: list[Named], preamble: Preamble, *, first_is_time: bool) -> list[Named]:
    """Names that only a preamble has: those of the channels, after a column of time.

    Names that are fewer than the columns name none of them.
    """
    names = preamble.names
    if len(names) == len(columns):
        return [named(name) for name in names]
    if len(names) == len(columns) - 1 and first_is_time:
        return [named("time"), *(named(name) for name in names)]
    return columns


def _is_axis(table: Body, place: int, unit: str, preamble: Preamble) -> bool:
    """Whether a column without a name is one of times: by its unit, or in steps of the interval that is said."""
    known = read_unit(unit) if unit else None
    if unit or table.kinds[place] != "number":
        return known is not None and known.base == "s"
    try:
        steps = np.diff(table.dialect.notation.column(table.cells(place)))  # one with units has a unit
    except ValueError:
        return False
    interval = preamble.interval()
    if not len(steps) or not (steps > 0).all():
        return False
    if interval is None:
        return True
    scale = read_unit(preamble.time_unit) if preamble.time_unit else None
    return bool(np.isclose(np.median(steps) * (scale.size if scale else 1.0), interval, rtol=0.01))
