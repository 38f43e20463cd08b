"""What came of a sweep: a row for each point, as text, as CSV, and as an xarray Dataset along the swept keys."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labrhel.learning.tables import Cell
from labrhel.store import RunReader
from labrhel.store.index import RunRow, rows
from labrhel.sweeps.axes import Axis
from labrhel.sweeps.carrying import MISSING, State
from labrhel.sweeps.planning import Sweep, SweepPoint

if TYPE_CHECKING:
    import xarray

_FIGURES = ("gradients", "first_loss", "loss")
_TOLD = ("test_", "nrmse_")
_OF_TARGET = ("test_", "zero_")  # scores in the unit of the target
_UNCERTAIN = "nrmse_uncertainty_"


@dataclass(frozen=True, slots=True)
class Came:
    """What came of a point: `figures` by name, the last of each; nothing of what has not been measured."""

    point: SweepPoint
    status: str
    figures: Mapping[str, float]
    words: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """All points of a sweep, in order; `names` of all figures, and the `unit` of test errors."""

    sweep: Sweep
    root: Path
    points: tuple[Came, ...]
    names: tuple[str, ...]
    unit: str

    @property
    def keys(self) -> list[str]:
        """Keys with more than one value: those that the points differ in."""
        return [key for axis in self.sweep.axes if len(axis.values) > 1 for key in axis.keys]

    @property
    def fixed(self) -> dict[str, Any]:
        """The other keys, with the value that they have."""
        axes = (axis for axis in self.sweep.axes if len(axis.values) == 1)
        return {key: value for axis in axes for key, value in zip(axis.keys, axis.values[0], strict=True)}

    def cells(self, came: Came, names: tuple[str, ...]) -> list[Cell]:
        """The values of a point that differ, its status, and the figures of these names."""
        known = dict(zip(self.sweep.keys, came.point.values, strict=True))
        return [*(_cell(known[key]) for key in self.keys), came.status, *(_figure(came, name) for name in names)]

    @property
    def told(self) -> tuple[str, ...]:
        """The names of the figures that a person looks at first."""
        scores = [name for name in self.names if name.startswith(_TOLD) and not name.startswith(_UNCERTAIN)]
        return (*_FIGURES, *scores)

    def table(self) -> tuple[list[str], list[list[Cell]]]:
        """All that is known, as columns and rows: what the CSV holds.  The same runs give the same table."""
        names = (*_FIGURES, *(name for name in self.names if name not in _FIGURES))
        columns = [*self.keys, "status", *names, "run", "words"]
        return columns, [[*self.cells(came, names), came.point.run, came.words] for came in self.points]


def figures_of(sweep: Sweep, root: Path, states: Mapping[str, State] | None = None) -> Figures:
    """Read what came of a sweep from the index over `root`; `states` know of points that left no folder."""
    states = {} if states is None else states
    wanted = {point.run for point in sweep.points}
    known = {row.folder.name: row for row in rows(root) if row.folder.name in wanted}
    points = tuple(came_of(point, known.get(point.run), states.get(point.run)) for point in sweep.points)
    names = tuple(sorted({name for came in points for name in came.figures}))
    done = next((row for row in known.values() if row.status == "done"), None)
    unit = "" if done is None else str(RunReader(done.folder).manifest.get("target_unit", ""))
    return Figures(sweep, root, points, names, unit)


def came_of(point: SweepPoint, row: RunRow | None, state: State | None) -> Came:
    """What came of a point, by its row in the index; by its state, where it left no folder."""
    if row is None:
        return Came(point, MISSING, {}, "" if state is None else state.words)
    words = row.damage or (row.said if row.status in ("failed", "unsafe", "stalled") else "")
    if not words and state is not None and not state.is_good:
        words = state.words
    found = {**row.scores, "gradients": float(row.gradients), "first_loss": row.first_loss, "loss": row.last_loss}
    return Came(point, row.status, {name: value for name, value in found.items() if math.isfinite(value)}, words)


def dataset(figures: Figures) -> xarray.Dataset:
    """The figures along the swept keys: a dimension for each axis of more than one value.

    Keys that change together share the dimension that the first of them names.  Keys of one value are coordinates
    without a dimension.  `status`, `run` and `words` say of each point how it ended, where its folder is, and why.
    """
    import xarray

    axes = [axis for axis in figures.sweep.axes if len(axis.values) > 1]
    shape, names = tuple(len(axis.values) for axis in axes), [axis.name for axis in axes]

    def along(values: list[Any], kind: Any = None) -> tuple[list[str], Any]:
        return names, np.array(values, dtype=kind).reshape(shape)

    data = {
        name: (*along([came.figures.get(name, np.nan) for came in figures.points], float), _about(name, figures.unit))
        for name in (*_FIGURES, *(name for name in figures.names if name not in _FIGURES))
    }
    words = {
        "status": along([came.status for came in figures.points], str),
        "run": along([came.point.run for came in figures.points], str),
        "words": along([came.words for came in figures.points], str),
    }
    coordinates = {key: (axis.name, _along(axis, place)) for axis in axes for place, key in enumerate(axis.keys)}
    fixed = {key: _cell(value) for key, value in figures.fixed.items()}
    about = {"sweep": figures.sweep.identity, "configuration": figures.sweep.name, "folder": str(figures.root)}
    return xarray.Dataset({**data, **words}, {**coordinates, **fixed}, about)


def _along(axis: Axis, place: int) -> Any:
    return np.array([_cell(values[place]) for values in axis.values])


def _about(name: str, unit: str) -> dict[str, str]:
    return {"units": unit} if name.startswith(_OF_TARGET) and unit else {}


def _cell(value: Any) -> Any:
    """A value as a table holds it: lists and mappings as JSON, and nothing as the word null."""
    return value if isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False)


def _figure(came: Came, name: str) -> Cell:
    value = came.figures.get(name)
    return int(value) if value is not None and name == "gradients" else value
