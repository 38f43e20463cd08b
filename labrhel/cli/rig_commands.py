"""The commands on rigs: what they are, do and may be told to stop.  What they do is imported when they are called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labrhel.cli import bench, calibration
from labrhel.cli.answers import Json, answered
from labrhel.cli.logs import Log, Verbose
from labrhel.cli.root import DEFAULT_CALIBRATIONS, Calibrations, Set, app
from labrhel.cli.trusting import Trust

_PANEL = "Rigs"

app.add_typer(bench.app, name="bench", rich_help_panel=_PANEL)
app.add_typer(calibration.app, name="calibration", rich_help_panel=_PANEL)


@app.command(rich_help_panel=_PANEL)
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
    changes: Set = None,
    trust: Trust = None,
    json: Json = False,
    verbose: Verbose = 0,
    log: Log = None,
) -> None:
    """Measure a rig: connections, noise, delays, gains, springs, friction, flip, reciprocity, eps, drift, gradient.

    Prints a plan, then what each routine found. Channels that fail drop out by name, and the rest goes on. Exit status
    1 if something dropped out or failed, or if the check fails.
    """
    from labrhel.cli import calibrating

    asked, how = (url, nodes or [], config, calibrations, reference), {"accept": accept, "check": check}
    answered(lambda answer: calibrating.calibrate(*asked, answer, changes or (), **how), as_json=json)


@app.command(rich_help_panel=_PANEL)
def card(
    url: Annotated[str, typer.Argument(metavar="URL", help="The rig, as it was calibrated.", show_default=False)],
    config: Annotated[
        Path | None, typer.Option("--config", metavar="CONFIG", help="Model, wiring and data; sim:NAME has its own.")
    ] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Where to write the page.")] = None,
    calibrations: Calibrations = DEFAULT_CALIBRATIONS,
    trust: Trust = None,
    json: Json = False,
) -> None:
    """What is this rig good for? Measured quantities, valid rules, recommended eps and repeats, dominant error source.

    Prints it, and writes a page with everything that is in force.
    """
    from labrhel.cli import calibrating

    answered(lambda answer: calibrating.card(url, config, calibrations, to, answer), as_json=json)


@app.command(rich_help_panel=_PANEL)
def conformance(
    url: Annotated[str, typer.Argument(metavar="URL", help="The rig; see `labrhel rigs`.", show_default=False)],
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="CONFIG", help="Nominal model and map; sim:NAME implies the example NAME."),
    ] = None,
    only: Annotated[str, typer.Option("--only", metavar="WORD", help="Checks with WORD in theme or name.")] = "",
    tolerance: Annotated[float, typer.Option(help="Relative error of the model's response that passes.")] = 0.02,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Where to write all findings.")] = None,
    trust: Trust = None,
    verbose: Verbose = 0,
    log: Log = None,
) -> None:
    """Does a rig keep the contract of a rig?  Fires shots at it and compares them with the nominal model.

    Exit status 1 if a check failed; docs/conformance.md says how to read a failure.
    """
    from labrhel.cli import conforming

    if not conforming.conform(url, config, only, tolerance, json):
        raise typer.Exit(1)


@app.command(rich_help_panel=_PANEL)
def devices(
    station: Annotated[
        str | None, typer.Argument(metavar="[STATION]", help="A station file, whose instruments are asked.")
    ] = None,
    ask: Annotated[
        list[str] | None, typer.Option("--ask", metavar="ADDRESS", help="Ask this one, too; may be given again.")
    ] = None,
    timeout: Annotated[float, typer.Option(metavar="S", help="How long each may take to answer.")] = 1.0,
    json: Json = False,
) -> None:
    """List what is reachable, and what it says it is: VISA resources, serial ports, instruments and boards.

    Only what the station file or --ask names is asked (*IDN?, nothing else); nothing is written to a serial port that
    nobody named.  What another program uses is left alone.  Exit status 1 if one that was asked does not answer, or is
    not what the station file says.
    """
    from labrhel.cli import finding

    answered(lambda answer: finding.show(station, ask or [], timeout, answer), as_json=json)


@app.command("estop", rich_help_panel=_PANEL)
def emergency_stop(
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler", metavar="ADDRESS", help="Also where the workers of a Dask cluster are: tls://HOST:PORT."
        ),
    ] = None,
) -> None:
    """Bring every rig of this machine to its safe state, now, and keep it there until `labrhel reset`.

    Interrupts shots that are running, makes stations safe that a dead program has left, and says what it reached. Exit
    status 3 if a rig did not say that it is safe, nothing could be latched, or a worker was not reached.
    """
    from labrhel.cli import stopping

    good = stopping.press()
    if scheduler is not None:
        from labrhel.cli.everywhere import press_everywhere

        good = press_everywhere(scheduler, lambda words: print(words, flush=True)) and good
    if not good:
        raise typer.Exit(3)


@app.command(rich_help_panel=_PANEL)
def reset(
    forget: Annotated[bool, typer.Option("--forget", help="Outputs that were left on were made safe by hand.")] = False,
) -> None:
    """Release the emergency stop, once the bench has been looked at.

    Stations that a dead program has left are made safe first; exit status 3, and still latched, if they cannot be.
    """
    from labrhel.cli import stopping

    if not stopping.reset(forget=forget):
        raise typer.Exit(3)


@app.command(rich_help_panel=_PANEL)
def rigs() -> None:
    """List the kinds of rig URL and the examples."""
    from labrhel.cli import judging

    judging.list_rigs()
