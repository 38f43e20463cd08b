"""Many runs side by side, on one HTML page: a sweep, or any runs that somebody names.

What the runs differ in, how each ended, the last of their figures; all losses in one picture, and the last ones against
every key.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labrhel.errors import RecordError
from labrhel.records import style
from labrhel.records.page import flat, heads, items, page, picture, row, table
from labrhel.records.tables import cell
from labrhel.store import RunReader
from labrhel.store.index import row_of
from labrhel.sweeps.axes import Axis
from labrhel.sweeps.carrying import MISSING
from labrhel.sweeps.figures import Came, Figures, came_of
from labrhel.sweeps.planning import Sweep, SweepPoint

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROWS, _CURVES = 1000, 60
_GOOD = ("done", "stalled")


def side_by_side(folders: Sequence[Path]) -> Figures:
    """Any runs as a sweep along all keys that they differ in; RecordError for a folder that is no run."""
    readers = [RunReader(folder) for folder in folders]
    decided = [flat(_decided(reader)) for reader in readers]
    every = dict.fromkeys(key for each in decided for key in each)
    keys = [key for key in every if len({repr(each.get(key)) for each in decided}) > 1]
    values = tuple(tuple(each.get(key) for key in keys) for each in decided)
    points = tuple(SweepPoint(str(folder.absolute()), value) for folder, value in zip(folders, values, strict=True))
    came = tuple(came_of(point, row_of(Path(point.run)), None) for point in points)
    names = tuple(sorted({name for each in came for name in each.figures}))
    unit = str(readers[0].manifest.get("target_unit", ""))
    return Figures(Sweep(f"{len(folders)} runs", (Axis(tuple(keys), values),), points), Path(), came, names, unit)


def report(figures: Figures, title: str) -> str:
    """The page."""
    bad = [came for came in figures.points if came.status not in _GOOD]
    counts = {came.status: sum(each.status == came.status for each in figures.points) for came in figures.points}
    mark, words = ("well", "All have ended") if not bad else ("bad", "Not all have ended well")
    said = [f"{count} {status}" for status, count in counts.items()]
    said += [f"{key} is {cell(_plain(value))} in all of them" for key, value in figures.fixed.items()]
    failed = [f"{_called(figures, came)}: {came.status}: {came.words or 'no word why'}" for came in bad]
    pictures = "".join(_pictures(figures))
    more = f"<p>and {len(figures.points) - _ROWS} more.</p>" if len(figures.points) > _ROWS else ""
    return page(
        title,
        f'<section class="verdict {mark}"><strong>{words}</strong>{items(said)}</section>'
        + (f"<h2>What failed</h2>{items(failed[:_ROWS])}" if failed else "")
        + f'<div class="pictures">{pictures}</div><h2>Runs</h2>{table(_rows(figures))}{more}',
    )


def _rows(figures: Figures) -> list[str]:
    told = figures.told
    headed = [f"{name} [{figures.unit}]" if name.startswith("test_") and figures.unit else name for name in told]
    rows = [
        row(Path(came.point.run).name, *map(cell, figures.cells(came, told)), mark="" if came.status in _GOOD else "no")
        for came in figures.points[:_ROWS]
    ]
    return [heads("run", *figures.keys, "status", *headed), *rows]


def _pictures(figures: Figures) -> list[str]:
    from matplotlib.figure import Figure

    found = []
    with style.plain_text():
        drawn = Figure(figsize=(5.6, 3.1), layout="constrained")
        if _curves(drawn, figures):
            found.append(picture("Loss of every run", drawn))
        for place, key in enumerate(figures.keys):
            drawn = Figure(figsize=(5.6, 3.1), layout="constrained")
            if _against(drawn, figures, place, key):
                found.append(picture(f"Last loss against {key}", drawn))
    return found


def _curves(figure: Figure, figures: Figures) -> bool:
    """The losses of the first runs; they are named if they are few."""
    axes, drawn = figure.subplots(), 0
    known = [came for came in figures.points if came.status != MISSING][:_CURVES]
    for came in known:
        try:
            scalars = RunReader(figures.root / came.point.run).scalars()
        except RecordError:
            continue
        losses = scalars.get("loss", np.array([]))
        there = np.isfinite(losses)
        if there.any():
            label = _called(figures, came) if len(known) <= len(style.NAMED) else None
            colour = style.NAMED[drawn % len(style.NAMED)]
            axes.plot(scalars["step"][there], losses[there], lw=1, color=colour, label=label)
            drawn += 1
    style.over_gradients(axes)
    style.logarithmic(axes)
    axes.set_ylabel("loss")
    style.above(axes)
    return bool(drawn)


def _against(figure: Figure, figures: Figures, place: int, key: str) -> bool:
    """The last loss of every run over the values of one key, each value with its mean."""
    at: dict[str, list[float]] = {}
    for came in figures.points:
        value = dict(zip(figures.sweep.keys, came.point.values, strict=True))[key]
        if "loss" in came.figures:
            at.setdefault(cell(_plain(value)), []).append(came.figures["loss"])
    if len(at) < 2:
        return False
    axes = figure.subplots()
    for number, losses in enumerate(at.values()):
        axes.plot([number] * len(losses), losses, "o", ms=3, color=style.OTHERS)
    axes.plot(range(len(at)), [float(np.mean(losses)) for losses in at.values()], color=style.FORWARD, label="mean")
    shown = max(1, len(at) // 8)
    axes.set_xticks(range(0, len(at), shown), [text[:12] for text in list(at)[::shown]])
    axes.set_xlabel(key)
    axes.set_ylabel("last loss")
    style.logarithmic(axes)
    return True


def _called(figures: Figures, came: Came) -> str:
    known = dict(zip(figures.sweep.keys, came.point.values, strict=True))
    return " ".join(f"{key.rpartition('.')[2]}={cell(_plain(known[key]))}" for key in figures.keys) or came.point.run


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float) or value is None else repr(value)


def _decided(reader: RunReader) -> dict[str, Any]:
    """What a run was made of: its configuration, and what took the place of that on the command line."""
    manifest = reader.manifest
    known = dict(manifest.get("configuration", {}))
    if isinstance(known.get("optimizer"), dict) and "seed" in manifest:
        known["optimizer"] = {**known["optimizer"], "seed": manifest["seed"], "steps": manifest["steps"]}
    return {**known, "rig": manifest.get("rig", ""), "name": manifest["name"]}
