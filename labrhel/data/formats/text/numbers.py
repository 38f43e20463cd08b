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
        "<na>",
        "n.d.",
        "nd",
        "bad",
        "err",
        "err.",
        "error",
        "#error",
        "#div/0!",
        "#ref!",
        "#name?",
        "#null!",
        "#n/a n/a",
        "invalid",
        "inv",
        "no data",
        "nodata",
        "#value!",
        "#num!",
        "-nan",
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
        "o.l.",
        "-o.l.",
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
        ">max",
        "<min",
        "over-range",
        "out of range",
        "underrange",
        "under",
        "uv",
        "+over",
        "-over",
        "+++",
        "<<<",
        ">>>",
        "high",
        "low",
        "-clip",
        "+clip",
    ]
) - {"uv"}
"""In small letters: there was a value, and it was beyond the range."""

_OF_C = re.compile(r"([+-]?)1\.#(inf|[qs]nan|ind)0*(?:e[+-]?0+)?", re.ASCII)
"""What the library of Windows writes, as many digits as were asked for: 1.#INF00e+000."""

_BEYOND, _NO_NUMBER = 9.9e37, 9.91e37
"""Infinity and what is no number, as SCPI says them (volume 1, 7.2.1.4); some write up to 1e38 for the first."""

_OF_SCPI = re.compile(r"[+-]?9[.,]9\d*e\+?37", re.ASCII)

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
            return -math.inf if lowered.startswith(("-", "<", "under", "low")) else math.inf
        if match := _OF_C.fullmatch(lowered):
            return float(f"{match[1]}inf") if match[2] == "inf" else math.nan
        plain = word.translate(_SIGNS)
        if self.groups and _grouped(self.groups, self.decimal).fullmatch(plain):
            plain = re.sub(_SPACES if self.groups == " " else re.escape(self.groups), "", plain)
        match = _PLAIN[self.decimal].fullmatch(plain)
        if match is None or (match[3] and self.decimal not in match[1]):  # Fortran leaves out the letter: 1.0-103
            raise ValueError(f"{word[:40]!r} is not a number")
        power = match[2] or match[3]
        value = float(f"{match[1].replace(',', '.')}{'e' + power if power else ''}")
        return value if abs(value) < _BEYOND else float(_without_marks(np.array(value)))

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
                    return _without_marks(values)
        return np.array([self.number(cell) for cell in cells], float)


def is_mark(cell: str) -> bool:
    """Whether the cell says that there is no value."""
    word = cell.strip().lower()
    return word in MISSING or word in OVERLOAD or any(form.fullmatch(word) for form in (_OF_C, _OF_SCPI))


def _without_marks(values: Array) -> Array:
    """The values, with NaN and infinity for the numbers by which instruments say so."""
    size = np.abs(values)
    if not (size >= _BEYOND).any():
        return values
    values = np.where((size >= _BEYOND) & (size <= 1e38), np.copysign(np.inf, values), values)
    return np.where(np.isclose(size, _NO_NUMBER, rtol=1e-6, atol=0), np.nan, values)


def _with_points(cells: Sequence[str]) -> list[str]:
    if any("." in cell for cell in cells):
        raise ValueError("a point, where the decimal sign is a comma")
    return [cell.replace(",", ".") for cell in cells]


_PLAIN = {
    sign: re.compile(
        rf"([+-]?(?:\d+{re.escape(sign)}?\d*|{re.escape(sign)}\d+))(?:\s?[eEdDqQ]\s?([+-]?\d+)|([+-]\d{{3}}))?",
        re.ASCII,
    )
    for sign in ".,"
}


def _grouped(groups: str, decimal: str) -> re.Pattern[str]:
    """Digits in groups, none of which follows a zero in front: 0.125 is no 125."""
    between = _SPACES if groups == " " else re.escape(groups)
    return re.compile(rf"[+-]?[1-9]\d{{0,2}}(?:{between}\d{{3}})+(?:{re.escape(decimal)}\d*)?", re.ASCII)
