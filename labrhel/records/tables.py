"""Tables of figures on paper: as rows of text, and as a picture."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from labrhel.learning.tables import Asked, Cell, PlannedTable, Table, TableMaker, Watch
from labrhel.records import style
from labrhel.store.outputs import written_aside

__all__ = ["Asked", "Cell", "PlannedTable", "Table", "TableMaker", "Watch", "cell", "write", "write_csv"]

_INCHES, _DPI = (11.0, 5.0), 110


def cell(value: Cell) -> str:
    """A figure as a person reads it: four digits, and nothing where there is none."""
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def write(table: Table, words: str, file: Path) -> tuple[Path, Path]:
    """Write `file`.csv, every figure to its last bit, and `file`.png, headed by `words`; both are returned.

    Raises RecordError for a file that cannot be written.
    """
    from matplotlib.figure import Figure

    text, picture = file.with_name(f"{file.name}.csv"), file.with_name(f"{file.name}.png")
    write_csv(table.columns, table.rows, text)
    with style.plain_text():
        figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
        table.draw(figure)
        figure.suptitle(words, fontsize=9, wrap=True)
    with written_aside(picture) as aside:  # outside: the numbers of logarithmic axes are mathematics
        figure.savefig(aside)
    return text, picture


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[Cell]], file: Path) -> Path:
    """Write rows under their columns, every figure to its last bit; RecordError for a file that cannot be written."""
    with written_aside(file, making_folders=True) as aside, aside.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(["" if value is None else value for value in row] for row in rows)
    return file
