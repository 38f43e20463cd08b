"""`labrhel bench`: a virtual bench in the foreground, for as long as it is wanted or as a command runs against it."""

from __future__ import annotations

import math
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from labrhel.cli.trusting import Trust
from labrhel.errors import ConfigurationError

app = typer.Typer(no_args_is_help=True, help="A virtual bench: instruments on real sockets around one simulated rig.")

OURS = "# Written by labrhel bench up"
"""How the station file of a virtual bench begins: it may be written again."""

ADDRESS_VARIABLE = "LABRHEL_BENCH"
"""Where a command that runs against a bench finds the file with its addresses."""


@app.command()
def up(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME|FILE|CONFIG", help="A station that comes with labrhel, a file, or a CONFIG."),
    ],
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", help="Write the addresses and the wiring to a YAML file.")
    ] = None,
    command: Annotated[
        str | None, typer.Option("--for", metavar="COMMAND", help="Run a command against it, then stop; its status.")
    ] = None,
    speed: Annotated[
        float, typer.Option(metavar="X", help="1: as slow as a real one; left out, nobody waits for anything.")
    ] = math.inf,
    trust: Trust = None,
) -> None:
    """Start a virtual bench, print its addresses, and keep it up until Ctrl-C.

    For a configuration it invents the instruments that its model takes, and writes their station file beside it.

    In the command of --for, {rig} stands for the URL of the rig that it is, and {station} for the station file, whose
    path is in LABRHEL_BENCH, too.
    """
    from labrhel.store.outputs import written_aside  # with numpy, for which no help waits

    maker = _maker_of(name)
    with maker.virtual_bench(name, speed=speed) as bench, TemporaryDirectory() as folder:
        is_invented = hasattr(maker, "invents") and maker.invents(name)
        beside = is_invented and command is None
        station = write or (_beside(name) if beside else Path(folder) / "station.yaml")
        with written_aside(station) as aside:
            aside.write_text(maker.station_text(bench), encoding="utf-8")
        print("\n".join(bench.describe()), flush=True)
        if beside:
            print(f"station   {station}")
            print("\n".join(f"next      {words}" for words in maker.next_commands(name, maker.rig_url(bench, station))))
            sys.stdout.flush()
        if command is None:
            _wait()
        else:
            raise typer.Exit(_run(command, station, maker.rig_url(bench, station)))


@app.command("list")
def list_stations() -> None:
    """List the stations that come with labrhel."""
    from labrhel import plugins

    for maker in plugins.bench_makers().values():
        for name, file in sorted(maker.stations().items()):
            print(f"{name:32}{file}")


def _beside(name: str) -> Path:
    """Where the station file of an invented bench goes; ConfigurationError if it would overwrite another file."""
    given = Path(name)
    file = given.with_name(f"{given.stem}_station.yaml") if given.is_file() else Path(f"{name}_station.yaml")
    if file.exists() and not file.read_text(encoding="utf-8", errors="replace").startswith(OURS):
        raise ConfigurationError(f"{file} is there, and not of a virtual bench; say where to write with --write FILE")
    return file


def _maker_of(name: str) -> Any:
    """The one that has a station of that name, else the one that reads files."""
    from labrhel import plugins

    makers = list(plugins.bench_makers().values())
    return next((maker for maker in makers if name in maker.stations()), makers[0])


def _wait() -> None:
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)


def _run(command: str, station: Path, rig: str) -> int:
    """Exit status of the command; Ctrl-C reaches it too, and it is waited for."""
    words = [word.replace("{station}", str(station)).replace("{rig}", rig) for word in shlex.split(command)]
    if words[:1] == ["labrhel"] and shutil.which("labrhel") is None:  # of an environment that is not activated
        words[:1] = [sys.executable, "-m", "labrhel"]
    try:
        running = subprocess.Popen(words, env=os.environ | {ADDRESS_VARIABLE: str(station.resolve())})
    except OSError as error:
        raise ConfigurationError(f"the command {words[0]!r} cannot be run: {error.strerror}") from None
    while True:
        try:
            return running.wait()
        except KeyboardInterrupt as signalled:
            if signalled.args and signalled.args[0] != signal.SIGINT:  # a terminal sends Ctrl-C to both
                running.terminate()
            print("waiting for the command to end", file=sys.stderr)
