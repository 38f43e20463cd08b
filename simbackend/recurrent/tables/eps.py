"""How strongly to nudge: the error of a stack's gradient over eps, in float32 and float64.

Small nudges drown in rounding, large ones bend nonlinear units; the rule that eps: auto follows is the last line of
each case.  Compared are all parameters of all units at once, with BPTT in float64 from the same values.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from labrhel.arrays import Array
from labrhel.learning.checking import compare
from labrhel.records import style
from labrhel.records.tables import Asked, Cell, Table, Watch
from labrhel.shots.operations import Publish
from simbackend.recurrent.tables.batches import FirstBatch
from simbackend.recurrent.tables.sources import UNITS, OfSources, chosen, only_seed, require_unasked, sources
from simbackend.recurrent.tables.training import PAPERS_UNITS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OWN = ("SelfRegulationSCP1",)
GRID = tuple(10.0**power for power in range(-6, 7, 2))
PRECISIONS = ("float32", "float64")


@dataclass(frozen=True, slots=True)
class EpsTable(OfSources):
    """Planned: every unit and precision of each set, over the grid."""

    seed: int

    @property
    def steps(self) -> int:
        """Gradients by echoes."""
        return len(self.found) * len(self.units) * len(PRECISIONS) * (len(GRID) + 1)

    def make(self, root: Path, watch: Watch) -> Table:
        """Take the gradients; nothing is kept under `root`."""
        torch.set_num_threads(1)
        rows: list[tuple[Cell, ...]] = []
        for row in self._rows():
            rows.append(row)
            watch(Publish(len(rows) - 1, {}))
        columns = ("set", "unit", "precision", "eps", "response ratio", "cosine", "relative error")
        words = f"of all parameters of the units, on the first batch, seed {self.seed}"
        return Table(columns, tuple(rows), partial(_draw, rows), (words,))

    def _rows(self) -> Iterator[tuple[Cell, ...]]:
        for source in self.found:
            problem = source.problem()
            for unit in self.units:
                batch = FirstBatch(source, problem, unit, self.seed)
                exact = _of_units(batch.gradient("bptt")[0])
                for precision, eps in product(PRECISIONS, (*GRID, None)):
                    nudge: dict[str, Any] = {} if eps is None else {"eps": eps}
                    found, response = batch.gradient("echoes", precision=precision, **nudge)
                    figures = compare(_of_units(found), exact)
                    yield (source.name, unit, precision, "auto" if eps is None else eps, response, *figures)


def eps(asked: Asked) -> EpsTable:
    """The table over eps.  Raises ConfigurationError."""
    require_unasked(asked, "steps", "engines")
    units = chosen(asked.units, PAPERS_UNITS, UNITS, "unit")
    return EpsTable(asked, sources(asked, OWN), units, only_seed(asked))


def _of_units(gradient: Mapping[str, Array]) -> Array:
    return np.concatenate([values for name, values in gradient.items() if ".coordinates." in name])


def _draw(rows: Sequence[tuple[Cell, ...]], figure: Figure) -> None:
    axes = figure.subplots()
    for index, case in enumerate(dict.fromkeys(row[:3] for row in rows)):
        drawn: list[Any] = [row for row in rows if row[:3] == case]
        colour, mark = f"C{index}", {"float32": "o", "float64": "s"}[str(case[2])]
        known = [row for row in drawn if row[3] != "auto" and row[4] > 0]  # nudges that are lost whole have no place
        axes.plot(
            [row[4] for row in known],
            [row[6] for row in known],
            color=colour,
            marker=mark,
            label=" ".join(map(str, case)),
        )
        chosen_by_rule = drawn[-1]
        axes.plot(chosen_by_rule[4], chosen_by_rule[6], color=colour, marker="*", markersize=14, ls="")
    axes.plot([], [], color="0.35", marker="*", markersize=14, ls="", label="eps: auto")
    axes.set(xscale="log", yscale="log", xlabel="response ratio r", ylabel="relative error of the gradient")
    for axis in (axes.xaxis, axes.yaxis):
        style.in_powers_of_ten(axis)
    axes.legend(fontsize=8)
