"""Signals at random instants of commands: nothing lost, the same bits afterwards, nothing left on, no traceback.

    python -m benchmarks.signals_campaign [--seed N] [--count N]

Trial N is made from the seed N alone, so that a campaign goes on with the next seed.  Most commands are forked from a
process that has imported what they take, so that signals fall into their work; every eighth starts Python as users
do.  An instant is counted from when the command handles signals, which Linux tells.  A trial is good if

1. no traceback is said, and the status is that of a command which was interrupted, killed, or done before;
2. every run verifies, holds what it held before the signal, and is resumed to the bits of one that nobody disturbed;
3. outputs of the bench are safe within 2 s, five times of which fail on a machine that others use;
4. each output file is whole or not there, and nothing is left beside it (but by KILL).
"""

from __future__ import annotations

import argparse
import gzip
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import yaml

from benchmarks import fault_campaign
from benchmarks.figure import Figure
from labrhel.store import RunReader, list_runs
from labrhel.store.calibrations import CalibrationRecord
from labrhel.testing.configurations import SMALL
from labrhel.testing.waiting import wait_for

SIGNALS = ("KILL", "TERM", "HUP", "INT", "STOP")
COMMANDS = ("run", "resume", "calibrate", "twin", "archive", "export", "bench up", "run on bench", "calibrate on bench")
SAFE, SLACK = 2.0, 5.0
"""Seconds after a signal by which outputs are safe, and what a loaded machine may make of them."""

_IMPORTED = (
    "labrhel.cli.app", "labrhel.cli.recorded", "labrhel.cli.running",
    "labrhel.cli.calibrating", "labrhel.cli.inspecting", "labrhel.records.plots", "labrhel.records.export",
    "labrhel.conformance", "simbackend.rigs.simulated", "simbackend.virtual_bench", "drivers.bench.rig",
    "calibration.campaign", "protocols.rhel", "xarray", "h5netcdf", "h5py", "scipy.optimize", "matplotlib.figure",
)  # fmt: skip
_GIVE_UP = 120.0  # s after which a command hangs
_OWN_START = 8  # one seed in so many starts Python
_STEPS = 4


@dataclass(frozen=True, slots=True)
class Trial:
    """One signal, to which command, at which part of what the command takes undisturbed."""

    seed: int
    signal: str
    command: str
    instant: float

    @classmethod
    def of(cls, seed: int) -> Trial:
        """The trial of a seed: every signal meets every command in 45."""
        turn, at = divmod(seed, len(COMMANDS))
        return cls(seed, SIGNALS[(turn + at) % len(SIGNALS)], COMMANDS[at], random.Random(seed).uniform(0, 1))


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a trial; `safe` is after how many seconds no output was on, None where there is none."""

    trial: Trial
    status: int | None
    safe: float | None
    faults: tuple[str, ...]

    def __str__(self) -> str:
        trial = self.trial
        words = f"{trial.seed}: {trial.signal} at {trial.instant:.2f} of {trial.command}: status {self.status}"
        safe = [] if self.safe is None else [f"safe after {self.safe:.2f} s"]
        return "; ".join([words, *safe, *map(str.upper, self.faults)])


class Command:
    """`labrhel WORDS` in a folder, whose words go to a file: forked from what has all imported, or started."""

    def __init__(self, words: Sequence[str], place: Path, *, started: bool = False) -> None:
        self._said = place.with_suffix(".said")
        self._process: BaseProcess | subprocess.Popen[bytes]
        if started:
            with self._said.open("wb") as out:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "labrhel", *words], cwd=place, stdout=out, stderr=subprocess.STDOUT,
                    env=os.environ | _own(place),
                )  # fmt: skip
        else:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(list(_IMPORTED))
            self._process = context.Process(target=_called, args=(list(words), place, self._said))
            self._process.start()
        wait_for(lambda: self.status() is not None or self._handles(), "handlers of signals")

    def send(self, name: str) -> None:
        """Send a signal; none to what has ended."""
        if self.status() is None and self._process.pid:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.Signals[f"SIG{name}"])

    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        process = self._process
        return process.poll() if isinstance(process, subprocess.Popen) else process.exitcode

    def ended(self) -> int | None:
        """Its exit status when it has ended; None if it hangs."""
        until = time.monotonic() + _GIVE_UP
        while self.status() is None and time.monotonic() < until:
            time.sleep(0.01)
        status = self.status()
        if status is None:
            self._process.kill()
        return status

    def said(self) -> str:
        """All that it said."""
        return self._said.read_text(errors="replace")

    def _handles(self) -> bool:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        caught = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt"))
        return bool(caught >> (signal.SIGTERM - 1) & 1)


def _own(place: Path) -> dict[str, str]:
    return {"LABRHEL_STATE": str(place.with_suffix(".state")), "XDG_CONFIG_HOME": str(place.parent / "settings")}


def _called(words: list[str], place: Path, said: Path) -> None:
    """The forked process."""
    from labrhel.cli import main

    os.environ.update(_own(place))
    os.chdir(place)
    out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.argv = ["labrhel", *words]
    main()


@dataclass(frozen=True, slots=True)
class Lab:
    """A bench, and what every command leaves that nobody disturbs, and after how long [s]."""

    folder: Path
    bench: fault_campaign.Lab
    whole: Path
    half: Path
    lasts: dict[str, float]

    def words(self, command: str) -> list[str]:
        """What is called."""
        small, url = str(self.folder / "small.yaml"), f"bench:{self.bench.station}"
        six, run = str(self.bench.folder / "config.yaml"), self.whole.name
        return {
            "run": ["run", small, "--steps", str(_STEPS)],
            "resume": ["resume", self.half.name, "--steps", str(_STEPS)],
            "calibrate": ["calibrate", "sim:", "noise", "--config", small, "--accept"],
            "twin": ["twin", run, "--to", "twin.yaml"],
            "archive": ["archive", run, "run.tar.gz"],
            "export": ["export", run, "run.nc"],
            "bench up": ["bench", "up", "coupled_oscillators", "--write", "station.yaml"],
            "run on bench": ["run", six, "--rig", url, "--steps", "1"],
            "calibrate on bench": ["calibrate", url, "--config", six, "noise"],
        }[command]

    def place(self, name: str, command: str) -> Path:
        """A folder with what the command needs."""
        place = self.folder / name
        (place / "runs").mkdir(parents=True)
        if command == "calibrate" and (old := self.folder / "undisturbed calibrate" / "calibrations").exists():
            shutil.copytree(old, place / "calibrations")
        for run in {"resume": [self.half], "run": []}.get(command, [self.whole] if command in COMMANDS[3:6] else []):
            shutil.copytree(run, place / "runs" / run.name)
        return place


@contextmanager
def lab() -> Iterator[Lab]:
    """A bench, and runs that nobody disturbs, one of which is half done."""
    with tempfile.TemporaryDirectory() as name, fault_campaign.lab(disk=False) as bench:
        folder = Path(name)
        (folder / "small.yaml").write_text(SMALL.replace("record: every 3", "record: all, eps: 0.001"))
        made = Lab(folder, bench, folder, folder, {})
        for steps in (_STEPS, _STEPS // 2):
            place = made.place(f"{steps} steps", "run")
            begin = time.monotonic()
            command = Command(["run", str(folder / "small.yaml"), "--steps", str(steps)], place)
            if command.ended() != 0:
                raise RuntimeError(command.said())
            made.lasts["run"] = time.monotonic() - begin
            (run,) = (place / "runs").iterdir()
            made = replace(made, **{"whole" if steps == _STEPS else "half": run})
        yield made


def _lasts(lab: Lab, name: str) -> float:
    place, begin = lab.place(f"undisturbed {name}", name), time.monotonic()
    command = Command(lab.words(name), place)
    if name == "bench up":
        wait_for(lambda: command.status() is not None or (place / "station.yaml").exists(), "a bench")
        lasts = time.monotonic() - begin
        command.send("INT")
        command.ended()
        return lasts + 0.3
    if (status := command.ended()) not in (0, 1):
        raise RuntimeError(f"{name}, undisturbed, has status {status}: {command.said()}")
    return time.monotonic() - begin


def attempt(lab: Lab, trial: Trial) -> Found:
    """Begin the command, send the signal, wait for the end, and look."""
    if trial.command not in lab.lasts:
        lab.lasts[trial.command] = _lasts(lab, trial.command)
    place = lab.place(str(trial.seed), trial.command)
    started = trial.seed % _OWN_START == _OWN_START - 1
    command = Command(lab.words(trial.command), place, started=started)
    time.sleep(trial.instant * (lab.lasts[trial.command] + (2.0 if started else 0.0)))
    before, proposals = _steps(place), _entries(place)
    command.send(trial.signal)
    begin = time.monotonic()
    if trial.signal == "STOP":
        time.sleep(0.3)
        command.send("CONT")
        if trial.command == "bench up":
            command.send("INT")
    safe = None
    if trial.command.endswith("on bench"):
        if trial.signal == "STOP":
            command.ended()
            begin = time.monotonic()
        with suppress(AssertionError):
            wait_for(lambda: not lab.bench.are_on(), "outputs that are safe", 2 * SAFE * SLACK)
        safe = time.monotonic() - begin
    status = command.ended()
    faults = [*_said_wrongly(trial, status, command.said()), *_files(lab, trial, place, before)]
    if safe is not None and safe > SAFE * SLACK:
        faults.append("outputs stayed on")
    if not proposals <= _entries(place):
        faults.append("entries of the calibration record are lost")
    if trial.command in ("run", "resume"):
        faults += _bits(lab, trial, place)
    return Found(trial, status, safe, tuple(faults))


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
        if trial.signal != "KILL" and (more := _names(run.folder) - _names(lab.whole) - _names(lab.half)):
            yield f"left in the run: {more}"
    if _steps(place) < before:
        yield f"of {before} operations {_steps(place)} are there"
    for file in place.iterdir():
        if file.name in ("runs", "calibrations"):
            continue
        if file.name not in ("twin.yaml", "run.tar.gz", "run.nc", "station.yaml"):
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


def _bits(lab: Lab, trial: Trial, place: Path) -> Iterator[str]:
    """Resume what was begun; its parameters are those of a run that nobody disturbed."""
    for run in list_runs(place / "runs"):
        taken = run.last_checkpoint()
        run.close()
        if run.status != "done" or taken is None or taken.step < _STEPS:
            command = Command(["resume", run.folder.name, "--steps", str(_STEPS)], place)
            if command.ended() != 0 or "Traceback" in command.said():
                yield f"resume: {command.said()[-600:]}"
                return
        one, other = (RunReader(folder).last_checkpoint() for folder in (run.folder, lab.whole))
        if one is None or other is None or one.state["parameters"].tobytes() != other.state["parameters"].tobytes():
            yield "other bits after it was resumed"


def targets(count: int) -> Iterator[Figure]:
    """For the table of `benchmarks.targets`."""
    with lab() as place:
        found = [attempt(place, Trial.of(seed)) for seed in range(count)]
    bad = [str(item) for item in found if item.faults]
    slowest = max((item.safe for item in found if item.safe is not None), default=0.0)
    words = f"{len(bad)} failed {' '.join(bad)}, outputs safe after {slowest:.1f} s at most"
    yield Figure(
        f"{count} signals at random instants of commands: nothing lost, same bits, safe in 2 s", words, not bad
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run trials, print each, and a table of tried and failed; 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="the first trial's")
    parser.add_argument("--count", type=int, default=100)
    chosen = parser.parse_args(arguments)
    tried: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    with lab() as place:
        for seed in range(chosen.seed, chosen.seed + chosen.count):
            found = attempt(place, Trial.of(seed))
            print(found, flush=True)
            for name in (found.trial.command, found.trial.signal):
                tried[name] += 1
                failed[name] += bool(found.faults)
    for name, count in tried.items():
        print(f"{name:20} {count:4} tried {failed[name]:4} failed")
    return int(any(failed.values()))


if __name__ == "__main__":
    sys.exit(main())
