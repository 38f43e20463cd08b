"""Test scores by echoes beside those by BPTT: the tables of classification and of regression, and ablations of them.

Every training is a point (`labrhel.experiment.points`): one line of the table, engine and seed in a run folder of its
own.  Engines of the same seed share split, initial values and order of the samples, so what they differ by is paired:
its mean over the seeds, with the 95 % interval of Student's t.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.stats import t as student

from labrhel.arrays import Array
from labrhel.experiment.points import Done, carry_out
from labrhel.records import style
from labrhel.records.tables import Asked, Cell, Table, Watch
from labrhel.store import RunReader
from simbackend.recurrent.stacks.paper import PAPER
from simbackend.recurrent.stacks.runner import StackRun
from simbackend.recurrent.tables.sources import ENGINES, UNITS, Source, chosen, said, sources

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPOCHS = 50
SEEDS = (0, 1, 2, 3, 4)
PAPERS_UNITS = ("complex", "nonlinear")
PAIR = ("echoes", "bptt")
COLOURS = {"echoes": style.ECHO, "difference": style.NUDGED, "adjoint": style.PREPARED, "bptt": style.FORWARD}
COLOURS |= {"pumped": style.BEFORE, "spsa": style.TARGET}
CLASSES = tuple(name for name, row in PAPER.items() if not row.output_step)
READINGS = tuple(name for name, row in PAPER.items() if row.output_step)
_REFERENCE = "bptt"
_CONFIDENCE = 0.95

Key = tuple[int, str, int]
"""Number of the line, engine and seed."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one line of a table trains: a stack for a set, and the unit of its blocks; `labels` say what it is.

    `beside` are engines that this line has beside the table's, where the table chooses them itself.
    """

    labels: tuple[str, ...]
    source: Source
    unit: str
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingTable:
    """A planned table: its lines, by each engine and seed.

    `heads` are the columns of the lines' labels, `score` is the name of the test score in records, `column` its head
    in the table, where it stands times `factor`.
    """

    words: str
    heads: tuple[str, ...]
    lines: Sequence[Line]
    engines: Sequence[str]
    seeds: Sequence[int]
    epochs: int
    score: str = "accuracy"
    column: str = "accuracy [%]"
    factor: float = 100.0

    @property
    def steps(self) -> int:
        """Epochs of all trainings."""
        return len(self._cases()) * len(self.seeds) * self.epochs

    @property
    def left(self) -> str:
        """What is left when it is interrupted."""
        return "trainings are kept as far as they came; the same command goes on"

    def make(self, root: Path, watch: Watch) -> Table:
        """Train what is not trained yet, and compare."""
        torch.set_num_threads(1)  # so that the bits do not depend on the number of cores
        scores: dict[Key, float] = {}
        words = []
        keys = [(number, engine, seed) for (number, engine), seed in product(self._cases(), self.seeds)]
        for key, done in zip(keys, carry_out(self._points(), root, watch), strict=True):
            scores[key] = self.factor * _score(done, self.score)
            if done.stopped:
                words.append(f"{done.folder.name} was stopped: {done.stopped}")
        rows = [self._row(scores, number, engine) for number, engine in self._cases()]
        columns = (*self.heads, "engine", "seeds", self.column, "sd", "minus BPTT", "from", "to")
        words.append(f"from, to: {100 * _CONFIDENCE:.0f} % interval of the mean difference to BPTT, paired by seed")
        return Table(columns, tuple(rows), partial(self._draw, scores), tuple(words))

    def _cases(self) -> list[tuple[int, str]]:
        """Number of the line and engine of every row."""
        lines = enumerate(self.lines)
        return [(number, engine) for number, line in lines for engine in dict.fromkeys((*self.engines, *line.beside))]

    def _points(self) -> Iterator[StackRun]:
        last = problem = None
        for number, engine in self._cases():
            line = self.lines[number]
            if problem is None or line.source.name != last:  # one at a time: the largest of them fill a gigabyte
                last, problem = line.source.name, line.source.problem()
            for seed in self.seeds:
                document = line.source.document(line.unit, engine, seed, self.epochs)
                yield StackRun(line.source.experiment(document, problem))

    def _values(self, scores: Mapping[Key, float], number: int, engine: str) -> Array:
        return np.array([scores[number, engine, seed] for seed in self.seeds])

    def _row(self, scores: Mapping[Key, float], number: int, engine: str) -> tuple[Cell, ...]:
        values = self._values(scores, number, engine)
        known = values[np.isfinite(values)]
        row = (*self.lines[number].labels, engine, len(known), *mean_and_sd(known))
        if engine == _REFERENCE or _REFERENCE not in self.engines:
            return (*row, None, None, None)
        return (*row, *paired(values - self._values(scores, number, _REFERENCE)))

    def _draw(self, scores: Mapping[Key, float], figure: Figure) -> None:
        axes = figure.subplots()
        cases = self._cases()
        engines = list(dict.fromkeys(engine for _, engine in cases))
        for shift, engine in zip(np.linspace(-0.12, 0.12, len(engines)), engines, strict=True):
            places = [number for number, by in cases if by == engine]
            drawn = [mean_and_sd(self._values(scores, number, engine)) for number in places]
            means: list[Any] = [mean for mean, _ in drawn]
            spread = [sd or 0.0 for _, sd in drawn]
            axes.errorbar(np.add(places, shift), means, spread, fmt="o", capsize=3, label=engine, color=COLOURS[engine])
        axes.set_xticks(range(len(self.lines)), ["\n".join(line.labels) for line in self.lines], fontsize=8)
        axes.set_xlim(-0.5, len(self.lines) - 0.5)
        axes.set_ylabel(f"test {self.column}")
        axes.legend(title="mean and sd of the seeds")


def mean_and_sd(values: Array) -> tuple[float | None, float | None]:
    """Of the seeds; None for what they are too few for."""
    mean = float(values.mean()) if values.size else None
    return mean, float(values.std(ddof=1)) if values.size > 1 else None


def paired(differences: Array) -> tuple[float | None, float | None, float | None]:
    """Mean of differences, NaN left out, and the ends of its interval by Student's t; None for what is not known."""
    known = differences[np.isfinite(differences)]
    mean, sd = mean_and_sd(known)
    if mean is None or sd is None:
        return mean, None, None
    half = float(student.ppf((1 + _CONFIDENCE) / 2, known.size - 1)) * sd / float(np.sqrt(known.size))
    return mean, mean - half, mean + half


def _score(done: Done, name: str) -> float:
    if done.stopped:
        return float("nan")
    reader = RunReader(done.folder)
    score = float(reader.scalars()[name][-1])
    reader.close()
    return score


def classification(asked: Asked) -> TrainingTable:
    """Test accuracy on the archive's sets: the paper's first table.  Raises ConfigurationError."""
    return _of_units(asked, CLASSES)


def regression(asked: Asked) -> TrainingTable:
    """Test error of the heart rate: the paper's second table.  Raises ConfigurationError."""
    table = _of_units(asked, READINGS)
    return replace(table, score="mean_square_error", column="mean square error", factor=1.0)


def _of_units(asked: Asked, known: Sequence[str]) -> TrainingTable:
    found = sources(asked, [name for name in known if PAPER[name].in_paper], known)
    units = chosen(asked.units, PAPERS_UNITS, UNITS, "unit")
    lines = [Line((source.name, unit), source, unit) for source, unit in product(found, units)]
    return planned(asked, found, ("set", "unit"), lines)


def planned(asked: Asked, found: Sequence[Source], heads: tuple[str, ...], lines: Sequence[Line]) -> TrainingTable:
    """The table of these lines, with the paper's engines and seeds where others are not asked for."""
    engines = chosen(asked.engines, PAIR, ENGINES, "engine")
    if asked.engines:
        lines = [replace(line, beside=()) for line in lines]
    return TrainingTable(said(asked, found), heads, lines, engines, asked.seeds or SEEDS, asked.steps or EPOCHS)
