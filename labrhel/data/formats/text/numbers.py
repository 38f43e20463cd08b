"""Numbers as people and instruments write them: decimal commas, grouped digits, marks for what is missing."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array

MISSING = frozenset(
    [
        "",
        "nan",
        "na",
        "n/a",
        "n.a.",
        "#n/a",
        "#na",
        "nil",
        "null",
        "none",
        "?",
        "-",
        "--",
        "---",
        "----",
        "*",
        "**",
        "***",
        "****",
        "*****",
        ".",
        "..",
        "missing",
        "invalid",
        "inv",
        "no data",
        "nodata",
        "#value!",
        "#num!",
        "-nan",
        "1.#qnan",
        "-1.#ind",
        "1.#ind",
        "(null)",
        "-nan(ind)",
        "nan(ind)",
    ]
)
"""In small letters: there is no value."""

OVERLOAD = frozenset(
    [
        "inf",
        "+inf",
        "-inf",
        "infinity",
        "-infinity",
        "+infinity",
        "∞",
        "+∞",
        "-∞",
        "ol",
        "-ol",
        "+ol",
        "o.l",
        "0l",
        "over",
        "overload",
        "overflow",
        "ovf",
        "ovld",
        "ovl",
        "ovr",
        "clip",
        "clipped",
        "overrange",
        "over range",
        "underrange",
        "under",
        "uv",
        "+over",
        "-over",
        "+++",
        "1.#inf",
        "-1.#inf",
        "<<<",
        ">>>",
        "high",
        "low",
        "-clip",
        "+clip",
    ]
) - {"uv"}
"""In small letters: there was a value, and it was beyond the range."""

_SIGNS = str.maketrans({"\u2212": "-", "\u2013": "-", "\ufe63": "-", "\uff0d": "-"})
_SPACES = "[ \u00a0\u202f\u2009'\u2019]"


@dataclass(frozen=True, slots=True)
class Notation:
    """How a table writes numbers: its decimal sign, and what groups thousands ("" if nothing does)."""

    decimal: str
    groups: str = ""

    def __post_init__(self) -> None:
        if self.decimal not in ".,":
            raise ValueError(f"a decimal sign is a point or a comma, not {self.decimal!r}")

    def number(self, cell: str) -> float:
        """The number that a cell holds: NaN where it is missing, infinity where it was beyond the range.

        Raises ValueError for anything else.
        """
        word = cell.strip()
        lowered = word.lower()
        if lowered in MISSING:
            return math.nan
        if lowered in OVERLOAD:
            return -math.inf if lowered.startswith("-") else math.inf
        plain = word.translate(_SIGNS)
        if self.groups and _grouped(self.groups, self.decimal).fullmatch(plain):
            plain = re.sub(_SPACES if self.groups == " " else re.escape(self.groups), "", plain)
        match = _PLAIN[self.decimal].fullmatch(plain)
        if match is None:
            raise ValueError(f"{word[:40]!r} is not a number")
        return float(f"{match[1].replace(',', '.')}{'e' + match[2] if match[2] else ''}")

    def is_number(self, cell: str) -> bool:
        """Whether the cell holds digits that are a number."""
        try:
            return math.isfinite(self.number(cell))
        except ValueError:
            return False

    def column(self, cells: Sequence[str]) -> Array:
        """The numbers of many cells (cells,), float64, correctly rounded.  Raises ValueError as `number` does."""
        if not self.groups:
            try:
                plain = cells if self.decimal == "." else _with_points(cells)
                values = np.array(plain, float)
            except ValueError:
                pass
            else:
                if not any("_" in cell for cell in cells):  # which Python takes between digits
                    return values
        return np.array([self.number(cell) for cell in cells], float)


def is_mark(cell: str) -> bool:
    """Whether the cell says that there is no value."""
    word = cell.strip().lower()
    return word in MISSING or word in OVERLOAD


def _with_points(cells: Sequence[str]) -> list[str]:
    if any("." in cell for cell in cells):
        raise ValueError("a point, where the decimal sign is a comma")
    return [cell.replace(",", ".") for cell in cells]


_PLAIN = {
    sign: re.compile(rf"([+-]?(?:\d+{re.escape(sign)}?\d*|{re.escape(sign)}\d+))(?:[eEdD]([+-]?\d+))?", re.ASCII)
    for sign in ".,"
}


def _grouped(groups: str, decimal: str) -> re.Pattern[str]:
    between = _SPACES if groups == " " else re.escape(groups)
    return re.compile(rf"[+-]?\d{{1,3}}(?:{between}\d{{3}})+(?:{re.escape(decimal)}\d*)?", re.ASCII)
