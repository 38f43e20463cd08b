"""The commands on what was recorded.  What they do is imported when they are called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labrhel.cli.answers import Json, answered
from labrhel.cli.root import DEFAULT_RUNS, AtStep, Newest, Run, Runs, Status, Steps, Tag, Text, app
from labrhel.cli.trusting import Trust

_PANEL = "Records"


@app.command(rich_help_panel=_PANEL)
def runs(
    root: Runs = DEFAULT_RUNS,
    text: Text = "",
    status: Status = "",
    tag: Tag = "",
    below: Annotated[float | None, typer.Option(metavar="LOSS", help="Only runs whose last loss is below.")] = None,
    points: Annotated[bool, typer.Option("--points", help="The points of sweeps, too, each on a line.")] = False,
    json: Json = False,
) -> None:
    """List the sweeps and the recorded runs, newest first, with what they take on the disk.

    The points of a sweep are one line, unless --points or what is looked for shows them. Reads an index beside them,
    which is made anew where it is out of date.
    """
    from labrhel.cli import inspecting

    asked = {"text": text, "status": status, "tag": tag}
    answered(lambda answer: inspecting.list_all(root, answer, **asked, below=below, points=points), as_json=json)


@app.command(rich_help_panel=_PANEL)
def verify(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run folders or ids.", show_default=False)],
    root: Runs = DEFAULT_RUNS,
    json: Json = False,
) -> None:
    """Is every byte of a record what was written?  Status 1, and the damaged parts by name, if not."""
    from labrhel.cli import inspecting

    answered(lambda answer: inspecting.verify(runs, root, answer), as_json=json)


@app.command("label", rich_help_panel=_PANEL)
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


@app.command("archive", rich_help_panel=_PANEL)
def archive_(
    run: Run,
    file: Annotated[Path, typer.Argument(metavar="FILE.tar.gz", help="The archive to write.", show_default=False)],
    root: Runs = DEFAULT_RUNS,
) -> None:
    """One compressed file of a run; unpacked anywhere, it is the run again."""
    from labrhel.cli import inspecting

    if not inspecting.pack(run, root, file):
        raise typer.Exit(1)


@app.command(rich_help_panel=_PANEL)
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


@app.command(rich_help_panel=_PANEL)
def show(run: Newest = "", root: Runs = DEFAULT_RUNS, json: Json = False) -> None:
    """Say what a run was, how it went, and what it learned."""
    from labrhel.cli import inspecting

    answered(lambda answer: inspecting.show(run, root, answer), as_json=json)


@app.command(rich_help_panel=_PANEL)
def watch(
    run: Annotated[
        str,
        typer.Argument(
            metavar="[RUN | FOLDER]", help="A run, or a folder of runs; left out: that of --runs.", show_default=False
        ),
    ] = "",
    root: Runs = DEFAULT_RUNS,
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="Where to listen; 0: a free one.")] = 0,
    listen: Annotated[str, typer.Option(metavar="ADDRESS", help="Beyond this computer --certificate is needed.")] = (
        "127.0.0.1"
    ),
    host: Annotated[str, typer.Option(metavar="NAME", help="The name browsers reach it by, if another.")] = "",
    certificate: Annotated[Path | None, typer.Option(metavar="FILE", help="Certificate for TLS, as PEM.")] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key, if it is in another file.")] = None,
) -> None:
    """Watch runs in a browser while they go on; pause and stop them there.

    Prints an address with a token for you, and one for guests, who can stop nothing. Ctrl-C ends the view alone.
    """
    from labrhel.cli import watching

    watching.watch(run, root, listen, port, host, certificate, key)


@app.command(rich_help_panel=_PANEL)
def plot(
    run: Newest = "",
    root: Runs = DEFAULT_RUNS,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Where to write the picture.")] = None,
) -> None:
    """Draw a run: loss, gradient health, parameters, read-out against target, echo against forward path."""
    from labrhel.cli import inspecting

    inspecting.plot(run, root, to)


@app.command(rich_help_panel=_PANEL)
def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN|SWEEP...]",
            help="A run, several runs, or a sweep; left out: the newest run.",
            show_default=False,
        ),
    ] = None,
    root: Runs = DEFAULT_RUNS,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Where to write the page.")] = None,
) -> None:
    """One HTML page: did it go well? Loss, parameters, gradient health, retraced echo, what was used, warnings.

    Of a sweep, or of several runs side by side: what they differ in, how each ended, their losses, what failed.
    """
    from labrhel.cli import inspecting

    inspecting.report(runs or [""], root, to)


@app.command(rich_help_panel=_PANEL)
def export(
    run: Newest,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE.nc|csv|db", help="File to write.", show_default=False)
    ] = None,
    root: Runs = DEFAULT_RUNS,
) -> None:
    """Write a run as one netCDF file for xarray; or its scalars as CSV, or into a QCoDeS database (.db)."""
    from labrhel.cli import inspecting

    if file is None:  # one word: it is the file, since the run may be left out
        run, file = "", Path(run)
    if not inspecting.export(run, root, file):
        raise typer.Exit(1)


@app.command(rich_help_panel=_PANEL)
def replay(
    run: Newest = "",
    runs: Runs = DEFAULT_RUNS,
    mode: Annotated[str, typer.Option(help="strict, results or hybrid.")] = "strict",
    config: Annotated[
        Path | None, typer.Option("--config", metavar="CONFIG", help="Another configuration than the run's own.")
    ] = None,
    steps: Steps = None,
    rig: Annotated[
        str | None, typer.Option("--rig", metavar="URL", help="hybrid: the rig that answers what was not recorded.")
    ] = None,
    trust: Trust = None,
) -> None:
    """Run the protocol of a run again, answered from its record: no rig, and the same to the bit.

    strict: the same shots in the same order, any other is an error that shows the difference. results: shots in any
    order, for another optimizer, loss or estimator. hybrid: what was never fired comes from another rig.
    """
    from labrhel.cli import replaying

    if not replaying.again(run, runs, mode, config, steps, rig):
        raise typer.Exit(1)


@app.command(rich_help_panel=_PANEL)
def compare(
    run: Newest = "",
    rig: Annotated[str, typer.Option("--rig", metavar="URL", help="What to run the recorded programs on.")] = "sim:",
    runs: Runs = DEFAULT_RUNS,
    step: AtStep = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Where to write the picture.")] = None,
    trust: Trust = None,
) -> None:
    """What was recorded against a model: forward, echo and answer to the nudge, channel by channel."""
    from labrhel.cli import replaying

    replaying.against(run, runs, rig, step, to)


@app.command(rich_help_panel=_PANEL)
def twin(
    run: Annotated[
        str,
        typer.Argument(metavar="RUN|CONFIG", help="A run, or a configuration with a recording.", show_default=False),
    ],
    runs: Runs = DEFAULT_RUNS,
    step: AtStep = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Where to write the twin.")] = None,
    trust: Trust = None,
) -> None:
    """Fit the model to what was recorded: a rig `sim:TWIN.yaml` that runs everywhere a rig does.

    Prints every value with its standard error, how good the twin is on sequences it has not seen, and what its residual
    looks like: a lag, a missing term, an extra mode.
    """
    from labrhel.cli import replaying

    replaying.make_twin(run, runs, step, to)


@app.command(rich_help_panel=_PANEL)
def whatif(
    run: Newest = "",
    rule: Annotated[
        list[str] | None, typer.Option("--rule", metavar="RULE", help="A rule; may be given again.")
    ] = None,
    eps: Annotated[list[float] | None, typer.Option("--eps", help="A nudge; may be given again.")] = None,
    rig: Annotated[str | None, typer.Option("--rig", metavar="URL", help="In place of the run's twin.")] = None,
    runs: Runs = DEFAULT_RUNS,
    trust: Trust = None,
) -> None:
    """What gradient would another rule, or another eps, have given? On the twin of a run, against differences."""
    from labrhel.cli import replaying

    replaying.what_would(run, runs, rig, rule or [], eps or [])
