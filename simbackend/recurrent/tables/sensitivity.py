"""How a loss at the end depends on the input at each time before: by echoes, by BPTT, and how fast it fades.

    s(lag) = |dL/du| of all inputs at that time;    log s falls by g/2 for each unit of lag under friction g, 0 without

One unit of the width of a set's stack, all oscillators with the same step and friction, is driven by the normalised
series of the set through a random map; L is a random projection of its last output.  The rate is that of the straight
line through log s, from where s has risen: what came in last has not yet moved anything.  Nonlinear units bend their
own spring along the way: lossless ones may grow, damped ones fade about as fast as linear ones.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.stats import linregress

from labrhel.arrays import Array
from labrhel.records import style
from labrhel.records.tables import Asked, Cell, Table, Watch
from labrhel.shots.operations import Publish
from simbackend.recurrent.stacks.engines import make_engine
from simbackend.recurrent.stacks.layer import GradientWarning
from simbackend.recurrent.stacks.training import seeded
from simbackend.recurrent.stacks.units import UNITS, Beginning, Size
from simbackend.recurrent.tables.batches import FirstBatch
from simbackend.recurrent.tables.sources import OfSources, chosen, only_seed, require_unasked, sources
from simbackend.recurrent.tables.training import COLOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OWN = ("SelfRegulationSCP1",)
FRICTION = 0.1
_SPAN, _LARGEST_STEP = 60.0, 0.2  # model time of a series, and what each step of it is at most
_RISEN = 5.0  # lag from which a rate is that of fading: about a period of the softer oscillators
_PAIR = ("echoes", "bptt")


@dataclass(frozen=True, slots=True)
class Fading:
    """Sensitivity (steps,) by echoes and by BPTT, over the lag (steps,) [model time]."""

    lag: Array
    by: Mapping[str, Array]

    def rate(self, engine: str) -> tuple[float, float]:
        """Slope of log s over the lag [1/model time], and its standard error."""
        risen = self.lag >= min(_RISEN, self.lag.max() / 2)
        line: Any = linregress(self.lag[risen], np.log(self.by[engine][risen]))
        return float(line.slope), float(line.stderr)

    def agreement(self) -> tuple[float, float]:
        """Correlation of echoes and BPTT over time, and the slope of the one over the other."""
        line: Any = linregress(self.by["bptt"], self.by["echoes"])
        return float(line.rvalue), float(line.slope)


@dataclass(frozen=True, slots=True)
class SensitivityTable(OfSources):
    """Planned: each set and unit."""

    seed: int

    @property
    def steps(self) -> int:
        """Pairs of gradients."""
        return len(self.found) * len(self.units)

    def make(self, root: Path, watch: Watch) -> Table:
        """Take the gradients; nothing is kept under `root`."""
        torch.set_num_threads(1)
        rows: list[tuple[Cell, ...]] = []
        curves: dict[str, Fading] = {}
        problems = ((source, source.problem()) for source in self.found)
        for (source, problem), unit in ((pair, unit) for pair in problems for unit in self.units):
            fading = fading_of(FirstBatch(source, problem, unit, self.seed))
            friction = FRICTION if unit.startswith("damped") else 0.0
            rates = [figure for engine in _PAIR for figure in fading.rate(engine)]
            rows.append((source.name, unit, friction, *fading.agreement(), *rates, 0.0 - friction / 2))
            curves[f"{source.name} {unit}"] = fading
            watch(Publish(len(rows) - 1, {}))
        columns = (
            "set", "unit", "friction g", "correlation", "slope on BPTT", "rate by echoes", "+-", "rate by BPTT", "+-",
            "-g/2",
        )  # fmt: skip
        words = f"rates are per unit of model time, of one batch, seed {self.seed}; correlation and slope are over time"
        return Table(columns, tuple(rows), partial(_draw, curves), (words,))


def sensitivity(asked: Asked) -> SensitivityTable:
    """The table of sensitivities.  Raises ConfigurationError."""
    require_unasked(asked, "steps", "engines")
    units = chosen(asked.units, tuple(UNITS), tuple(UNITS), "unit")
    return SensitivityTable(asked, sources(asked, OWN), units, only_seed(asked))


def fading_of(batch: FirstBatch) -> Fading:
    """The sensitivity over time of a unit that is driven by this batch."""
    training = batch.training("bptt")
    series = torch.from_numpy(batch.arrays(training)[0]).double()
    series = (series - series.mean((0, 1))) / series.std((0, 1)).clamp_min(1e-12)
    row, count = batch.source.row, series.shape[1]
    step = min(_SPAN / count, _LARGEST_STEP)
    beginning, size = Beginning(step=step, friction=FRICTION), Size(row.hidden, row.state, row.hidden)
    found = {}
    for engine in _PAIR:
        with seeded(batch.seed):
            unit = UNITS[batch.unit](make_engine(batch.unit, engine), size, beginning).double()  # type: ignore[arg-type]
            encoder = torch.randn(series.shape[2], row.hidden, dtype=torch.float64) / series.shape[2] ** 0.5
            projection = torch.randn(len(series), row.hidden, dtype=torch.float64)
        drive = (series @ encoder).requires_grad_()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GradientWarning)  # what it doubts shows in the comparison
            (unit(drive)[:, -1] * projection).sum().backward()
        assert drive.grad is not None
        found[engine] = drive.grad.square().sum((0, 2)).sqrt().numpy()
    return Fading(step * np.arange(count)[::-1], found)


def _draw(curves: Mapping[str, Fading], figure: Figure) -> None:
    across = min(len(curves), 4)
    panels = figure.subplots(-(-len(curves) // across), across, squeeze=False, sharex=True, sharey=True).ravel()
    for axes in panels[len(curves) :]:
        axes.set_axis_off()
    for axes in panels[max(len(curves) - across, 0) : len(curves)]:
        axes.xaxis.set_tick_params(labelbottom=True)  # the lowest of its column, if others have one more
    for axes, (name, fading) in zip(panels, curves.items(), strict=False):
        for engine, drawn in zip(_PAIR, ({"lw": 3, "alpha": 0.5}, {"lw": 1, "ls": "--"}), strict=True):
            axes.plot(fading.lag, fading.by[engine], color=COLOURS[engine], label=engine, **drawn)
        style.logarithmic(axes)
        axes.set_title(name, fontsize=9)
    figure.supxlabel("lag [model time]", fontsize=10)
    panels[0].set_ylabel("|dL/du|")
    panels[0].legend(fontsize=8)
