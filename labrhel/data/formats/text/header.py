"""Names and units of the columns of a text table, from the rows above it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from labrhel.data.formats.interface import UnreadableError
from labrhel.data.formats.text.aside import is_comment
from labrhel.data.formats.text.body import ABOVE, Body
from labrhel.data.formats.text.dialect import Dialect, trimmed
from labrhel.data.formats.text.naming import unit_of_cell
from labrhel.data.formats.text.preamble import KEYS, Preamble

_UNIT_BEHIND = re.compile(r"\s+(?=[(\[])")  # of a name, between blanks
_UNIT_WORDS = frozenset(
    ["unit", "units", "einheit", "einheiten", "unité", "unités", "unidad", "unidades", "unità", "eenheid", "enhet"]
)


def header_of(body: Body) -> tuple[list[str], list[str], Preamble]:
    """Names and units of the columns, by place, and the preamble."""
    decimal = body.dialect.notation.decimal
    beside = [row[: body.left] for _, row, _ in body.rows[body.start :] if any(row[: body.left])]
    if beside:  # a preamble beside the numbers
        return [""] * body.width, [""] * body.width, Preamble(beside, decimal)
    above = [
        (number, body.dialect.row(line.lstrip("#% \ufeff")) if is_comment(line) else row, line)
        for number, row, line in body.rows[: body.start]
        if not body.is_statistic(row)
    ]
    whole = [line for _, _, line in above]
    close = [_cells(body, row, line) for _, row, line in above[-ABOVE:]]
    names_at, units_at = _names_and_units(body, close, [n for n, _, _ in above[-ABOVE:]], whole[-ABOVE:])
    names = close[names_at][: body.width] if names_at is not None else [""] * body.width
    found = _units_of(body, close[units_at]) if units_at is not None else [""] * body.width
    extra = []
    if names_at is not None:
        below = close[units_at] if units_at is not None else []
        extra = [[key, *below[place : place + 1]] for place, key in enumerate(close[names_at]) if place >= body.width]
    rows = [
        row
        for index, (_, row, _) in enumerate(above)
        if names_at is None or index != len(above) - len(close) + names_at
    ]
    return names, found, Preamble([*extra, *rows], decimal)


def _cells(body: Body, row: list[str], line: str) -> list[str]:
    """The cells of a row of names, which may be separated by something else than the numbers."""
    if len(trimmed(row)) == body.width or (len(trimmed(row)) > body.width and body.dialect.separator):
        return row
    for separator in (",", ";", "\t", "  ", ""):
        text = line.lstrip("#% \ufeff")
        if separator == "  ":
            cells = [cell for part in text.split("\t") for cell in part.strip().split("  ") if cell]
        else:
            cells = Dialect(separator, body.dialect.notation).row(text)
        if len(trimmed(cells)) == body.width:
            return [cell.strip() for cell in cells]
    joined = _UNIT_BEHIND.sub("\0", line.lstrip("#% \ufeff")).split()
    return [cell.replace("\0", " ") for cell in joined] if len(joined) == body.width else row


def _names_and_units(
    body: Body, rows: list[list[str]], numbers: list[int], lines: list[str]
) -> tuple[int | None, int | None]:
    units = None
    for index in reversed(range(len(rows))):
        row, cells = rows[index], trimmed(rows[index])
        fits = body.is_header(row)
        if not fits:
            if is_comment(lines[index]):
                continue
            if units is None and len(cells) > 1 and not body.numbers(cells) and _wrong_width(cells):
                raise UnreadableError(
                    f"line {numbers[index]} names {len(cells)} columns, and line {body.first} has {body.width} values"
                )
            break
        found = _units_of(body, row)
        if units is not None and rows[units][0].strip(" :#").lower() in _UNIT_WORDS:
            return index, units
        if cells[0].lower() in KEYS and (not found or index == 0 or not body.is_header(rows[index - 1])):
            break
        if units is None and found:
            units = index
            continue
        if units is not None and _is_key(body, rows, index):
            break
        if units is None and index and body.is_header(rows[index - 1]) and _units_of(body, rows[index - 1]):
            return index, index - 1  # units may stand above the names
        return index, units
    return units, units  # a row of units alone names the columns, too


def _units_of(body: Body, row: Sequence[str]) -> list[str]:
    """The units of a row that holds nothing else, but for the word itself in front; [] for another row."""
    cells = list(row[: body.width])
    if cells and cells[0].strip(" :#").lower() in _UNIT_WORDS:
        cells[0] = ""
    found = [unit_of_cell(cell) for cell in cells]
    return [unit or "" for unit in found] if all(unit is not None for unit in found) and any(found) else []


def _is_key(body: Body, rows: list[list[str]], index: int) -> bool:
    """Whether a row of two cells is one of a preamble: the one above has the same form."""
    return body.width == 2 and index > 0 and len(trimmed(rows[index - 1])) == 2


def _wrong_width(cells: Sequence[str]) -> bool:
    return not any("=" in c or c.strip().lower() in KEYS for c in cells) and not cells[0].endswith(":")
