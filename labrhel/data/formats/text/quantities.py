"""Cells that hold a number with its unit: `12.3 mV`, `1,2e-3 V`, `15 %`, `4.7k`.

Prefixes may differ from cell to cell, quantities may not.  A number without a unit among others that have one is
refused unless it is 0, or all others have the unit that stands above the column.  Among numbers with
prefixes alone, `4.7k` beside `10`, one without is what it says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array
from labrhel.data.formats.interface import UnreadableError
from labrhel.data.formats.text.numbers import Notation, is_mark
from labrhel.units import COUNTED, PREFIXES, QUANTITIES, Unit, read_unit

_MEASURED = re.compile(
    r"([+\-\u2212\u2013]?(?:[0-9][0-9.,' \u00a0\u202f\u2009\u2019]*|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"\s*([^\W\d_][^\s\d,;]{0,11}|[%°])"
)
_WORDED = re.compile(r"([+\-\u2212\u2013]?[\d.,]+(?:[eE][+-]?\d+)?)\s*([^\s\d.,;:/-][^\s\d,;:]{0,11})")
_EITHER = {"m": "metres", "T": "teslas"}
"""Units that are written as a prefix is."""


@dataclass(frozen=True, slots=True)
class InCells:
    """How the cells of a column are read whose numbers have units: all in `unit`, `size` of its quantity `base`.

    `bare`: numbers without a unit are in `unit`, too.  `only`: no cell may say another unit of that quantity, since it
    is the one of numbers without.  `others`: a unit in cells that is not the `unit` above them.
    """

    unit: str
    base: str
    size: float
    bare: bool
    only: bool = False
    others: str = ""

    def number(self, cell: str, notation: Notation) -> float:
        """What a cell holds, in `unit`.  Raises ValueError, in words, for what is no such number."""
        found = parts_of(cell, notation)
        if found is None:
            value = notation.number(cell)
            if self.bare or value == 0 or is_mark(cell):
                return value
            if self.others:
                raise ValueError(
                    f"{cell.strip()[:40]!r} has no unit, and may be in {self.others} as numbers beside it, or in "
                    f"{self.unit} as the column says: write it behind the number"
                )
            raise ValueError(f"{cell.strip()[:40]!r} has no unit, where other numbers are in {self.unit}")
        value, word = found
        unit = next((unit for unit in _meant(word) if unit.base == self.base), None)
        if unit is not None:
            if self.only and unit.size != self.size:
                raise ValueError(
                    f"{cell.strip()[:40]!r} is not in {self.unit}, where numbers without a unit are: "
                    "write units behind all"
                )
            return value * (unit.size / self.size)
        if self.bare and word in PREFIXES:
            return value * PREFIXES[word]
        others = f"are in {self.unit}" if self.unit else "have none"
        raise ValueError(f"{cell.strip()[:40]!r} is {_spoken(word)}, where other numbers {others}")

    def column(self, cells: Sequence[str], notation: Notation) -> Array:
        """The numbers of many cells (cells,), as `number`."""
        return np.array([self.number(cell, notation) for cell in cells], float)


def parts_of(cell: str, notation: Notation) -> tuple[float, str] | None:
    """The number and the unit of a cell that has both; None for any other."""
    match = _MEASURED.fullmatch(cell.strip())
    if match is None or not any(True for _ in _meant(match[2])):
        return None
    try:
        return notation.number(match[1]), match[2]
    except ValueError:
        return None


def unknown_unit(cells: Sequence[str], notation: Notation) -> str:
    """The first word behind a number that is no unit, where all cells are numbers with a word; "" else."""
    unknown = ""
    for cell in cells:
        if is_mark(cell) or notation.is_number(cell) or parts_of(cell, notation):
            continue
        match = _WORDED.fullmatch(cell.strip())
        if match is None or not notation.is_number(match[1]):
            return ""
        unknown = unknown or match[2]
    return unknown


def without_unit(cell: str) -> str:
    """The number in a cell that may have a unit."""
    match = _MEASURED.fullmatch(cell.strip())
    return match[1].strip() if match and any(True for _ in _meant(match[2])) else cell


def in_cells_of(cells: Sequence[str], said: str, notation: Notation, name: str) -> InCells | None:
    """How the column `name` is read, by its first cells and the unit that is `said` above it; None without units.

    Raises UnreadableError where a letter may be a prefix as well as a unit and nothing decides.
    """
    words = [found[1] for cell in cells if (found := parts_of(cell, notation))]
    if not words:
        return None
    above = read_unit(said)
    if above is not None:
        return _below(said, above, words, [cell for cell in cells if not is_mark(cell)], notation)
    if said:
        return InCells(said, said, 1.0, bare=True)
    first = words[0]
    if set(words) == {first} and first in _EITHER:
        raise UnreadableError(
            f"{first!r} behind the numbers under {name!r} may be a prefix, or {_EITHER[first]}: write the unit behind "
            "the name of that column"
        )
    bases = [next(_meant(word)).base for word in words if word not in _EITHER]
    base = max(dict.fromkeys(bases), key=bases.count) if bases else ""
    ours = {word for word in words if any(unit.base == base for unit in _meant(word))}
    if len(ours) == 1 and base:
        (word,) = ours
        return InCells(word, base, next(unit for unit in _meant(word) if unit.base == base).size, bare=False)
    return InCells(base, base, 1.0, bare=not base)


def _below(said: str, above: Unit, words: Sequence[str], cells: Sequence[str], notation: Notation) -> InCells:
    """How a column is read that has the unit `said` above, with cells that say units, or prefixes, of their own."""
    units = {word: unit for word in words for unit in _meant(word) if unit.base == above.base}
    others = next((word for word, unit in units.items() if unit.size != above.size), "")
    plain = any(parts_of(cell, notation) is None and notation.number(cell) != 0 for cell in cells)
    bare = not others and (plain or not units)
    return InCells(said, above.base, above.size, bare, only=bare and plain, others=others)


def _meant(word: str) -> Iterator[Unit]:
    """What a word behind a number may mean, most likely first; a prefix alone is a unit without a base."""
    if word in COUNTED:
        yield Unit(1.0, word)
    elif (unit := read_unit(word)) is not None:
        yield unit
    if word and word in PREFIXES:
        yield Unit(PREFIXES[word], "")


def _spoken(word: str) -> str:
    base = next(_meant(word)).base
    if not base:
        return "a number with a prefix alone"
    return f"a {QUANTITIES[base]}" if base in QUANTITIES else f"in {base}"
