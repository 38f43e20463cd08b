"""`labrhel calibration`: the commands on the record of a rig.  What they do is imported when they are called."""

from __future__ import annotations

from typing import Annotated

import typer

from labrhel.cli.root import DEFAULT_CALIBRATIONS, Calibrations

app = typer.Typer(help="What was calibrated when: the record of a rig, differences, and the way back.")

Url = Annotated[str, typer.Argument(metavar="URL", help="The rig, as it was calibrated.", show_default=False)]


@app.command("log")
def log(url: Url, calibrations: Calibrations = DEFAULT_CALIBRATIONS) -> None:
    """Every proposal, acceptance and way back, oldest first."""
    from labrhel.cli import calibrating

    calibrating.log(url, calibrations)


@app.command("show")
def show(url: Url, calibrations: Calibrations = DEFAULT_CALIBRATIONS) -> None:
    """What is in force: every value with its standard error and how long it is valid."""
    from labrhel.cli import calibrating

    calibrating.show(url, calibrations)


@app.command("accept")
def accept(url: Url, calibrations: Calibrations = DEFAULT_CALIBRATIONS) -> None:
    """Put what was proposed last into force."""
    from labrhel.cli import calibrating

    calibrating.accept(url, calibrations)


@app.command("diff")
def diff(
    url: Url,
    before: Annotated[str, typer.Argument(metavar="ID", help="An entry of the log, or the start of its id.")],
    after: Annotated[str, typer.Argument(metavar="[ID]", help="A later one; left out: now.")] = "",
    calibrations: Calibrations = DEFAULT_CALIBRATIONS,
) -> None:
    """What changed between two entries of the log."""
    from labrhel.cli import calibrating

    calibrating.diff(url, calibrations, before, after)


@app.command("rollback")
def rollback(
    url: Url,
    entry: Annotated[str, typer.Argument(metavar="ID", help="What was in force after this entry will be again.")],
    calibrations: Calibrations = DEFAULT_CALIBRATIONS,
) -> None:
    """Go back to what was in force after an entry; nothing is lost, and you can go forward again."""
    from labrhel.cli import calibrating

    calibrating.roll_back(url, calibrations, entry)
