"""`labrhel run` and `labrhel resume`: progress while it runs, and what came of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from labrhel import session
from labrhel.cli.ending import INTERRUPTED
from labrhel.cli.inspecting import told
from labrhel.cli.logs import is_verbose
from labrhel.errors import ConfigurationError
from labrhel.executor import ORDER
from labrhel.experiment import Experiment, Fleet, load_experiment, load_rigs
from labrhel.experiment.doubts import doubts
from labrhel.experiment.runners import Runnable, own_runner, own_runner_of_run
from labrhel.records.plots import save
from labrhel.shots.operations import Publish
from labrhel.store import RunReader
from labrhel.telemetry.at_the_end import End, telling
from labrhel.timeline import cost as planning
from labrhel.units import with_prefix

INTERRUPTION = "interrupted: outputs are safe, every acknowledged shot is in the record; `labrhel resume` goes on"


def load(
    config: Path,
    *,
    rig: str | None,
    steps: int | None,
    seed: int | None,
    calibrations: Path | None = None,
    changes: Sequence[str] = (),
) -> Experiment | Fleet | Runnable:
    """Read and check a configuration; nothing moves.  What is in force in `calibrations` for the rig is used."""
    own = own_runner(config, rig=rig, steps=steps, seed=seed, changes=changes)
    if own is not None:
        return own
    asked: dict[str, Any] = {"steps": steps, "seed": seed, "calibration": calibrations, "changes": changes}
    if rig is not None:
        members = [load_experiment(config, rig_url=rig, **asked)]
    else:
        members = list(filter(None, load_rigs(config, **asked)))
    fleet = Fleet(tuple(members))
    for words in (*doubts(members[0]), *fleet.doubts()):
        print(f"warning: {words}")
    for member in members:
        known = member.calibration
        if known.values:
            print(f"calibration {known.digest[:8]} of {member.rig_url}: {len(known.values)} values in force")
    return fleet if len(members) > 1 else members[0]


def rehearse(experiment: Experiment | Fleet | Runnable, telemetry: str | None) -> None:
    """Say what one gradient would cost, having compiled and checked it."""
    if isinstance(experiment, Fleet):
        _rehearse_on_several(experiment, telemetry)
        return
    if not isinstance(experiment, Experiment):
        _refuse(telemetry)
        print("\n".join(experiment.rehearse()))
        return
    with closing(experiment.rig):
        settings = session.telemetry_of(experiment, telemetry)
        cost = planning.rehearse(experiment)
    order = " -> ".join(ORDER)
    for name in experiment.host_side:
        print(f"warning: {name} is trained in the host's model alone: nothing sets it on the rig")
    print(f"{experiment.name}: everything compiles, and all values are inside their limits; nothing was moved")
    print(
        f"one gradient: {cost.shots} shots, {cost.passes} passes, {_duration(cost.seconds)} of rig time, "
        f"{cost.samples_played} samples played, {cost.samples_read} read; {experiment.steps} gradients are planned"
    )
    for words in cost.assumes:
        print(words)
    print(f"in a run every operation goes through {order} -> {experiment.rig_url}")
    if settings is not None:
        print(f"telemetry goes to {settings}")


def _rehearse_on_several(fleet: Fleet, telemetry: str | None) -> None:
    """The same for several rigs, of which each has its share."""
    with closing(fleet):
        settings = session.telemetry_of(fleet, telemetry)
        costs = [planning.rehearse(member) for member in fleet.on_paper]
    for name in fleet.lead.host_side:
        print(f"warning: {name} is trained in the host's model alone: nothing sets it on a rig")
    print(
        f"{fleet.name}: everything compiles on {len(costs)} rigs, and all values are inside their limits; nothing moved"
    )
    for number, (member, cost) in enumerate(zip(fleet.on_paper, costs, strict=True), 1):
        print(
            f"rig {number}: up to {member.problem.batch} of the {fleet.lead.problem.batch} sequences of a gradient, "
            f"{cost.shots} shots, {cost.passes} passes, {_duration(cost.seconds)} of rig time, on {member.rig_url}"
        )
        for words in cost.assumes:
            print(f"       {words}")
    longest = max(cost.seconds for cost in costs)
    print(f"one gradient: {_duration(longest)} of rig time, all at once; {fleet.steps} gradients are planned")
    if settings is not None:
        print(f"telemetry goes to {settings}")


def _refuse(telemetry: str | None) -> None:
    if telemetry is not None:
        raise ConfigurationError("telemetry is of runs on rigs; leave out --telemetry")


def _duration(seconds: float) -> str:
    return with_prefix(seconds, "s") if seconds < 60 else str(timedelta(seconds=round(seconds)))


def run(
    experiment: Experiment | Fleet | Runnable,
    root: Path,
    telemetry: str | None,
    identity: str | None = None,
    *,
    drawn: bool = True,
) -> bool:
    """Train with a progress bar, then say where the results lie and how good they are; False if it stalled."""
    name = experiment.name if isinstance(experiment, Experiment | Fleet) else "a stack"
    with progress(experiment.steps) as watch, telling(name) as end:
        if isinstance(experiment, Experiment | Fleet):
            outcome = session.start(experiment, root, watch, telemetry=telemetry, identity=identity)
            _tell(end, outcome)
        else:
            _refuse(telemetry)
            print("\n".join(experiment.start(root, watch, identity)))
            return True
    return _told(outcome, drawn)


def resume(
    folder: Path, steps: int | None, telemetry: str | None, rig: str | None = None, *, drawn: bool = True
) -> bool:
    """Go on with a run; the same report as `run`, and the same answer."""
    told(RunReader(folder))
    own = own_runner_of_run(folder, steps)
    if own is None:
        ask = _confirmed if sys.stdin.isatty() and sys.stderr.isatty() else None
        rig = session.rig_to_resume(folder, RunReader(folder).manifest, rig, ask)
    with progress(session.planned_steps(folder, steps)) as watch, telling(RunReader(folder).manifest["name"]) as end:
        end.folder = str(folder)
        if own is None:
            outcome = session.resume(folder, watch, steps=steps, telemetry=telemetry, rig=rig)
            _tell(end, outcome)
        elif rig is not None:
            raise ConfigurationError("this run has no rig, but an engine of its own; leave out --rig")
        else:
            _refuse(telemetry)
            print("\n".join(own.resume(folder, watch)))
            return True
    return _told(outcome, drawn)


def _confirmed(words: str) -> bool:
    """Ask at the terminal whether to go on."""
    return typer.confirm(f"{words}. Go on?", default=False, err=True)


def _tell(end: End, outcome: session.Outcome) -> None:
    """What the message at the end says of a run that has ended by itself."""
    end.status, end.folder = outcome.status, str(outcome.folder)
    end.words = "; ".join([outcome.ended, *map(str, outcome.metrics)])


def _told(outcome: session.Outcome, drawn: bool) -> bool:  # noqa: FBT001
    print("\n".join(_report(outcome, drawn)))
    if outcome.status == "stalled":
        print(f"error: the training {outcome.ended}", file=sys.stderr)
    return outcome.status != "stalled"


def _report(outcome: session.Outcome, drawn: bool) -> list[str]:  # noqa: FBT001
    picture = [f"plot    {save(RunReader(outcome.folder), outcome.folder / 'plot.png')}"] if drawn else []
    losses = outcome.losses
    first = [f"loss {losses[0]:.4g} -> {losses[-1]:.4g} in {len(losses)} gradients"] if len(losses) else []
    return [
        *first,
        f"ended   {outcome.ended}",
        f"run     {outcome.folder}",
        *picture,
        f"data    {outcome.folder / 'run.nc'}   (xarray.open_dataset)",
        *(f"warning: {words}" for words in outcome.warnings),
        *(str(metric) for metric in outcome.metrics),
    ]


@contextmanager
def progress(steps: int, interrupted: str = INTERRUPTION) -> Iterator[Callable[[Publish], None]]:
    """A bar that counts to `steps`; Ctrl-C ends with the sentence `interrupted` and the status of one."""
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    bars = Progress(*columns, console=console, transient=True, disable=is_verbose() or not console.is_terminal)
    with _terminable(interrupted), bars as shown:
        bar = shown.add_task("", total=steps, said="")

        def watch(published: Publish) -> None:
            scalars = published.scalars
            if "loss" in scalars:
                known = {"r": scalars.get("response_ratio"), "retrace": scalars.get("retrace_error")}
                health = "".join(f"  {name} {value:.1e}" for name, value in known.items() if value is not None)
                shown.update(bar, completed=published.step + 1, said=f"loss {scalars['loss']:.3g}{health}")
            elif not scalars:  # what was found done
                shown.update(bar, completed=published.step + 1)

        yield watch


@contextmanager
def _terminable(words: str) -> Iterator[None]:
    """A signal ends a run in one way: outputs safe, record closed, one sentence, status 130 (`labrhel.cli.ending`)."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        print(
            words,
            *getattr(interrupt, "__notes__", ()),
            sep="\n",
            file=sys.stderr,
        )
        raise typer.Exit(INTERRUPTED) from None
