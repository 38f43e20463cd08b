"""What a sweep costs beyond its runs, and how long ten thousand points take to list and to table.

    python -m benchmarks.sweeps [--points 100] [--steps 20] [--workers 2] [--rounds 3] [--listed 10000]

The runs themselves are those points in as many processes that have imported everything, and do nothing else: each calls
the command line for one point after the other.  Rounds take turns.  Wall time is what a user waits; the time of the
processors is what neighbours on the machine change least.  The starts of interpreters, imports, forks, the plan, the
index and the table count as overhead.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from benchmarks.figure import Figure, print_table
from labrhel.shots.operations import Checkpoint, Publish
from labrhel.store import RunWriter, create_run
from labrhel.store.index import INDEX
from labrhel.store.policy import Policy
from labrhel.sweeps.axes import axes_of
from labrhel.sweeps.figures import dataset, figures_of
from labrhel.sweeps.kept import keep
from labrhel.sweeps.planning import planned

EXAMPLE = "coupled_oscillators"
LARGEST_OVERHEAD, LONGEST = 0.10, 5.0

_RUNS_ALONE = """
import json, os, resource, sys, time
from labrhel.cli.nursery import imported
imported()
from labrhel.testing.command_line import call
tasks = json.load(sys.stdin)
print("ready", flush=True)
sys.stdin = open(os.devnull)
out, sys.stdout = sys.stdout, open(os.devnull, "w")
call(*tasks[0][:-1], f"warm-{os.getpid()}")
begun, before = time.perf_counter(), time.process_time()
for words in tasks:
    assert call(*words) == 0, words
print(time.perf_counter() - begun, time.process_time() - before, file=out, flush=True)
"""


def runs_alone(points: int, steps: int, workers: int, root: Path) -> tuple[float, float]:
    """Wall time [s] of the runs in `workers` processes at once, and the time of the processors that they took."""
    axes = axes_of([f"optimizer.seed=0..{points - 1}", f"optimizer.steps={steps}"], [])
    sweep = planned(EXAMPLE, axes)
    tasks = [
        ["run", EXAMPLE, *(word for change in sweep.words(point) for word in ("--set", change)), "--runs", str(root),
         "--no-plot", "--identity", point.run]
        for point in sweep.points
    ]  # fmt: skip
    started = []
    for worker in range(workers):
        process = subprocess.Popen(
            [sys.executable, "-c", _RUNS_ALONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root.parent
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(tasks[worker::workers]).encode())
        process.stdin.close()
        started.append(process)
    told = [process.stdout.read().split() for process in started if process.stdout is not None]
    for process in started:
        assert process.wait() == 0
    return max(float(wall) for _, wall, _ in told), sum(float(used) for _, _, used in told)


def swept(points: int, steps: int, workers: int, root: Path) -> tuple[float, float]:
    """The same of `labrhel sweep`, from its start to its end."""
    before, begun = os.times(), time.perf_counter()
    sets = ("--set", f"optimizer.seed=0..{points - 1}", "--set", f"optimizer.steps={steps}")
    words = ("sweep", EXAMPLE, *sets, "--workers", str(workers), "--runs", str(root))
    subprocess.run([sys.executable, "-m", "labrhel", *words], check=True, stdout=subprocess.DEVNULL, cwd=root.parent)
    wall, after = time.perf_counter() - begun, os.times()
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


def overhead(points: int, steps: int, workers: int, rounds: int, folder: Path) -> Iterator[Figure]:
    """What a sweep takes beyond the runs themselves."""
    walls, used = [], []
    for number in range(rounds):
        alone = runs_alone(points, steps, workers, folder / f"alone-{number}")
        whole = swept(points, steps, workers, folder / f"swept-{number}")
        walls.append(whole[0] / alone[0] - 1)
        used.append(whole[1] / alone[1] - 1)
        print(f"round {number + 1}: runs {alone[0]:.1f} s, sweep {whole[0]:.1f} s; processors {alone[1]:.1f} s, "
              f"{whole[1]:.1f} s", file=sys.stderr, flush=True)  # fmt: skip
        for name in ("alone", "swept"):
            shutil.rmtree(folder / f"{name}-{number}")
    target = f"{points} points of {steps} steps on {workers} workers: overhead <= {100 * LARGEST_OVERHEAD:g} %"
    value = f"{100 * median(walls):.1f} % of the time, {100 * median(used):.1f} % of the processors"
    yield Figure(target, value, median(walls) <= LARGEST_OVERHEAD)


def listed(count: int, folder: Path) -> Iterator[Figure]:
    """How long a sweep of `count` points takes to plan, list and table, with the index at hand and without it."""
    axes = axes_of([f"optimizer.seed=0..{count // 100 - 1}", f"protocol.eps={_values(100)}"], [])
    sweep, root = planned(EXAMPLE, axes), folder / "listed"
    for number, point in enumerate(sweep.points):
        with create_run(root, EXAMPLE, {"target_unit": "V"}, "", Policy(None), identity=point.run) as writer:
            fill(writer, number)
    keep(sweep, root)
    for words, cold in (("without an index", True), ("again", False)):
        if cold:
            (root / INDEX).unlink(missing_ok=True)
        begun, used = time.perf_counter(), time.process_time()
        figures = figures_of(planned(EXAMPLE, axes), root)
        table = figures.table()
        assert len(table[1]) == dataset(figures).loss.size == count
        took = f"{time.perf_counter() - begun:.2f} s ({time.process_time() - used:.2f} s of the processor)"
        met = time.perf_counter() - begun <= LONGEST
        yield Figure(f"{count} points planned, listed and tabled, {words}: <= {LONGEST:g} s", took, met)


def fill(writer: RunWriter, number: int) -> None:
    """A record of a few steps."""
    for step in range(3):
        writer.published(Publish(step, {"loss": 1 / (1 + step + number), "test_test": 0.1 * step, "nrmse_test": 0.3}))
        writer.checkpoint(Checkpoint(step + 1, {"parameters": [0.1 * step], "parameter_names": ["a"]}))


def _values(count: int) -> str:
    return ",".join(str(1e-4 * (1 + number)) for number in range(count))


def targets() -> Iterator[Figure]:
    """The figures of `make targets`."""
    with tempfile.TemporaryDirectory() as folder:
        yield from overhead(100, 20, 2, 3, Path(folder))
        yield from listed(10_000, Path(folder))


def main(words: Sequence[str] | None = None) -> int:
    """Print the figures; 1 if one misses its target."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    for name, usual in (("points", 100), ("steps", 20), ("workers", 2), ("rounds", 3), ("listed", 10_000)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        figures = (
            list(overhead(asked.points, asked.steps, asked.workers, asked.rounds, Path(folder))) if asked.points else []
        )
        figures += listed(asked.listed, Path(folder)) if asked.listed else []
    return 0 if print_table(figures) else 1


if __name__ == "__main__":
    sys.exit(main())
