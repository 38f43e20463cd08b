"""Signals at random instants of commands: nothing lost, the same bits afterwards, nothing left on, no traceback.

    python -m benchmarks.signals_campaign [--from SEED] [--count N] [--keep FILE]

Most commands are forked from a process that has imported what they take, so that signals fall into their work; every
eighth starts Python as users do (`benchmarks.commands`).  An instant is counted from when the command handles signals,
on a bench from when its levels are on.  The board is its gateware under Verilator, where that is installed.  A trial is
good if

1. no traceback is said, and the status is that of a command which was interrupted, killed, or done before;
2. every run verifies, holds what it held before the signal, and is resumed to the bits of one that nobody disturbed;
3. outputs of the bench are safe within 2 s, and the board gives another program the right bits of a shot within 2 s of
   the end of its owner; time for which the machine stood still (`benchmarks.standstill`) counts as none;
4. each output file is whole or not there, and nothing is left beside it (but by KILL).
"""

from __future__ import annotations

import gzip
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks import faulty_lab
from benchmarks.campaign import Outcome, asked, each, pursue, say, told
from benchmarks.commands import OWN_START, Command
from benchmarks.figure import Figure
from benchmarks.standstill import Standstill
from drivers.testing.boards import rig_at
from labrhel.store import RunReader, list_runs
from labrhel.store.calibrations import CalibrationRecord
from labrhel.testing.configurations import SMALL
from labrhel.testing.waiting import wait_for
from simbackend.testing.boards import Shot

SIGNALS = ("KILL", "TERM", "HUP", "INT", "STOP")
COMMANDS = (
    "run", "resume", "calibrate", "twin", "archive", "export", "bench up", "run on bench", "calibrate on bench",
    "run on board", "calibrate on board",
)  # fmt: skip
SAFE = 2.0
"""Seconds after a signal by which outputs are safe."""

_GIVE_UP = 120.0  # s after which a command hangs
_LONGEST = 20.0  # s that outputs are waited for
_STEPS = {"run": 4, "run on board": 2}
_OUTPUTS = ("twin.yaml", "run.tar.gz", "run.nc", "station.yaml")


@dataclass(frozen=True, slots=True)
class Trial:
    """One signal, to which command, at which part of what the command takes undisturbed."""

    seed: int
    signal: str
    command: str
    instant: float

    @classmethod
    def of(cls, seed: int, commands: Sequence[str] = COMMANDS) -> Trial:
        """The trial of a seed: every signal meets every command in 55."""
        turn, at = divmod(seed, len(commands))
        return cls(seed, SIGNALS[(turn + at) % len(SIGNALS)], commands[at], random.Random(seed).uniform(0, 1))


@dataclass(frozen=True, slots=True)
class Lab:
    """A bench, a board if there is one, and what every command leaves that nobody disturbs, and after how long [s].

    `whole`: runs that nobody disturbed, by command; that of `half` is yet to be resumed.
    """

    folder: Path
    bench: faulty_lab.Lab
    board: Any
    whole: dict[str, Path]
    lasts: dict[str, float]

    @property
    def commands(self) -> tuple[str, ...]:
        """What can be tried here."""
        return tuple(name for name in COMMANDS if self.board or not name.endswith("on board"))

    def words(self, command: str) -> list[str]:
        """What is called."""
        small, bench = str(self.folder / "small.yaml"), f"bench:{self.bench.station}"
        six, board = str(self.bench.folder / "config.yaml"), f"fpga:{self.board.url}" if self.board else ""
        run = self.whole["run"].name if "run" in self.whole else ""
        return {
            "run": ["run", small, "--steps", "4"],
            "half": ["run", small, "--steps", "2"],
            "resume": ["resume", self.whole["half"].name if "half" in self.whole else "", "--steps", "4"],
            "calibrate": ["calibrate", "sim:", "noise", "--config", small, "--accept"],
            "twin": ["twin", run, "--to", "twin.yaml"],
            "archive": ["archive", run, "run.tar.gz"],
            "export": ["export", run, "run.nc"],
            "bench up": ["bench", "up", "coupled_oscillators", "--write", "station.yaml"],
            "run on bench": ["run", six, "--rig", bench, "--steps", "1"],
            "calibrate on bench": ["calibrate", bench, "--config", six, "noise"],
            "run on board": ["run", six, "--rig", board, "--steps", "2"],
            "calibrate on board": ["calibrate", board, "--config", six, "noise"],
        }[command]

    def begun(self, name: str, command: str, *, started: bool = False) -> tuple[Path, Command]:
        """A folder with what the command needs, and the command in it."""
        place = self.folder / name
        shutil.rmtree(place, ignore_errors=True)  # of an attempt that failed
        (place / "runs").mkdir(parents=True)
        if command == "calibrate" and (old := self.folder / "undisturbed calibrate" / "calibrations").exists():
            shutil.copytree(old, place / "calibrations")
        needs = {"resume": "half", "twin": "run", "archive": "run", "export": "run"}.get(command)
        if needs:
            shutil.copytree(self.whole[needs], place / "runs" / self.whole[needs].name)
        return place, self.call(self.words(command), place, started=started)

    def call(self, words: Sequence[str], place: Path, *, started: bool = False) -> Command:
        """A command in that folder."""
        settings = {"LABRHEL_STATE": str(place.with_suffix(".state")), "XDG_CONFIG_HOME": str(self.folder / "settings")}
        return Command(words, place, place.with_suffix(".said"), settings, started=started)

    def wait_for_work(self, name: str, command: Command) -> None:
        """On a bench until its levels are on."""
        if name.endswith("on bench"):
            wait_for(lambda: command.status() is not None or self.bench.levels_are_on(), "levels that are on")

    def undisturbed(self, name: str) -> Path:
        """Let a command be done, and remember how long that takes."""
        place, command = self.begun(f"undisturbed {name}", name)
        self.wait_for_work(name, command)
        begin = time.monotonic()
        if name == "bench up":
            wait_for(lambda: command.status() is not None or (place / "station.yaml").exists(), "a bench")
            command.send("INT")
        if (status := command.ended(_GIVE_UP)) not in (0, 1, 130):
            raise RuntimeError(f"{name}, undisturbed, has status {status}: {command.said()}")
        self.lasts[name] = time.monotonic() - begin
        return place


@contextmanager
def lab() -> Iterator[Lab]:
    """A bench, a board where there is Verilator, and runs that nobody disturbs, one of which is half done."""
    with tempfile.TemporaryDirectory() as name, faulty_lab.lab(disk=False) as bench, ExitStack() as opened:
        folder, board = Path(name), None
        if shutil.which("verilator"):
            with suppress(ImportError):
                from simbackend.gateware.verilated import VerilatedBoard

                board = opened.enter_context(VerilatedBoard())
        (folder / "small.yaml").write_text(SMALL.replace("record: every 3", "record: all, eps: 0.001"))
        made = Lab(folder, bench, board, {}, {})
        for command in ("run", "half", *(("run on board",) if board else ())):
            (made.whole[command],) = (made.undisturbed(command) / "runs").iterdir()
        yield made


def attempt(lab: Lab, trial: Trial) -> tuple[int | None, float | None, tuple[str, ...]]:
    """Begin the command, send the signal, wait for the end, and look: status, seconds until safe, what is wrong."""
    name = trial.command
    if name not in lab.lasts:
        lab.undisturbed(name)
    place, command = lab.begun(str(trial.seed), name, started=trial.seed % OWN_START == OWN_START - 1)
    lab.wait_for_work(name, command)
    time.sleep(trial.instant * lab.lasts[name])
    before, proposals = _steps(place), _entries(place)
    safe = None
    with Standstill() as still:
        command.send(trial.signal)
        begin = time.monotonic()
        if trial.signal == "STOP":
            time.sleep(0.3)
            command.send("CONT")
            if name == "bench up":
                command.send("INT")
            elif name.endswith("on bench"):
                command.ended(_GIVE_UP)
                begin = time.monotonic()
        if name.endswith("on bench"):
            with suppress(AssertionError):
                wait_for(lambda: not lab.bench.on(), "outputs that are safe", _LONGEST)
            safe = (now := time.monotonic()) - begin - still.between(begin, now)
        status = command.ended(_GIVE_UP)
    faults = [*_said_wrongly(trial, status, command.said()), *_files(lab, trial, place, before)]
    if name.endswith("on board"):
        safe = _right_again(lab.board.url, trial.seed)
    if safe is not None and safe > SAFE:
        faults.append(f"safe after {safe:.1f} s")
    if not proposals <= _entries(place):
        faults.append("entries of the calibration record are lost")
    if name in ("run", "resume", "run on board"):
        faults += _bits(lab, name, place)
    return status, safe, tuple(faults)


def _right_again(url: str, seed: int) -> float | None:
    """Seconds until a board gives a new owner the right bits of a shot; infinite if it gives others."""
    shot = Shot.random(seed, 20)
    with Standstill() as still:
        begin = time.monotonic()
        with closing(rig_at(url)) as rig:
            right = shot.is_right(shot.run_on(rig))
        now = time.monotonic()
        return now - begin - still.between(begin, now) if right else float("inf")


def _said_wrongly(trial: Trial, status: int | None, words: str) -> Iterator[str]:
    if status is None:
        yield "it hung"
    allowed = {"KILL": (-signal.SIGKILL, 0, 1), "STOP": (0, 1) if trial.command != "bench up" else (0, 130)}
    if status not in (None, *allowed.get(trial.signal, (130, 0, 1))):
        yield f"status {status}: {words[-600:]}"
    if "Traceback" in words:
        yield words[-1500:]


def _steps(place: Path) -> int:
    """Operations that the record of the one run holds, or 0."""
    try:
        return sum(len(run.operations()) for run in list_runs(place / "runs"))
    except Exception:  # it is just being made
        return 0


def _entries(place: Path) -> set[str]:
    return {entry.id for entry in CalibrationRecord(place / "calibrations", "sim:").entries}


def _files(lab: Lab, trial: Trial, place: Path, before: int) -> Iterator[str]:
    """What is wrong with what lies in the folder."""
    for run in list_runs(place / "runs"):
        yield from (f"{run.folder.name}: {words}" for words in run.verify())
        if trial.signal != "KILL" and (more := _names(run.folder).difference(*map(_names, lab.whole.values()))):
            yield f"left in the run: {more}"
    if _steps(place) < before:
        yield f"of {before} operations {_steps(place)} are there"
    for file in place.iterdir():
        if file.name in ("runs", "calibrations"):
            continue
        if file.name not in _OUTPUTS:
            if trial.signal != "KILL":
                yield f"left: {file.name}"
        elif not _is_whole(file, lab):
            yield f"half a file: {file.name}"


def _names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir() if "checkpoint" not in file.name}


def _is_whole(file: Path, lab: Lab) -> bool:
    """Whether it holds what an undisturbed command has written."""
    if file.name == "twin.yaml":
        return file.read_bytes() == (lab.folder / "undisturbed twin" / file.name).read_bytes()
    if file.name == "station.yaml":
        return {"instruments", "rig"} <= yaml.safe_load(file.read_text()).keys()
    if file.name == "run.nc":
        return file.stat().st_size == (lab.folder / "undisturbed export" / file.name).stat().st_size
    with gzip.open(file) as opened:
        return bool(opened.read())


def _bits(lab: Lab, name: str, place: Path) -> Iterator[str]:
    """Resume what was begun; its parameters are those of a run that nobody disturbed."""
    whole = lab.whole["run on board" if name == "run on board" else "run"]
    for run in list_runs(place / "runs"):
        run.close()
        if run.status != "done" or _taken(run.folder) != _taken(whole):
            steps = lab.words(name)[-1]
            command = lab.call(["resume", run.folder.name, "--steps", steps], place)
            if command.ended(_GIVE_UP) != 0 or "Traceback" in command.said():
                yield f"resume: {command.said()[-600:]}"
                return
        if _taken(run.folder) != _taken(whole):
            yield "other bits after it was resumed"


def _taken(folder: Path) -> tuple[int, bytes]:
    """The last step that was taken, and the parameters after it."""
    with closing(RunReader(folder)) as run:
        taken = run.last_checkpoint()
    return (0, b"") if taken is None else (taken.step, taken.state["parameters"].tobytes())


def outcome(lab: Lab, seed: int) -> Outcome:
    """The trial of a seed."""
    trial = Trial.of(seed, lab.commands)
    status, safe, faults = attempt(lab, trial)
    words = f"{trial.signal} at {trial.instant:.2f}: status {status}"
    return Outcome(
        seed, trial.command, words + ("" if safe is None else f", safe after {safe:.2f} s"), faults,
        {"signal": trial.signal, "instant": trial.instant, "status": status, "safe": safe},
    )  # fmt: skip


def targets(count: int = 100) -> Iterator[Figure]:
    """For the table of `benchmarks.targets`."""
    with lab() as place:
        tally = pursue(each(partial(outcome, place), range(count)), say=lambda words: None)
    words = f"{len(tally.bad)} failed {'; '.join(map(str, tally.bad))}"
    target = f"{count} signals at random instants of commands: nothing lost, same bits, safe in 2 s"
    yield Figure(target, words, not tally.bad)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run trials, print each, and a table of tried and failed; 1 if any failed."""
    chosen = asked(__doc__, 100, arguments)
    with lab() as place:
        seeds = range(chosen.first, chosen.first + chosen.count)
        return told(pursue(each(partial(outcome, place), seeds), chosen.keep, say))


if __name__ == "__main__":
    sys.exit(main())
