"""The commands on configurations and the runs they begin.  What they do is imported when they are called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labrhel import __version__
from labrhel.cli.answers import Json, answered
from labrhel.cli.logs import Log, Verbose
from labrhel.cli.root import (
    DEFAULT_CALIBRATIONS,
    DEFAULT_RUNS,
    Calibrations,
    Config,
    Newest,
    NoPlot,
    RigUrl,
    Running,
    Runs,
    RunsOrOut,
    Seed,
    Set,
    Steps,
    Telemetry,
    Uncalibrated,
    app,
)
from labrhel.cli.trusting import Trust


@app.command()
def run(
    config: Config,
    rig: RigUrl = None,
    runs: RunsOrOut = DEFAULT_RUNS,
    steps: Steps = None,
    seed: Seed = None,
    changes: Set = None,
    telemetry: Telemetry = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compile and check all; move and write nothing.")] = False,
    calibrations: Calibrations = DEFAULT_CALIBRATIONS,
    uncalibrated: Uncalibrated = False,
    trust: Trust = None,
    no_plot: NoPlot = False,
    identity: Annotated[str | None, typer.Option("--identity", hidden=True)] = None,
    verbose: Verbose = 0,
    log: Log = None,
) -> None:
    """Train a rig by echoes and record every shot.

    Ctrl-C stops after making the outputs safe; `labrhel resume` goes on to the same bits. Exit status 3 if the
    optimizer stopped before its planned steps without having converged; everything is in the record all the same.
    """
    from labrhel.cli import running

    known = None if uncalibrated else calibrations
    experiment = running.load(config, rig=rig, steps=steps, seed=seed, calibrations=known, changes=changes or ())
    if dry_run:
        running.rehearse(experiment, telemetry)
    elif not running.run(experiment, runs, telemetry, identity, drawn=not no_plot):
        raise typer.Exit(3)


@app.command()
def resume(
    run: Newest = "",
    runs: Runs = DEFAULT_RUNS,
    steps: Steps = None,
    telemetry: Telemetry = None,
    rig: Annotated[
        str | None, typer.Option("--rig", metavar="URL", help="In place of the rig that the record names.")
    ] = None,
    trust: Trust = None,
    no_plot: NoPlot = False,
    verbose: Verbose = 0,
    log: Log = None,
) -> None:
    """Go on with a run that is paused, or that was stopped or killed, from its last checkpoint.

    RUN left out: the one that is paused, else the newest. One that was not recorded by you on this computer says which
    rig it would drive, and asks first.
    """
    from labrhel.cli import running, stopping
    from labrhel.cli.newest import named

    if not run and stopping.woke_the_paused_one():
        return
    folder = named(run, runs)
    if not stopping.woken(folder.name) and not running.resume(folder, steps, telemetry, rig, drawn=not no_plot):
        raise typer.Exit(3)


@app.command()
def sweep(
    config: Config,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUES", help="Values with commas, or 0..4; each with all of other keys."),
    ] = None,
    zips: Annotated[
        list[str] | None,
        typer.Option("--zip", metavar="KEY=VALUES", help="The same, but with the values of other --zip in turn."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", help="Points at once; left out: one a core.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", metavar="ADDRESS", help="Run on a Dask cluster: tls://HOST:PORT.")
    ] = None,
    runs: Runs = DEFAULT_RUNS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how many points are missing; run none.")] = False,
    calibrations: Calibrations = DEFAULT_CALIBRATIONS,
    uncalibrated: Uncalibrated = False,
    trust: Trust = None,
    json: Json = False,
) -> None:
    """Train with every combination of values: each point a run of its own; then their table.

    The same command again does what is missing, and goes on with what died. Exit status 3 if a point failed; the rest
    is done all the same.
    """
    from labrhel.cli import sweeping

    asked = sweeping.Asked(config, sets or (), zips or (), workers, scheduler)
    known = None if uncalibrated else calibrations
    answered(lambda answer: sweeping.sweep(asked, runs, known, answer, dry_run=dry_run), as_json=json, otherwise=3)


@app.command()
def pause(run: Running = "", runs: Runs = DEFAULT_RUNS) -> None:
    """Let a run that is going on wait when its step is done; `labrhel resume` lets it go on.

    While it waits no waveform plays, and every knob stays where it is.
    """
    from labrhel.cli import stopping

    stopping.ask(run, runs, "pause")


@app.command()
def stop(run: Running = "", runs: Runs = DEFAULT_RUNS) -> None:
    """End a run that is going on when its step is done, its outputs safe; `labrhel resume` goes on with it."""
    from labrhel.cli import stopping

    stopping.ask(run, runs, "stop")


@app.command()
def check(
    config: Config,
    rig: RigUrl = None,
    tolerance: Annotated[float, typer.Option(help="Largest relative error that passes.")] = 1e-4,
    changes: Set = None,
    trust: Trust = None,
    json: Json = False,
    verbose: Verbose = 0,
    log: Log = None,
) -> None:
    """Compare the rule's gradient with the model's exact one and with finite differences.

    Prints cosine and relative error for every trained parameter; exit status 1 if one is beyond the tolerance.
    """
    from labrhel.cli import judging

    answered(lambda answer: judging.check(config, rig, tolerance, answer, changes or ()), as_json=json)


@app.command()
def validate(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Configurations, station files, virtual benches.")
    ],
    json: Json = False,
) -> None:
    """Are files right?  No instrument is asked, no data are read, and no code beside them runs.

    Names file, line and key of what is wrong; exit status 1 if something is.
    """
    from labrhel.cli import validating

    answered(lambda answer: validating.validate(files, answer), as_json=json)


@app.command()
def inspect(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A recording, here or in LABRHEL_DATA.")],
) -> None:
    """What does a recording hold? Names, shapes, units, samples per second, and a `data:` section to begin with.

    Looks into tables of text, .npy, .npz, netCDF, HDF5, .mat and .db; runs nothing, and follows no link out of their
    folder.
    """
    from labrhel.cli import looking

    looking.show(file)


@app.command()
def init(
    source: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE|ADDRESS...]", help="A recording, or VISA addresses of instruments.", show_default=False
        ),
    ] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="The file to write.")] = None,
    drive: Annotated[str | None, typer.Option("--input", metavar="NAME", help="Series that drives, or none.")] = None,
    target: Annotated[str | None, typer.Option("--target", metavar="NAME", help="Series that answers.")] = None,
    rate: Annotated[float | None, typer.Option("--rate", metavar="HZ", help="Samples per second of a file.")] = None,
    oscillators: Annotated[int | None, typer.Option("--oscillators", metavar="N", help="How many there are.")] = None,
    coupling: Annotated[str | None, typer.Option("--coupling", help="none, chain, ring or all.")] = None,
) -> None:
    """Write a file to begin with: a twin of a recording, a station file, or oscillators that learn from a teacher.

    Asks at a terminal what no option says. Drives nothing, asks instruments *IDN? alone, and overwrites no file.
    """
    from labrhel.cli import beginning

    asked = beginning.Asked(to, drive, target, rate, oscillators, coupling)
    beginning.begin(source or [], asked)


@app.command()
def audit(
    config: Config,
    rig: RigUrl = None,
    tolerance: Annotated[float, typer.Option(help="Relative error of a gradient that counts as wrong.")] = 0.05,
    alpha: Annotated[float, typer.Option(help="Rate at which a right gradient may be called wrong.")] = 0.01,
    shots: Annotated[int, typer.Option(metavar="N", help="Most shots to spend on the differences.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the random directions.")] = 0,
    changes: Set = None,
    trust: Trust = None,
    json: Json = False,
    verbose: Verbose = 0,
    log: Log = None,
) -> None:
    """Is the rule's gradient right, by measurement? Moves the parameters of the rig and watches its loss.

    Takes the first sequence at the starting parameters, and stops as soon as the answer is clear. Exit status 1 if the
    gradient is wrong, or if the shots did not suffice to tell.
    """
    from labrhel.cli import judging

    asked = (tolerance, alpha, shots, seed)
    answered(lambda answer: judging.audit(config, rig, *asked, answer, changes or ()), as_json=json)


@app.command()
def paper(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="classification, regression, gradients, sensitivity, cost, eps or ablation.",
            show_default=False,
        ),
    ],
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FOLDER", help="The data sets; left out: made series.")
    ] = None,
    sets: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Data sets; left out: those of the table.")
    ] = None,
    units: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...", help="linear, complex, nonlinear, damped, damped_nonlinear.", show_default=False
        ),
    ] = None,
    engines: Annotated[str | None, typer.Option(metavar="NAME,...", help="echoes, difference, adjoint, bptt.")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="0..4", help="A range, or numbers with commas.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", metavar="N", help="Epochs of each training.")] = None,
    shrink: Annotated[int, typer.Option(metavar="N", help="Made series N times shorter, and N times fewer.")] = 1,
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """Make a table of the paper on echoes: test scores by echoes beside those by BPTT, and what they differ by.

    Each training is a run folder named by what decides its result. Stopped or killed, the same command goes on: what is
    done is kept, and the table is the same to the bit. Writes the table as CSV and as a picture beside the runs.
    """
    from labrhel.cli import papers

    words = papers.Words(sets, units, engines, seeds)
    papers.show(table, data, words, steps, shrink, runs)


@app.command()
def timeline(
    config: Config,
    rig: RigUrl = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Where to write the picture.")] = None,
    changes: Set = None,
    trust: Trust = None,
) -> None:
    """What one gradient will play and read, on every port, as far as the nominal model knows. Nothing moves.

    Says what a converter, a limit or a slew would refuse. Takes the first sequence.
    """
    from labrhel.cli import planning

    planning.show(config, rig, to, changes or ())


@app.command()
def schema() -> None:
    """Print the JSON schema of configurations, for editors that complete and check YAML."""
    from labrhel.cli import judging

    judging.print_schema()


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
) -> None:
    if version:
        print(f"labrhel {__version__}")
        raise typer.Exit
