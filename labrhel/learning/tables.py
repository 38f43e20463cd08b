"""Tables of figures that a command makes: what is asked, what is planned, and what comes of it.

A table is found by its name (`labrhel.plugins.paper_table`), and called as `maker(asked)`; `labrhel.records.tables`
writes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from labrhel.shots.operations import Publish

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

    @property
    def left(self) -> str:
        """What is left of it when it is interrupted."""
        ...

    def make(self, root: Path, watch: Watch) -> Table:
        """Make it; what takes long is kept under `root`, and found there when it is made again."""
        ...


TableMaker = Callable[[Asked], PlannedTable]
