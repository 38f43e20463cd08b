"""One line of a table of targets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A target, what was measured, and whether that meets it; None for what is printed and not judged."""

    target: str
    value: str
    met: bool | None


def print_table(figures: Iterable[Figure]) -> bool:
    """Print as columns; True if no figure misses its target."""
    rows = [(item.target, item.value, {True: "yes", False: "NO", None: "-"}[item.met]) for item in figures]
    rows.insert(0, ("target", "figure", "met"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print("  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip())
    return not any(row[2] == "NO" for row in rows)
