"""How the cells of a table are told apart and its numbers written, found from its last rows."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from labrhel.data.formats.interface import UnreadableError
from labrhel.data.formats.text.clock import moment_of
from labrhel.data.formats.text.numbers import Notation, is_mark
from labrhel.data.formats.text.quantities import parts_of, without_unit

_TAIL = 80  # rows that are looked at
_LAST = 12  # of them, which are of the table however long its preamble is
_NOTATIONS = (
    Notation("."),
    Notation(","),
    Notation(",", "."),
    Notation(".", ","),
    Notation(",", " "),
    Notation(".", " "),
)
_SEPARATORS = (",", ";", "\t", "|", ":", "")
_GROUPS = {
    ".": re.compile(r"\d\.\d{3}"),
    ",": re.compile(r"\d,\d{3}"),
    " ": re.compile(r"\d[ \u00a0\u202f\u2009'’]\d{3}"),
}
_EITHER = re.compile(r"(?<![\d.,])[1-9]\d{0,2}[.,]\d{3}(?!\d)", re.ASCII)  # with or without groups
_SIGNED = re.compile(r"[+-]?\d*[.,][\d.,]*(?:[eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?[1-9]\d{0,2}", re.ASCII)
_ALIKE = 3  # rows above a table that are as those of it, which no preamble has
_DIGIT_FIRST = re.compile(r"[+\-\u2212]?[.,]?\d")
_NAMED = re.compile(r"\s*sep\s*=\s*(.)\s*", re.IGNORECASE)  # the first line that spreadsheets write


@dataclass(frozen=True, slots=True)
class Dialect:
    """The `separator` of cells, "" for blanks, and the notation of numbers; `measured`: cells may hold units, too."""

    separator: str
    notation: Notation
    measured: bool = False

    def is_number(self, cell: str) -> bool:
        """Whether the cell holds digits that are a number, perhaps with its unit."""
        return self.notation.is_number(cell) or (self.measured and parts_of(cell, self.notation) is not None)

    def rows(self, lines: Sequence[str]) -> list[list[str]]:
        """The cells of each line.  Raises ValueError for quotes that do not close, or close early."""
        if not self.separator:
            return [line.split() for line in lines]
        try:
            found = list(csv.reader(lines, delimiter=self.separator, skipinitialspace=True, strict=True))
        except csv.Error as error:
            raise ValueError(f"quotes do not match ({error})") from None
        if len(found) != len(lines):
            raise ValueError("a quote is opened and not closed")
        return found

    def row(self, line: str) -> list[str]:
        """The cells of one line, without the blanks around them."""
        try:
            return [cell.strip() for cell in self.rows([line])[0]]
        except (ValueError, IndexError):
            return [line.strip()]


def dialect_of(lines: Sequence[str]) -> Dialect:
    """The dialect in which the last of these lines are most nearly numbers.

    Raises UnreadableError if no dialect makes numbers of them.
    """
    lines = [line for line in lines if line.strip()]
    named = _NAMED.fullmatch(lines[0]) if lines else None
    tail = lines[-_TAIL:]
    text = "\n".join(tail)
    absent = next((separator for separator in _SEPARATORS if separator not in text), "\t")  # one column has none
    separators = [separator for separator in _SEPARATORS if separator in text or separator == absent]
    notations = [(order, one) for order, one in enumerate(_NOTATIONS) if order < 2 or _GROUPS[one.groups].search(text)]
    pairs = [
        (order, separator, one) for separator in ((named[1],) if named else separators) for order, one in notations
    ]
    best, found = None, (0.0,)
    for measured in (False, True):
        best, found = max(((best, found), _best(pairs, tail, lines, measured=measured)), key=lambda one: one[1])
        if found[0] == 1.0:  # nothing but numbers: units are looked for where there is something else
            break
    if best is None:
        raise UnreadableError("it holds no rows of numbers")
    measuring = [(order, Dialect(separator, notation, measured=True)) for order, separator, notation in pairs]
    rivals = [(order, one) for order, one in measuring if _reaches_above(best, one, lines)]
    if rivals:
        best = max(rivals, key=lambda one: (_covered(one[1], lines), *_score(one[1], tail, lines, one[0])))[1]
    return settled(best, lines)


def _best(
    pairs: Sequence[tuple[int, str, Notation]], tail: Sequence[str], lines: Sequence[str], *, measured: bool
) -> tuple[Dialect | None, tuple[float, ...]]:
    """The dialect among these separators and notations that makes most of the rows numbers, and its score."""
    best, most = None, (0.0,)
    for order, separator, notation in pairs:
        dialect = Dialect(separator, notation, measured)
        score = _score(dialect, tail, lines, order)
        if score > most:
            best, most = dialect, score
    return best, most


def _reaches_above(best: Dialect, rival: Dialect, lines: Sequence[str]) -> bool:
    """Whether a row in which `best` finds no number is, to the rival, one of the same table as the row below.

    To decimal commas `4,50` is a whole table, and `3,40 mV` above it would be words; it is two cells, as the other.
    """
    if rival.separator == rival.notation.decimal:
        return False
    end = len(lines)
    while end and not any(map(best.is_number, best.row(lines[end - 1]))):
        end -= 1
    start = end
    while start and any(map(best.is_number, best.row(lines[start - 1]))):
        start -= 1
    if not 0 < start < end:
        return False
    row = trimmed(rival.row(lines[start]))
    places = [place for place, cell in enumerate(row) if rival.is_number(cell)]
    if not places or places[0] or len(places) < min(2, len(row)):
        return False
    above = [trimmed(rival.row(line)) for line in lines[max(0, start - _ALIKE) : start]]
    alike = [len(cells) >= len(row) and rival.is_number(cells[0]) for cells in above]
    if not alike[-1]:  # names stand between, and what is above them is none of this table
        return False
    digits = all(_DIGIT_FIRST.match(above[-1][place]) for place in places)
    return digits or (len(row) > 1 and len(alike) >= _ALIKE and all(alike[-_ALIKE:]))


def _covered(dialect: Dialect, lines: Sequence[str]) -> int:
    """How many lines begin with a number."""
    return sum(dialect.is_number(dialect.row(line)[0]) for line in lines)


def settled(dialect: Dialect, lines: Sequence[str]) -> Dialect:
    """The dialect with the decimal sign that all lines prove: `0.125` and `12.5` do, `1.250` does not.

    Raises UnreadableError where `1,250` may be 1250 as well as 1.25 and nothing in the file decides.
    """
    if dialect.notation.groups == " " or not _EITHER.search("\n".join(lines)):
        return dialect
    rows = [trimmed(dialect.row(line)) for line in lines]
    rows = [[without_unit(cell) for cell in row] for row in rows] if dialect.measured else rows
    rows = [row for row in rows if any(map(_looks_numeric, row))]
    width, _ = Counter(map(len, rows)).most_common(1)[0] if rows else (0, 0)
    rows = [row for row in rows if len(row) == width]
    signed = Counter(cell for row in rows for cell in row if _SIGNED.fullmatch(cell))
    points, commas = (
        {cell for cell in signed if notation.is_number(cell)} for notation in (Notation(".", ","), Notation(",", "."))
    )
    ours, others = (points, commas) if dialect.notation.decimal == "." else (commas, points)
    proved, against = (sum(signed[cell] for cell in cells) for cells in (ours - others, others - ours))
    if against > proved:
        return replace(dialect, notation=Notation(*(".,", ",.")[dialect.notation.decimal == "."]))
    either = [cell for cell in signed if cell in ours and cell in others]
    if not proved and either and not _is_custom(dialect.separator, rows, either):
        example = min(either, key=lambda cell: dialect.notation.decimal in cell)
        raise UnreadableError(
            f"{example!r} may be {re.sub('[.,]', '', example)} as well as {example.replace(',', '.')}, and no other "
            "number decides: write numbers without groups of thousands, and with a decimal point"
        )
    return dialect


def _looks_numeric(cell: str) -> bool:
    return bool(_SIGNED.fullmatch(cell)) or cell.isdigit()


def _is_custom(separator: str, rows: Sequence[Sequence[str]], either: Sequence[str]) -> bool:
    """Whether the only sign of a file is its decimal sign, as `1.250` nearly always and `1,250` between semicolons.

    It is none in a column in which whole numbers stand beside: 950 and 1,050 are counted in thousands.
    """
    signs = {sign for cell in either for sign in ".," if sign in cell}
    if len(signs) > 1 or (signs == {","} and separator != ";"):
        return False
    if separator == ",":
        return True
    found = set(either)
    return not any(
        not found.isdisjoint(column) and any(_WHOLE.fullmatch(cell) for cell in column)
        for column in zip(*rows, strict=True)
    )


def _score(dialect: Dialect, tail: Sequence[str], lines: Sequence[str], order: int) -> tuple[float, ...]:
    if dialect.notation.decimal == dialect.separator and not any('"' in line for line in tail):
        return (0.0,)
    rows = [trimmed(dialect.row(line)) for line in tail]
    numeric = [any(dialect.is_number(cell) for cell in row) for row in rows]
    if not any(numeric):
        return (0.0,)
    rows, numeric = rows[numeric.index(True) :], numeric[numeric.index(True) :]
    last = [row for row, good in zip(rows, numeric, strict=True) if good][-_LAST:]
    width, _ = Counter(len(row) for row in last).most_common(1)[0]
    fitting = [row for row in rows if len(row) == width]
    cells = [cell for row in fitting for cell in row if not is_mark(cell)]
    numbers = sum(dialect.is_number(cell) or moment_of(cell) is not None for cell in cells)
    if not numbers or not _columns_agree(dialect, fitting):
        return (0.0,)
    share = round(numbers / len(cells) * len(fitting) / len(rows), 3)
    above = next((row for line in reversed(lines[: len(lines) - len(rows)]) if (row := _words(dialect, line))), [])
    agrees = float(len(above) == width)
    blanks = 0.0 if dialect.separator else -1.0
    return (share if share < 0.98 else 1.0, agrees, width, -order, blanks)


def _columns_agree(dialect: Dialect, rows: Sequence[Sequence[str]]) -> bool:
    """Whether one column at least is numbers and marks from top to bottom, but for a footer and some damage."""
    bad = [sum(not (is_mark(cell) or dialect.is_number(cell)) for cell in column) for column in zip(*rows, strict=True)]
    return min(bad) <= max(1, len(rows) // 3)


def _words(dialect: Dialect, line: str) -> list[str]:
    row = trimmed(dialect.row(line.lstrip("#% ")))
    return row if row and not any(dialect.is_number(cell) for cell in row) else []


def trimmed(row: Sequence[str]) -> list[str]:
    """A row without the empty cells at its end."""
    end = len(row)
    while end and not row[end - 1].strip():
        end -= 1
    return list(row[:end])
