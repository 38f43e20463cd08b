"""`labrhel sweep`: many runs of one configuration, and their table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from labrhel.cli.answers import Answer, plain
from labrhel.cli.ending import INTERRUPTED
from labrhel.cli.tables import print_table
from labrhel.errors import ConfigurationError
from labrhel.records.tables import cell, write_csv
from labrhel.sweeps import carrying
from labrhel.sweeps.axes import axes_of
from labrhel.sweeps.carrying import MISSING, carry_out, known_states
from labrhel.sweeps.crews import Crew, cores, here
from labrhel.sweeps.figures import Came, Figures, figures_of
from labrhel.sweeps.planning import Sweep, planned
from labrhel.telemetry.at_the_end import telling

_SHOWN = 100  # rows that are printed
_INTERRUPTED = (
    "interrupted: what was under way has ended with its outputs safe, and every acknowledged shot is in its record; "
    "the same command goes on"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a sweep is to be made of; `workers` None: as many as there are cores."""

    config: Path
    sets: Sequence[str]
    zips: Sequence[str]
    workers: int | None = None
    scheduler: str | None = None


def sweep(asked: Asked, runs: Path, calibrations: Path | None, answer: Answer, *, dry_run: bool) -> bool:
    """Carry out what is missing, say what came of it, and write the table; True if every training has ended well."""
    if asked.workers is not None and asked.workers < 1:
        raise ConfigurationError(f"--workers is 1 or more, not {asked.workers}")
    if asked.scheduler is not None and asked.workers is not None:
        raise ConfigurationError("--workers is of this computer, and --scheduler brings its own; leave out one of them")
    plan = planned(asked.config, axes_of(asked.sets, asked.zips), calibrations)
    if dry_run:
        _foretell(plan, runs, answer)
        return True
    workers = asked.workers or cores()
    benches = {point.bench for point in plan.points} - {""}
    for bench in sorted(benches):
        count = sum(point.bench == bench for point in plan.points)
        if count > 1:
            print(f"{bench} is one rig: its {count} points run one after the other")
    with _crew(asked.scheduler, workers) as crew, telling(plan.identity) as end:
        with _shown(plan) as told:
            states = carry_out(plan, runs, crew, None if asked.scheduler else workers, told=told)
        bad = sum(not state.is_good for state in states.values())
        end.status, end.folder = "failed" if bad else "done", str(runs)
        end.words = f"{len(states)} points, {bad} of them failed" if bad else f"{len(states)} points"
    return show(figures_of(plan, runs, states), answer)


def show(figures: Figures, answer: Answer) -> bool:
    """Print the table and what failed, and write the CSV; True if every training has ended."""
    told = figures.told
    shown = Table(*map(escape, figures.keys), "status", *(escape(_headed(name, figures.unit)) for name in told))
    for came in figures.points[:_SHOWN]:
        shown.add_row(*(escape(cell(value)) for value in figures.cells(came, told)))
    print_table(shown)
    if len(figures.points) > _SHOWN:
        print(f"and {len(figures.points) - _SHOWN} points more, which the table holds")
    for came in figures.points:
        if came.status not in ("done", "stalled"):
            print(_failure(figures, came))
    counts: dict[str, int] = {}
    for came in figures.points:
        counts[came.status] = counts.get(came.status, 0) + 1
    print(f"{len(figures.points)} points: {', '.join(f'{count} {status}' for status, count in counts.items())}")
    file = write_csv(*figures.table(), figures.root / f"{figures.sweep.identity}.csv")
    print(f"sweep   {figures.sweep.identity}\ntable   {file}")
    answer |= {
        "sweep": figures.sweep.identity,
        "table": file,
        "fixed": figures.fixed,
        "points": [_plain(figures, came) for came in figures.points],
        "counts": counts,
        "unit": figures.unit,
    }
    return all(status in ("done", "stalled") for status in counts)


def _failure(figures: Figures, came: Came) -> str:
    where = "" if came.status == MISSING else f" ({figures.root / came.point.run})"
    return f"{came.status}: {' '.join(_differs(figures, came))}: {came.words or 'no word why'}{where}"


def _differs(figures: Figures, came: Came) -> list[str]:
    known = dict(zip(figures.sweep.keys, came.point.values, strict=True))
    return [f"{key}={known[key]}" for key in figures.keys or figures.sweep.keys]


def _plain(figures: Figures, came: Came) -> Answer:
    values = dict(zip(figures.sweep.keys, came.point.values, strict=True))
    folder = None if came.status == MISSING else figures.root / came.point.run
    return {
        "values": values,
        "status": came.status,
        "folder": folder,
        "figures": plain(came.figures),
        "words": came.words,
    }


def _headed(name: str, unit: str) -> str:
    return f"{name} [{unit}]" if name.startswith("test_") and unit else name


def _foretell(plan: Sweep, runs: Path, answer: Answer) -> None:
    states = known_states(plan, runs)
    kept = sum(state.is_kept for state in states.values())
    begun = sum(not state.is_kept for state in states.values())
    total = len({point.run for point in plan.points})
    print(f"{total} points: {kept} are kept, {begun} go on, {total - kept - begun} are missing; nothing was moved")
    answer |= {"sweep": plan.identity, "points": total, "kept": kept, "begun": begun}


@contextmanager
def _crew(scheduler: str | None, workers: int) -> Iterator[Crew]:
    if scheduler is None:
        crew = here(workers)
    else:
        from labrhel.sweeps.cluster import crew_at

        crew = crew_at(scheduler)
    try:
        yield crew
    except KeyboardInterrupt:
        print(_INTERRUPTED, file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        crew.close()


@contextmanager
def _shown(plan: Sweep) -> Iterator[Callable[[carrying.Progress], None]]:
    """A bar over the points, with what is under way beside it."""
    columns = (TextColumn("sweep"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"))
    console = Console(stderr=True)
    bars = Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal)
    with bars as shown:
        bar = shown.add_task("", total=len({point.run for point in plan.points}), said="")

        def told(progress: carrying.Progress) -> None:
            said = [f"{len(progress.begun)} under way"] if progress.begun else []
            said += [f"{progress.bad} failed"] if progress.bad else []
            said += [f"waits for {progress.waits} that another program is writing"] if progress.waits else []
            shown.update(bar, completed=progress.good + progress.bad, said=", ".join(said))

        yield told
