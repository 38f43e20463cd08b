"""What a gradient costs: its time, the peak of memory beyond the data, and the energy of the processor.

    python -m simbackend.recurrent.tables.cost REQUEST        what is started for each case, in a process of its own

Every case runs alone in a fresh process, since a peak of memory is that of a process.  Energy is read from the counters
of the processor packages (/sys/class/powercap, Linux), where the machine has them and lets them be read; it is that of
all programs that run meanwhile.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from labrhel.records import style
from labrhel.records.tables import Asked, Cell, Table, Watch
from labrhel.shots.operations import Publish
from simbackend.recurrent.tables.batches import FirstBatch
from simbackend.recurrent.tables.sources import (
    ENGINES,
    UNITS,
    OfSources,
    Source,
    chosen,
    only_seed,
    require_unasked,
    sources,
)
from simbackend.recurrent.tables.training import COLOURS, PAIR, PAPERS_UNITS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OWN = ("EigenWorms", "SelfRegulationSCP2", "PPG-DaLiA")
ROUNDS = 3
COUNTERS = Path("/sys/class/powercap")
_UNIT = 1024 if sys.platform != "darwin" else 1  # bytes in which a peak of memory is given


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one gradient: seconds, bytes at the peak, joules; None where it is not known."""

    seconds: float | None
    peak: float | None
    joules: float | None


@dataclass(frozen=True, slots=True)
class CostTable(OfSources):
    """Planned: each set, unit and engine."""

    engines: Sequence[str]
    seed: int

    @property
    def steps(self) -> int:
        """Cases."""
        return len(self.found) * len(self.units) * len(self.engines)

    def make(self, root: Path, watch: Watch) -> Table:
        """Measure, one case after the other; nothing is kept under `root`."""
        rows: list[tuple[Cell, ...]] = []
        failures: list[str] = []
        for source, unit, engine in product(self.found, self.units, self.engines):
            cost = _apart(self.asked, source.name, unit, engine, self.seed)
            if isinstance(cost, str):
                failures.append(f"a gradient of {source.name}, {unit} units by {engine}, did not come back: {cost}")
                cost = Cost(None, None, None)
            peak = None if cost.peak is None else cost.peak / 1e9
            rows.append((source.name, unit, engine, cost.seconds, peak, cost.joules))
            watch(Publish(len(rows) - 1, {}))
        columns = ("set", "unit", "engine", "time [s]", "peak [GB]", "energy [J]")
        words = [f"of one gradient, the median of {ROUNDS}; memory beyond the data and the program"]
        if all(row[-1] is None for row in rows):
            words.append(f"this machine reports no energy: there is no counter that can be read in {COUNTERS}")
        return Table(columns, tuple(rows), partial(_draw, rows), (*words, *failures))


def cost(asked: Asked) -> CostTable:
    """The table of costs.  Raises ConfigurationError."""
    require_unasked(asked, "steps")
    found = sources(asked, OWN)
    units = chosen(asked.units, PAPERS_UNITS, UNITS, "unit")
    return CostTable(asked, found, units, chosen(asked.engines, PAIR, ENGINES, "engine"), only_seed(asked))


def joules_so_far(counters: Path = COUNTERS) -> float | None:
    """What all packages of the processor have used since some time [J]; None where it cannot be read."""
    try:
        found = [
            int(file.read_text())
            for file in sorted(counters.glob("intel-rapl:[0-9]*/energy_uj"))
            if file.parent.name.count(":") == 1
        ]
    except (OSError, ValueError):
        return None
    return sum(found) / 1e6 if found else None


def measured(source: Source, unit: str, engine: str, seed: int) -> Cost:
    """The cost of a gradient in this process."""
    torch.set_num_threads(1)
    batch = FirstBatch(source, source.problem(), unit, seed)
    training = batch.training(engine)
    x, y = batch.arrays(training)
    least = max(64, source.row.output_step)
    training.model(torch.from_numpy(x[:1, :least]).double()).sum().backward()  # loads the kernels
    seconds, joules = [], []
    before = _peak()
    for _ in range(ROUNDS):
        start, energy = time.perf_counter(), joules_so_far()
        training.gradient(x, y)
        seconds.append(time.perf_counter() - start)
        after = joules_so_far()
        joules.append(after - energy if energy is not None and after is not None and after >= energy else np.nan)
    figures = (float(np.median(seconds)), _peak() - before, float(np.median(joules)))
    return Cost(*(value if np.isfinite(value) else None for value in figures))


def _peak() -> float:
    """Of this process so far [bytes]; no number on Windows, which keeps none that Python can read."""
    try:
        import resource
    except ImportError:
        return float("nan")
    return float(_UNIT * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _apart(asked: Asked, name: str, unit: str, engine: str, seed: int) -> Cost | str:
    """The cost, measured in a process of its own; in words why not, if that fails, for lack of memory as a rule."""
    data = None if asked.data is None else str(asked.data)
    request = json.dumps({"data": data, "set": name, "shrink": asked.shrink, "case": [unit, engine, seed]})
    command = [sys.executable, "-P", "-W", "ignore", "-m", __name__, request]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"])[-1]
    return Cost(**json.loads(done.stdout))


def _main(request: str) -> None:
    asked: dict[str, Any] = json.loads(request)
    folder = None if asked["data"] is None else Path(asked["data"])
    (source,) = sources(Asked(data=folder, sets=(asked["set"],), shrink=asked["shrink"]), ())
    print(json.dumps(asdict(measured(source, *asked["case"]))))


def _draw(rows: Sequence[tuple[Cell, ...]], figure: Figure) -> None:
    cases = list(dict.fromkeys(row[:2] for row in rows))
    engines = list(dict.fromkeys(str(row[2]) for row in rows))
    for axes, column, words in zip(figure.subplots(1, 2), (3, 4), ("time of a gradient [s]", "peak [GB]"), strict=True):
        for shift, engine in zip(np.linspace(-0.2, 0.2, len(engines)), engines, strict=True):
            found: list[Any] = [row for row in rows if row[2] == engine]
            at = [cases.index(row[:2]) + shift for row in found]
            axes.bar(
                at, [row[column] or np.nan for row in found], 0.4 / len(engines), color=COLOURS[engine], label=engine
            )
        axes.set_xticks(range(len(cases)), ["\n".join(map(str, case)) for case in cases], fontsize=8)
        style.logarithmic(axes)
        axes.set_ylabel(words)
        axes.legend(fontsize=8)


if __name__ == "__main__":
    _main(sys.argv[1])
