"""Draw faults, try each, and print what survived."""

from __future__ import annotations

import argparse
import os
import queue
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table

from benchmarks.mutants.chosen import EQUIVALENT, chosen_faults, core_files, mirrors_of
from benchmarks.mutants.faults import Fault, faults_of
from benchmarks.mutants.trial import Answer, Copy

TREE = Path(__file__).resolve().parents[2]
WANTED = 0.95
"""Share of the faults that must be noticed, those that change nothing among them."""

_FIRST_PATIENCE, _SLACK, _LEAST = 900.0, 5.0, 30.0  # s for tests without a fault; times what they took, and s at least


@dataclass(frozen=True, slots=True)
class Trial:
    """A fault and what its tests said."""

    fault: Fault
    answer: Answer

    @property
    def reason(self) -> str:
        """Why nothing notices it; "" if nobody has said."""
        return EQUIVALENT.get((self.fault.path, self.fault.lines[1]), "")


def drawn(files: Sequence[str], seed: int, count: int | None) -> list[Fault]:
    """So many of all faults of the files, each as likely as any other; None for all."""
    every = [fault for path in files for fault in faults_of(path, (TREE / path).read_bytes())]
    if count is None or count >= len(every):
        return every
    return sorted(random.Random(seed).sample(every, count), key=lambda fault: (fault.path, fault.start))


class Bench:
    """Copies of the tree, as many as there are jobs, and the threads that use them; one that fails ends all."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self._free: queue.Queue[Copy] = queue.Queue()
        for number in range(jobs):
            self._free.put(Copy(TREE, folder / str(number)))
        self._pool = ThreadPoolExecutor(jobs)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    @contextmanager
    def _copy(self) -> Iterator[Copy]:
        taken = self._free.get()
        try:
            yield taken
        finally:
            self._free.put(taken)

    def whole(self, files: Iterable[str], progress: Progress) -> dict[str, float]:
        """Seconds that each file of tests takes without a fault; RuntimeError for one that fails."""

        def run(file: str) -> Answer:
            with self._copy() as tree:
                return tree.run((file,), _FIRST_PATIENCE)

        jobs = {self._pool.submit(run, file): file for file in files}
        found = {}
        for job in progress.track(as_completed(jobs), len(jobs), description="without a fault"):
            answer, file = job.result(), jobs[job]
            if not answer.passed:
                raise RuntimeError(f"{file} fails without a fault: {answer.words}")
            found[file] = answer.seconds
        return found

    def trials(self, faults: Sequence[tuple[Fault, tuple[str, ...], float]], progress: Progress) -> list[Trial]:
        """Each fault with its tests and their patience, in the order given."""

        def run(fault: Fault, tests: tuple[str, ...], patience: float) -> Trial:
            with self._copy() as tree:
                return Trial(fault, tree.judged(fault, tests, patience))

        jobs = [self._pool.submit(run, *item) for item in faults]
        for job in progress.track(as_completed(jobs), len(jobs), description="with a fault"):
            trial = job.result()
            if trial.answer.passed and not trial.reason:
                progress.console.print(f"survived: {trial.fault.path}:{trial.fault.line}", highlight=False)
        return [job.result() for job in jobs]


def report(trials: Sequence[Trial], seconds: float, console: Console) -> bool:
    """Print survivors and shares by folder; True if enough were noticed."""
    survivors = [trial for trial in trials if trial.answer.passed]
    if survivors:
        table = Table("place", "without", "with the fault", "why nothing notices it", title="survivors")
        for trial in survivors:
            place = f"{trial.fault.path}:{trial.fault.line}"
            table.add_row(place, *map(escape, trial.fault.lines), trial.reason or "[red]a test is missing")
        console.print(table)
    table = Table("part", "faults", "noticed", "change nothing", "missed", title="by part of the core")
    parts: dict[str, list[Trial]] = {}
    for trial in trials:
        parts.setdefault(trial.fault.path.rpartition("/")[0], []).append(trial)
    for name, own in [*parts.items(), ("all", list(trials))]:
        alive = [trial for trial in own if trial.answer.passed]
        excused = sum(bool(trial.reason) for trial in alive)
        table.add_row(name, *map(str, (len(own), len(own) - len(alive), excused, len(alive) - excused)))
    console.print(table)
    share = 1 - len(survivors) / len(trials)
    console.print(f"{100 * share:.1f} % of {len(trials)} faults noticed in {seconds / 60:.1f} minutes; wanted: 95 %")
    return share >= WANTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1: too many survive; 2: the tests fail without a fault, or a chosen fault is out of date."""
    parser = argparse.ArgumentParser("benchmarks.mutants", description="Faults in the core that its tests must notice.")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--count", type=int, default=120, help="faults drawn, beside the chosen ones")
    parser.add_argument("--all", action="store_true", help="every fault, which takes hours")
    parser.add_argument("--only", default="", metavar="PATH", help="file or folder of the core")
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time")
    parser.add_argument("--list", action="store_true", help="print the faults and try none")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 180)
    try:
        files = core_files(TREE, options.only)
        faults = chosen_faults(TREE, options.only) + drawn(files, options.seed, None if options.all else options.count)
        untested = [fault.path for fault in faults if not mirrors_of(TREE, fault.path)]
        if untested or not faults:
            raise ValueError(f"no test mirrors {untested[0]}" if untested else f"{options.only} is not in the core")
        if options.list:
            for fault in faults:
                console.print(f"{fault.path}:{fault.line}", *fault.lines, sep="\n    ", highlight=False, markup=False)
            return 0
        os.environ |= {
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }  # trials share the cores, not each of them all
        begin = time.monotonic()
        columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
        with (
            tempfile.TemporaryDirectory() as folder,
            Progress(*columns, console=console) as progress,
            Bench(Path(folder), options.jobs) as bench,
        ):
            suites = [(fault, mirrors_of(TREE, fault.path)) for fault in faults]
            seconds = bench.whole(dict.fromkeys(file for _, tests in suites for file in tests), progress)
            trials = bench.trials(
                [(fault, tests, max(_LEAST, _SLACK * sum(map(seconds.__getitem__, tests)))) for fault, tests in suites],
                progress,
            )
    except (ValueError, RuntimeError) as error:
        console.print(f"[red]{error}")
        return 2
    return 0 if report(trials, time.monotonic() - begin, console) else 1


if __name__ == "__main__":
    sys.exit(main())
