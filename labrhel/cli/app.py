"""The commands: their words and options.  What they do is imported when they are called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labrhel import __version__
from labrhel.cli import bench, calibrating

app = typer.Typer(
    name="labrhel",
    help="Train oscillator rigs in place by Hamiltonian echoes: run forward, reverse, nudge both ways, subtract.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(bench.app, name="bench")
app.add_typer(calibrating.app, name="calibration")

Config = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="A YAML configuration, or the name of an example.", show_default=False)
]
Run = Annotated[
    str, typer.Argument(metavar="RUN", help="A run folder, a run id, or the start of one.", show_default=False)
]
Text = Annotated[str, typer.Option(help="Only runs whose name, id, rig, rule or note holds this.")]
Status = Annotated[str, typer.Option(help="Only done, failed, interrupted, killed, running or damaged ones.")]
Tag = Annotated[str, typer.Option(help="Only runs with this tag.")]
AtStep = Annotated[int | None, typer.Option("--step", metavar="N", help="The step; left out: the last that was kept.")]
Running = Annotated[
    str, typer.Argument(metavar="[RUN]", help="A run that is going on; left out: the only one.", show_default=False)
]
RigUrl = Annotated[
    str | None, typer.Option("--rig", metavar="URL", help="Another rig than the file names; see `labrhel rigs`.")
]
Root = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder that holds the run folders.")]
Runs = Annotated[Path, typer.Option("--runs", metavar="DIR", help="Folder that holds the run folders.")]
Steps = Annotated[int | None, typer.Option("--steps", metavar="N", help="How many gradients to take.")]
Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="Seed of the training: order of the sequences.")]
Telemetry = Annotated[
    str | None,
    typer.Option("--telemetry", metavar="URL", help="Publish over MQTT: mqtt://user@host:1883/prefix, or mqtts://."),
]

DEFAULT_RUNS = Path("runs")

Calibrations = Annotated[Path, typer.Option("--calibrations", metavar="DIR", help="Folder of calibration records.")]
Uncalibrated = Annotated[bool, typer.Option("--uncalibrated", help="Use no calibration, even if there is one.")]

DEFAULT_CALIBRATIONS = Path("calibrations")


@app.command()
def run(
    config: Config,
    rig: RigUrl = None,
    out: Root = DEFAULT_RUNS,
    steps: Steps = None,
    seed: Seed = None,
    telemetry: Telemetry = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compile and check all; move and write nothing.")] = False,
    calibrations: Calibrations = DEFAULT_CALIBRATIONS,
    uncalibrated: Uncalibrated = False,
) -> None:
    """Train a rig by echoes and record every shot.

    Ctrl-C stops after making the outputs safe; `labrhel resume` goes on to the same bits.
    """
    from labrhel.cli import running

    known = None if uncalibrated else calibrations
    experiment = running.load(config, rig=rig, steps=steps, seed=seed, calibrations=known)
    if dry_run:
        running.rehearse(experiment, telemetry)
    else:
        running.run(experiment, out, telemetry)


@app.command()
def resume(run: Run, runs: Runs = DEFAULT_RUNS, steps: Steps = None, telemetry: Telemetry = None) -> None:
    """Go on with a run that is paused, or that was stopped or killed, from its last checkpoint."""
    from labrhel.cli import running, stopping

    if not stopping.woken(run, runs):
        running.resume(run, runs, steps, telemetry)


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
) -> None:
    """Compare the rule's gradient with the model's exact one and with finite differences.

    Prints cosine and relative error for every trained parameter; exit status 1 if one is beyond the tolerance.
    """
    from labrhel.cli import judging

    if not judging.check(config, rig, tolerance):
        raise typer.Exit(1)


@app.command()
def audit(
    config: Config,
    rig: RigUrl = None,
    tolerance: Annotated[float, typer.Option(help="Relative error of a gradient that counts as wrong.")] = 0.05,
    alpha: Annotated[float, typer.Option(help="Rate at which a right gradient may be called wrong.")] = 0.01,
    shots: Annotated[int, typer.Option(metavar="N", help="Most shots to spend on the differences.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the random directions.")] = 0,
) -> None:
    """Is the rule's gradient right, by measurement? Moves the parameters of the rig and watches its loss.

    Takes the first sequence at the starting parameters, and stops as soon as the answer is clear. Exit status 1 if the
    gradient is wrong, or if the shots did not suffice to tell.
    """
    from labrhel.cli import judging

    if not judging.audit(config, rig, tolerance, alpha, shots, seed):
        raise typer.Exit(1)


@app.command()
def calibrate(
    url: Annotated[str, typer.Argument(metavar="URL", help="The rig to measure.", show_default=False)],
    nodes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NODE...]", help="Routines to run, with what they stand on; none: all.", show_default=False
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="CONFIG", help="Model, wiring and data; sim:NAME has its own.")
    ] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Put what was measured in force.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only ask, by one shot, whether it still holds.")] = False,
    reference: Annotated[str, typer.Option(help="What is trusted: masses, or gains (of channels).")] = "masses",
    calibrations: Calibrations = DEFAULT_CALIBRATIONS,
) -> None:
    """Measure a rig: connections, noise, delays, gains, springs, friction, flip, reciprocity, eps, drift, gradient.

    Prints a plan, then what each routine found. Channels that fail drop out by name, and the rest goes on. Exit status
    1 if something dropped out or failed, or if the check fails.
    """
    from labrhel.cli import calibrating

    asked = (url, nodes or [], config, calibrations, reference)
    if not calibrating.calibrate(*asked, accept=accept, check=check):
        raise typer.Exit(1)


@app.command()
def card(
    url: Annotated[str, typer.Argument(metavar="URL", help="The rig, as it was calibrated.", show_default=False)],
    config: Annotated[
        Path | None, typer.Option("--config", metavar="CONFIG", help="Model, wiring and data; sim:NAME has its own.")
    ] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Where to write the page.")] = None,
    calibrations: Calibrations = DEFAULT_CALIBRATIONS,
) -> None:
    """What is this rig good for? Measured quantities, valid rules, recommended eps and repeats, what limits it most.

    Prints it, and writes a page with everything that is in force.
    """
    from labrhel.cli import calibrating

    calibrating.card(url, config, calibrations, to)


@app.command()
def timeline(
    config: Config,
    rig: RigUrl = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Where to write the picture.")] = None,
) -> None:
    """What one gradient will play and read, on every port, as far as the nominal model knows. Nothing moves.

    Says what a converter, a limit or a slew would refuse. Takes the first sequence.
    """
    from labrhel.cli import planning

    planning.show(config, rig, to)


@app.command()
def conformance(
    url: Annotated[str, typer.Argument(metavar="URL", help="The rig; see `labrhel rigs`.", show_default=False)],
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="CONFIG", help="Nominal model and map; sim:NAME implies the example NAME."),
    ] = None,
    only: Annotated[str, typer.Option("--only", metavar="WORD", help="Checks with WORD in theme or name.")] = "",
    tolerance: Annotated[float, typer.Option(help="Relative error of the model's response that passes.")] = 0.02,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Where to write all findings.")] = None,
) -> None:
    """Does a rig keep the contract of a rig?  Fires shots at it and compares them with the nominal model.

    Exit status 1 if a check failed; docs/conformance.md says how to read a failure.
    """
    from labrhel.cli import conforming

    if not conforming.conform(url, config, only, tolerance, json):
        raise typer.Exit(1)


@app.command()
def runs(
    root: Runs = DEFAULT_RUNS,
    text: Text = "",
    status: Status = "",
    tag: Tag = "",
    below: Annotated[float | None, typer.Option(metavar="LOSS", help="Only runs whose last loss is below.")] = None,
) -> None:
    """List the recorded runs, newest first, with what they take on the disk.

    Reads an index beside them, which is made anew where it is out of date.
    """
    from labrhel.cli import inspecting

    inspecting.list_all(root, text=text, status=status, tag=tag, below=below)


@app.command("label")
def label_(
    run: Run,
    tags: Annotated[list[str] | None, typer.Argument(metavar="[TAG...]", help="Tags to add.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", metavar="TAG", help="A tag to take off.")] = None,
    note: Annotated[str | None, typer.Option(help="A sentence about the run.")] = None,
    root: Runs = DEFAULT_RUNS,
) -> None:
    """Put tags and a note on a run; they are kept in its folder."""
    from labrhel.cli import inspecting

    inspecting.tag(run, root, tags or [], remove or [], note)


@app.command("archive")
def archive_(
    run: Run,
    file: Annotated[Path, typer.Argument(metavar="FILE.tar.gz", help="The archive to write.", show_default=False)],
    root: Runs = DEFAULT_RUNS,
) -> None:
    """One compressed file of a run; unpacked anywhere, it is the run again."""
    from labrhel.cli import inspecting

    inspecting.pack(run, root, file)


@app.command()
def prune(
    root: Runs = DEFAULT_RUNS,
    text: Text = "",
    status: Status = "",
    tag: Tag = "",
    yes: Annotated[bool, typer.Option("--yes", help="Delete them, and do not only say which.")] = False,
) -> None:
    """Delete runs that match; without --yes only says which, and never one that is going on."""
    from labrhel.cli import inspecting

    inspecting.clean(root, text=text, status=status, tag=tag, sure=yes)


@app.command()
def show(run: Run, root: Runs = DEFAULT_RUNS) -> None:
    """Say what a run was, how it went, and what it learned."""
    from labrhel.cli import inspecting

    inspecting.show(run, root)


@app.command()
def plot(
    run: Run,
    root: Runs = DEFAULT_RUNS,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Where to write the picture.")] = None,
) -> None:
    """Draw a run: loss, gradient health, parameters, read-out against target, echo against forward path."""
    from labrhel.cli import inspecting

    inspecting.plot(run, root, to)


@app.command()
def report(
    run: Run,
    root: Runs = DEFAULT_RUNS,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Where to write the page.")] = None,
) -> None:
    """One HTML page: did it go well? Loss, parameters, gradient health, retraced echo, what was used, warnings."""
    from labrhel.cli import inspecting

    inspecting.report(run, root, to)


@app.command()
def export(
    run: Run,
    file: Annotated[Path, typer.Argument(metavar="FILE.nc|csv|db", help="File to write.", show_default=False)],
    root: Runs = DEFAULT_RUNS,
) -> None:
    """Write a run as one netCDF file for xarray; or its scalars as CSV, or into a QCoDeS database (.db)."""
    from labrhel.cli import inspecting

    inspecting.export(run, root, file)


@app.command()
def replay(
    run: Run,
    runs: Runs = DEFAULT_RUNS,
    mode: Annotated[str, typer.Option(help="strict, results or hybrid.")] = "strict",
    config: Annotated[
        Path | None, typer.Option("--config", metavar="CONFIG", help="Another configuration than the run's own.")
    ] = None,
    steps: Steps = None,
    rig: Annotated[
        str | None, typer.Option("--rig", metavar="URL", help="hybrid: the rig that answers what was not recorded.")
    ] = None,
) -> None:
    """Run the protocol of a run again, answered from its record: no rig, and the same to the bit.

    strict: the same shots in the same order, any other is an error that shows the difference. results: shots in any
    order, for another optimizer, loss or estimator. hybrid: what was never fired comes from another rig.
    """
    from labrhel.cli import replaying

    if not replaying.again(run, runs, mode, config, steps, rig):
        raise typer.Exit(1)


@app.command()
def compare(
    run: Run,
    rig: Annotated[str, typer.Option("--rig", metavar="URL", help="What to run the recorded programs on.")] = "sim:",
    runs: Runs = DEFAULT_RUNS,
    step: AtStep = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Where to write the picture.")] = None,
) -> None:
    """What was recorded against a model: forward, echo and answer to the nudge, channel by channel."""
    from labrhel.cli import replaying

    replaying.against(run, runs, rig, step, to)


@app.command()
def twin(
    run: Annotated[
        str,
        typer.Argument(metavar="RUN|CONFIG", help="A run, or a configuration with a recording.", show_default=False),
    ],
    runs: Runs = DEFAULT_RUNS,
    step: AtStep = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Where to write the twin.")] = None,
) -> None:
    """Fit the model to what was recorded: a rig `sim:TWIN.yaml` that runs everywhere a rig does.

    Prints every value with its standard error, how good the twin is on sequences it has not seen, and what its residual
    looks like: a lag, a missing term, an extra mode.
    """
    from labrhel.cli import replaying

    replaying.make_twin(run, runs, step, to)


@app.command()
def whatif(
    run: Run,
    rule: Annotated[
        list[str] | None, typer.Option("--rule", metavar="RULE", help="A rule; may be given again.")
    ] = None,
    eps: Annotated[list[float] | None, typer.Option("--eps", help="A nudge; may be given again.")] = None,
    rig: Annotated[str | None, typer.Option("--rig", metavar="URL", help="In place of the run's twin.")] = None,
    runs: Runs = DEFAULT_RUNS,
) -> None:
    """What gradient would another rule, or another eps, have given? On the twin of a run, against differences."""
    from labrhel.cli import replaying

    replaying.what_would(run, runs, rig, rule or [], eps or [])


@app.command()
def devices(
    station: Annotated[
        str | None, typer.Argument(metavar="[STATION]", help="A station file, whose instruments are asked.")
    ] = None,
    ask: Annotated[
        list[str] | None, typer.Option("--ask", metavar="ADDRESS", help="Ask this one, too; may be given again.")
    ] = None,
    timeout: Annotated[float, typer.Option(metavar="S", help="How long each may take to answer.")] = 1.0,
) -> None:
    """List what is reachable, and what it says it is: VISA resources, serial ports, instruments and boards.

    Only what the station file or --ask names is asked (*IDN?, nothing else); nothing is written to a serial port that
    nobody named.  What another program uses is left alone.  Exit status 1 if one that was asked does not answer, or is
    not what the station file says.
    """
    from labrhel.cli import finding

    if not finding.show(station, ask or [], timeout):
        raise typer.Exit(1)


@app.command("estop")
def emergency_stop() -> None:
    """Bring every rig of this machine to its safe state, now, and keep it there until `labrhel reset`.

    Interrupts shots that are running.  Exit status 3 if a rig did not say that it is safe.
    """
    from labrhel.cli import stopping

    if not stopping.press():
        raise typer.Exit(3)


@app.command()
def reset() -> None:
    """Release the emergency stop, once the bench has been looked at."""
    from labrhel.cli import stopping

    stopping.reset()


@app.command()
def rigs() -> None:
    """List the kinds of rig URL and the examples."""
    from labrhel.cli import judging

    judging.list_rigs()


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
