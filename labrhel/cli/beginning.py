"""`labrhel init`: a file to begin with, from a recording, from instruments, or from nothing.  Drives nothing.

What it writes has been read back and checked as `labrhel run` or `labrhel validate` would; a file that is there is
never overwritten.  What a flag does not say is asked at a terminal, and where there is none has its default, or is an
error that names the flag.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import typer

from labrhel.cli.beginning_network import network
from labrhel.cli.beginning_twin import twin_of
from labrhel.cli.looking import Chosen, chosen
from labrhel.data.finding import find_recording, search_path
from labrhel.data.recording import open_recording
from labrhel.errors import ConfigurationError
from labrhel.experiment import load_experiment
from labrhel.store.outputs import written_aside


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says; None for what it leaves out."""

    to: Path | None = None
    drive: str | None = None
    target: str | None = None
    rate: float | None = None
    oscillators: int | None = None
    coupling: str | None = None


def begin(sources: Sequence[str], asked: Asked) -> None:
    """Write the file for a recording, for addresses, or for oscillators; say what comes next."""
    if sources and all("::" in source or "://" in source for source in sources):
        from labrhel.cli.beginning_station import station
        from labrhel.config.station import load_station

        file = _free(asked.to or Path("station.yaml"))
        _written(file, station(sources, asked.oscillators), load_station)
        print(f"next     put it right, then labrhel validate {file}")
        return
    if len(sources) > 1:
        raise ConfigurationError("name one recording, or the VISA addresses of instruments (TCPIP::... or ASRL...)")
    if sources:
        _from_recording(sources[0], asked)
    else:
        _from_nothing(asked)


def _from_recording(name: str, asked: Asked) -> None:
    recording = open_recording(find_recording(name, search_path(Path(), os.environ), ""))
    found = chosen(recording, asked.drive, asked.target)
    if isinstance(found, str):
        raise ConfigurationError(f"{name}: {found}")
    if _can_ask() and asked.drive is None and asked.target is None and found.others:
        first = "none" if found.input is None else found.input.name
        found = chosen(recording, _answer("input (or none)", first), _answer("target", found.target.name))
        assert isinstance(found, Chosen)
    file = _free(asked.to or Path(f"{Path(name).stem}.yaml"))
    rate = asked.rate
    if rate is None and found.interval is None:
        if not _can_ask():
            raise ConfigurationError(f"{name} does not say how many samples it has a second: give --rate")
        rate = typer.prompt("samples per second", type=float, err=True)
    if rate is not None and not 0 < rate < math.inf:
        raise ConfigurationError(f"--rate is a positive number of samples per second, not {rate:g}")
    interval = 1 / rate if rate else found.interval
    assert interval is not None
    where = os.path.relpath(name, file.parent) if Path(name).is_file() else name
    _written(file, twin_of(recording, found, where, interval, rate), _loads(file.parent))
    print(f"next     labrhel run {file}")


def _from_nothing(asked: Asked) -> None:
    count, coupling = asked.oscillators, asked.coupling
    if count is None:
        if not _can_ask():
            raise ConfigurationError(
                "name a recording, or the VISA addresses of instruments; or give --oscillators N for made data"
            )
        count = int(_answer("oscillators", "6"))
        coupling = coupling or _answer("coupling (none, chain, ring, all)", "ring")
    if count < 1:
        raise ConfigurationError(f"--oscillators is 1 or more, not {count}")
    file = _free(asked.to or Path("oscillators.yaml"))
    _written(file, network(count, coupling or ("ring" if count > 2 else "chain")), _loads(file.parent))
    print(f"next     labrhel run {file}")
    print(f"         labrhel bench up {file}")


def _written(file: Path, text: str, check: Callable[[Path], object]) -> None:
    """Write what has been read back and found right."""
    with written_aside(file, making_folders=True) as aside:
        aside.write_text(text, encoding="utf-8")
        try:
            check(aside)
        except ConfigurationError as error:
            raise ConfigurationError(error.problem, key=error.key) from None  # nobody sees the file it speaks of
    print(f"written  {file}")


def _loads(home: Path) -> Callable[[Path], object]:
    """Checks a configuration as a run does before it begins."""

    def check(file: Path) -> None:
        with closing(load_experiment(file, home=home).rig):
            pass

    return check


def _free(file: Path) -> Path:
    if file.exists():
        raise ConfigurationError(f"{file} is there already; give another name with --to FILE")
    return file


def _can_ask() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _answer(question: str, default: str) -> str:
    return str(typer.prompt(question, default=default or None, err=True))
