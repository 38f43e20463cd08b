"""Gradients by echoes beside those by BPTT, for every layer and parameter of a stack: the paper's figure 4.

At the initial values, on the first batch; cosine, ratio of the norms, and relative error, the worst of the seeds.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from labrhel.learning.checking import compare
from labrhel.records import style
from labrhel.records.tables import Asked, Cell, Table, Watch
from labrhel.shots.operations import Publish
from simbackend.recurrent.tables.batches import FirstBatch
from simbackend.recurrent.tables.sources import ENGINES, UNITS, OfSources, chosen, require_unasked, sources
from simbackend.recurrent.tables.training import COLOURS, PAPERS_UNITS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OWN = ("SelfRegulationSCP1",)
_LEAST = 1e-17  # that is drawn; below it is rounding of the figure itself


@dataclass(frozen=True, slots=True)
class GradientTable(OfSources):
    """Planned: all parameters of each set's stack, by each unit and engine."""

    engines: Sequence[str]
    seeds: Sequence[int]

    @property
    def steps(self) -> int:
        """Gradients that are compared."""
        return len(self.found) * len(self.units) * len(self.seeds)

    def make(self, root: Path, watch: Watch) -> Table:
        """Take the gradients; nothing is kept under `root`."""
        torch.set_num_threads(1)
        rows: list[tuple[Cell, ...]] = []
        step = 0
        for source in self.found:
            problem = source.problem()
            for unit in self.units:
                worst: dict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
                for seed in self.seeds:
                    batch = FirstBatch(source, problem, unit, seed)
                    exact, _ = batch.gradient("bptt")
                    for engine in self.engines:
                        for name, values in batch.gradient(engine)[0].items():
                            cosine, error = compare(values, exact[name])
                            ratio = float(np.linalg.norm(values) / (np.linalg.norm(exact[name]) or 1.0))
                            worst[engine, name].append((cosine, ratio, error))
                    watch(Publish(step, {}))
                    step += 1
                for (engine, name), figures in worst.items():
                    cosine, ratio, error = max(figures, key=lambda item: item[2])
                    rows.append((source.name, unit, engine, *_layer(name), cosine, ratio, error))
        columns = ("set", "unit", "engine", "layer", "parameter", "cosine", "norm / BPTT's", "relative error")
        words = f"at the initial values, on the first batch; the worst of {len(self.seeds)} seeds"
        return Table(columns, tuple(rows), partial(_draw, rows), (words,))


def gradients(asked: Asked) -> GradientTable:
    """The table of gradients.  Raises ConfigurationError."""
    require_unasked(asked, "steps")
    units = chosen(asked.units, PAPERS_UNITS, UNITS, "unit")
    engines = chosen(asked.engines, ("echoes",), ENGINES, "engine")
    return GradientTable(asked, sources(asked, OWN), units, engines, asked.seeds or (0,))


def _layer(name: str) -> tuple[str, str]:
    """`blocks.0.unit.coordinates.step` -> block 1, unit step."""
    parts = name.replace("unit.coordinates.", "unit ").split(".")
    if parts[0] == "blocks":
        return f"block {int(parts[1]) + 1}", " ".join(parts[2:])
    return parts[0], " ".join(parts[1:])


def _draw(rows: Sequence[tuple[Cell, ...]], figure: Figure) -> None:
    layers = list(dict.fromkeys(str(row[3]) for row in rows))
    cases = list(dict.fromkeys(row[:3] for row in rows))
    angle, size = figure.subplots(1, 2)
    markers = "os^vDP*X"
    for (index, case), shift in zip(enumerate(cases), np.linspace(-0.2, 0.2, len(cases)), strict=True):
        drawn = [row for row in rows if row[:3] == case]
        at = [layers.index(str(row[3])) + shift for row in drawn]
        look = {"s": 18, "marker": markers[index % len(markers)], "color": COLOURS[str(case[2])], "alpha": 0.7}
        name = " ".join(map(str, case))
        angle.scatter(at, [max(1 - float(row[5] or 0), _LEAST) for row in drawn], label=name, **look)
        size.scatter(at, [max(abs(float(row[6] or 0) - 1), _LEAST) for row in drawn], label=name, **look)
    for axes, words in ((angle, "1 - cosine"), (size, "|norm / that of BPTT - 1|")):
        axes.set_xticks(range(len(layers)), layers, rotation=45, ha="right", fontsize=8)
        axes.set_ylabel(words)
        axes.set_yscale("log")
        style.in_powers_of_ten(axes.yaxis)
    angle.legend(fontsize=8)
