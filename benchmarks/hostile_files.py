"""Mutated files of every kind that is read: one sentence each, never a traceback, a signal, a hang, or code that ran.

    python -m benchmarks.hostile_files                    # 10,000, an hour or two on two cores
    python -m benchmarks.hostile_files --count 150        # as the tests do
    python -m benchmarks.hostile_files --from 5000        # go on from there: number and seed are one

Each number makes one file by its own seed: a good one of a kind, with bits flipped, cut, stretched, words exchanged,
or numbers blown up; then it is given to what reads that kind, in a child that is forked from a program which has all
imported and has read one good file of each kind.  Readers apart are forked as well, since starting them costs more than
reading; every 40th number starts one as users do.  What is looked for: an exception that is none of labrhel's, a
signal, more than 10 s of computing, and the file that code beside the configuration leaves if it runs.
"""

from __future__ import annotations

import argparse
import gc
import io
import os
import re
import resource
import shutil
import signal
import sys
import tarfile
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.figure import Figure
from drivers.transport.replayed import ReplayedTraffic
from drivers.transport.traffic import Direction, TrafficLog
from labrhel import session
from labrhel.cli import inspecting
from labrhel.config.station import load_station
from labrhel.data import apart, readers
from labrhel.errors import LabrhelError
from labrhel.experiment import load_experiment
from labrhel.experiment.validating import validated
from labrhel.records.report import report
from labrhel.rig.calibration import CalibratedValue
from labrhel.safety import trust
from labrhel.store import RunReader
from labrhel.store.calibrations import CalibrationRecord
from labrhel.testing.configurations import SMALL

DEADLINE = 10
"""Seconds of computing that a file may hold its reader."""

_STANDSTILL = 60.0  # s without an end, which on a loaded machine computing for 10 s does not take

_STARTED = 40  # one number in so many starts its reader apart as users do

_BIG = tuple(b"1000000000 1e308 -1 0 .inf .nan 99999999999999999999 null [] {} *a own.py:Name [[[[[[[[ true".split())
_URL = "sim:x"
_CODE = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\ndef Name(*a, **k): ...\n"
_WORD = re.compile(rb"[A-Za-z_][A-Za-z_0-9]*|-?[0-9][0-9.e+-]*")


@dataclass(frozen=True, slots=True)
class Kind:
    """A good file, or a folder of them, and what reads it."""

    name: str
    good: Path
    read: Callable[[Path], object]


@dataclass(slots=True)
class Tally:
    """What came of the files that were tried."""

    ends: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)

    def take(self, number: int, kind: str, end: str) -> None:
        """Count one, and keep it if it is bad."""
        self.ends[end.partition(":")[0]] += 1
        if not end.startswith(("refused", "read")):
            self.bad.append(f"{number} ({kind}): {end}")


def kinds(folder: Path) -> list[Kind]:
    """One of each kind, made in `folder`."""
    import h5py
    from scipy.io import savemat

    good = folder / "good"
    good.mkdir()
    (good / "a.yaml").write_text(SMALL.replace("{record: every 3}", "{record: all, eps: 0.001}"))
    t = np.arange(200.0)
    arrays = {"u": np.sin(t), "y": np.cos(t), "fs": np.array([500.0])}
    np.savez(good / "lab.npz", u=arrays["u"], y=arrays["y"], fs=arrays["fs"])
    np.savez_compressed(good / "packed.npz", u=arrays["u"], y=arrays["y"], fs=arrays["fs"])
    savemat(good / "lab.mat", {**arrays, "cells": np.array([[1, "a"]], object)})
    savemat(good / "packed.mat", arrays, do_compression=True)
    savemat(good / "old.mat", arrays, format="4")
    with h5py.File(good / "lab.h5", "w") as file:
        for name, values in arrays.items():
            file[name] = values
    rows = np.stack([arrays["u"], arrays["y"]], axis=1)
    np.savetxt(good / "lab.csv", rows, delimiter=",", header="u,y", comments="")
    (good / "bench.yaml").write_text(
        "model: coupled_oscillators\nring_down: 60ms\ninstruments:\n  awg1: {kind: keysight_33600}\n"
        "leads:\n  - {wire: awg1.ch1, to: u1, gain: 1.0}\n"
    )
    (good / "station.yaml").write_text(
        "instruments:\n  awg1: {type: keysight_33600, address: 'TCPIP::10.0.0.5::5025::SOCKET', init: {}}\n"
        "  scope1: {type: rigol_ds1000z, address: 'TCPIP::10.0.0.6::5555::SOCKET'}\nrig:\n"
        "  trigger: {fired_by: awg1, seen_by: {scope1: {terminal: ch4, level: 1 V}}}\n  ring_down: 60ms\n"
        "  ports: {u1: {terminal: awg1.ch1, limits: [-5 V, 5 V]}}\n"
        "  channels: {q1: {terminal: scope1.ch1, range: [-2 V, 2 V]}}\n"
    )
    (good / "stack.yaml").write_text("model: {kind: hssm, blocks: 1, hidden: 4, state: 4}\ndata: {file: a.npz}\n")
    run = session.start(load_experiment(good / "a.yaml", steps=2), folder / "runs", lambda published: None).folder
    shutil.copytree(run, good / "run")
    with tarfile.open(good / "run.tar.gz", "w:gz") as archive:
        archive.add(run, run.name)
    log = TrafficLog(good / "traffic.jsonl")
    for direction, words in ((Direction.SENT, b"*IDN?\n"), (Direction.RECEIVED, b"a,b,c,d\n")) * 2:
        log.record("awg1", direction, words)
    log.close()
    record = CalibrationRecord(folder / "measured", _URL)
    value = CalibratedValue(1.5, "V", 0.01, "fit", "run7", 12.5, "gain", "q1")
    record.roll_back(record.accept([record.propose("gain", {"f1.gain": value}, ["a"])]).id)
    assert record.file is not None
    shutil.copy(record.file, good / "calibration.jsonl")
    for name in ("traffic", "calibration"):  # as they were before their lines had checksums: wounds reach the fields
        text = (good / f"{name}.jsonl").read_text()
        (good / f"old_{name}.jsonl").write_text(re.sub(r', "(crc|check)": [0-9]+(?=}\n)', "", text))
    data = [f for f in good.iterdir() if f.suffix in (".npz", ".mat", ".h5", ".csv")]
    return [
        *(Kind(f"recording {file.name}", file, _recording) for file in sorted(data)),
        *(Kind(name, good / f"{name}.yaml", _yaml) for name in ("a", "bench", "station", "stack")),
        Kind("run folder", good / "run", _run),
        Kind("archive", good / "run.tar.gz", _archive),
        *(Kind(name, good / f"{name}.jsonl", _traffic) for name in ("traffic", "old_traffic")),
        *(Kind(name, good / f"{name}.jsonl", _calibration) for name in ("calibration", "old_calibration")),
    ]


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """The content with one to four wounds."""
    out = bytearray(content)
    for _ in range(random.integers(1, 5)):
        if not out:
            break
        at, how = int(random.integers(len(out))), int(random.integers(7))
        if how == 0:
            out[at] ^= 1 << int(random.integers(8))
        elif how == 1:
            del out[at:]
        elif how == 2:
            out[at : at + int(random.integers(1, 40))] = random.bytes(int(random.integers(0, 40)))
        elif how == 3:
            piece = out[at : at + int(random.integers(1, 200))]
            out[at:at] = piece * int(random.integers(1, 20))
        elif how == 4:
            out[at : at + 4] = random.choice([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\0\0\0\x80"])
        else:
            words = list(_WORD.finditer(bytes(out)))
            if words:
                one, other = (words[int(random.integers(len(words)))] for _ in range(2))
                new = other[0] if how == 5 else _BIG[int(random.integers(len(_BIG)))]
                out[one.start() : one.end()] = new
    return bytes(out)


@dataclass(frozen=True, slots=True)
class Trial:
    """A child that reads a file."""

    kind: Kind
    number: int
    place: Path
    pid: int
    begin: float

    @classmethod
    def of(cls, kind: Kind, number: int, folder: Path) -> Trial:
        """Begin to try one file."""
        place = folder / str(number)
        place.mkdir()
        pid = os.fork()
        if pid == 0:
            _child(kind, number, place)
        return cls(kind, number, place, pid, time.monotonic())

    def end(self) -> str | None:
        """What came of it: `read`, `refused`, or what is wrong; None as long as it goes on."""
        done, status = os.waitpid(self.pid, os.WNOHANG)
        if not done:
            if time.monotonic() - self.begin < _STANDSTILL:
                return None
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            status = signal.SIGXCPU
        ran = (self.place / "ran").exists()
        said = self.place / "said"
        words = said.read_text(encoding="utf-8") if said.exists() else "silent"
        shutil.rmtree(self.place, ignore_errors=True)
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            return "hang" if name == "SIGXCPU" else f"signal: {name}"
        return "code ran" if ran else words


def _child(kind: Kind, number: int, place: Path) -> None:
    """Make the file, read it, and leave a word on how it went; never returns."""
    words = "read"
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_CPU, (DEADLINE, DEADLINE + 2))  # a child's computing begins at 0
    try:
        with open(os.devnull, "w", encoding="utf-8") as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
        os.chdir(place)
        for name in ("own", "rhel", "sim", "numpy", "scipy"):
            (place / f"{name}.py").write_text(_CODE)
        random = np.random.default_rng([20, number])
        target = _copied(kind, place)
        files = sorted(file for file in target.rglob("*") if file.is_file()) if target.is_dir() else [target]
        victim = files[int(random.integers(len(files)))] if target.is_dir() else target
        victim.write_bytes(mutated(victim.read_bytes(), random))
        if number % _STARTED:
            apart.finished = _forked
        kind.read(target)
    except LabrhelError as error:
        words = "refused" if "\n" not in str(error) else f"more than one sentence: {error}"
    except MemoryError:
        words = "refused"
    except BaseException:
        words = f"traceback: {traceback.format_exc()[-600:]}"
    (place / "said").write_text(words, encoding="utf-8", errors="replace")
    os._exit(0)


def _copied(kind: Kind, place: Path) -> Path:
    copy = shutil.copytree if kind.good.is_dir() else shutil.copy
    return Path(copy(kind.good, place / kind.good.name))


def _forked(kind: str, file: Path, seconds: float) -> tuple[int, bytes]:
    """In place of `labrhel.data.apart.finished`: the same child, without starting Python and importing SciPy."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        with suppress(Exception), os.fdopen(writing, "w") as sys.stdout:
            readers.answer(kind, file)
            status = 0
        os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        words = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), words


def campaign(count: int, first: int = 0, told: Callable[[str], object] = lambda words: None) -> Tally:
    """Try `count` files from number `first` on."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CONFIG_HOME"], os.environ["LABRHEL_STATE"] = f"{name}/own", f"{name}/state"
        known = kinds(folder)
        (folder / "own.py").write_text(_CODE)  # trusted: only the rule of who imports holds it back
        trust.TrustList().add(trust.Code.named(folder / "own.py"))
        _warm(known, folder)
        numbers = iter(range(first, first + count))
        at_once = [trial for trial in (_next(numbers, known, folder) for _ in range(os.cpu_count() or 1)) if trial]
        while at_once:
            time.sleep(0.002)
            for trial in list(at_once):
                end = trial.end()
                if end is None:
                    continue
                at_once.remove(trial)
                tally.take(trial.number, trial.kind.name, end)
                if tally.ends.total() % 500 == 0:
                    told(f"from {first}, {tally.ends.total()} tried: {dict(tally.ends)} {tally.bad}")
                if follower := _next(numbers, known, folder):
                    at_once.append(follower)
    return tally


def _next(numbers: Iterator[int], known: list[Kind], folder: Path) -> Trial | None:
    number = next(numbers, None)
    return None if number is None else Trial.of(known[number % len(known)], number, folder)


def _warm(known: list[Kind], folder: Path) -> None:
    """Import and compile here what reading takes, and once for all children."""
    (folder / "warm").mkdir()
    with redirect_stdout(io.StringIO()):
        for kind in known:
            kind.read(_copied(kind, folder / "warm"))
    for reader in readers.READERS.values():
        reader.prepare()
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page


def _recording(file: Path) -> None:
    from labrhel.data.recording import columns, read_recording

    arrays, _ = read_recording(file)
    columns(arrays, ["u"], "input")


def _yaml(file: Path) -> None:
    validated(file)
    if file.name == "station.yaml":
        load_station(file)


def _run(folder: Path) -> None:
    reader = RunReader(folder)
    reader.verify()
    inspecting.show(str(folder), folder.parent)
    report(reader)
    session.planned_steps(folder, None)


def _archive(file: Path) -> None:
    try:
        with tarfile.open(file) as archive:
            archive.extractall(file.parent / "out", filter="data")
    except Exception:
        return  # unpacking is not labrhel's
    for folder in (file.parent / "out").iterdir():
        if folder.is_dir():
            _run(folder)


def _traffic(file: Path) -> None:
    ReplayedTraffic(file)


def _calibration(file: Path) -> None:
    record = CalibrationRecord(file.parent, _URL)
    assert record.file is not None
    record.file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, record.file)
    CalibrationRecord(file.parent, _URL).current()


def targets(count: int) -> Iterator[Figure]:
    """For the table of `benchmarks.targets`."""
    begin = time.monotonic()
    tally = campaign(count)
    words = ", ".join(f"{number} {end}" for end, number in sorted(tally.ends.items()))
    target = f"{count} mutated files: 0 tracebacks, signals, hangs over {DEADLINE} s, code executed"
    yield Figure(target, f"{words}, in {time.monotonic() - begin:.0f} s", not tally.bad)


def main() -> None:
    """Run the campaign and print its figures; exit status 1 if a file was bad."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--from", type=int, default=0, dest="first")
    asked = parser.parse_args()
    begin = time.monotonic()
    tally = campaign(asked.count, asked.first, lambda words: print(words, flush=True))
    for words in tally.bad:
        print(words)
    print(f"{asked.count} files in {time.monotonic() - begin:.0f} s: {dict(tally.ends)}")
    sys.exit(bool(tally.bad))


if __name__ == "__main__":
    main()
