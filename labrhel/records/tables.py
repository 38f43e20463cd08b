"""Tables of figures that a command makes: what is asked, what is planned, and what comes of it, on paper too.

A table is found by its name (`labrhel.plugins.paper_table`), and called as `maker(asked)`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from labrhel.shots.operations import Publish
from labrhel.store.outputs import written_aside

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Watch = Callable[[Publish], None]
Cell = str | float | int | None
"""None where there is no figure."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a table is to be made of; what is empty or None is the table's own choice.

    `data`: the folder of the data sets, None for made series.  `steps`: epochs of each training.  `shrink`: how many
    times shorter, and fewer, made series are than those of the real sets.
    """

    data: Path | None = None
    sets: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    steps: int | None = None
    shrink: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows of figures, their picture, and what there is to say about them, a line each."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    draw: Callable[[Figure], None]
    words: tuple[str, ...] = ()


class PlannedTable(Protocol):
    """A table whose data and names were found; `steps` is what its progress counts to."""

    @property
    def words(self) -> str:
        """What the figures are of, in one line."""
        ...

    @property
    def steps(self) -> int:
        """Steps in all."""
        ...

    def make(self, root: Path, watch: Watch) -> Table:
        """Make it; what takes long is kept under `root`, and found there when it is made again."""
        ...


TableMaker = Callable[[Asked], PlannedTable]
_INCHES, _DPI = (11.0, 5.0), 110


def cell(value: Cell) -> str:
    """A figure as a person reads it: four digits, and nothing where there is none."""
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def write(table: Table, words: str, file: Path) -> tuple[Path, Path]:
    """Write `file`.csv, every figure to its last bit, and `file`.png, headed by `words`; both are returned.

    Raises RecordError for a file that cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    text, picture = file.with_name(f"{file.name}.csv"), file.with_name(f"{file.name}.png")
    with written_aside(text, making_folders=True) as aside, aside.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(table.columns)
        writer.writerows(["" if value is None else value for value in row] for row in table.rows)
    with rc_context({"text.parse_math": False}):
        figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
        table.draw(figure)
        figure.suptitle(words, fontsize=9, wrap=True)
        with written_aside(picture) as aside:
            figure.savefig(aside)
    return text, picture
