"""Mutated files of every kind that is read: one sentence each, never a traceback, a signal, a hang, or code that ran.

    python -m benchmarks.hostile_files                    # 10,000, half an hour on two cores
    python -m benchmarks.hostile_files --count 150        # as the tests do
    python -m benchmarks.hostile_files --from 5000        # go on from there: number and seed are one

Each number makes one file by its own seed: a good one of a kind, with bits flipped, cut, stretched, words exchanged,
or numbers blown up; then it is given to what reads that kind, in a child that is forked from a program which has all
imported and has read one good file of each kind.  A child reads one file of each kind; what ends it before it is done
is the file that it was reading, and another child goes on with the next.  Readers apart are forked as well, since
starting them costs more than reading; every 40th number starts one as users do, and draws the pictures of a report.
What is looked for: an exception that is none of labrhel's, a signal, more than 10 s of computing, a minute without
an end, and the file that code beside the configuration leaves if it runs.
"""

from __future__ import annotations

import gc
import io
import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import sys
import tarfile
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.campaign import Outcome, Tally, asked, pursue, say, told
from benchmarks.figure import Figure
from benchmarks.forked_reader import read_in_fork
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

_STANDSTILL = 300.0  # s without an end, which on a loaded machine computing for 10 s does not take

_STARTED = 40  # one number in so many starts its reader apart as users do

_BIG = tuple(b"1000000000 1e308 -1 0 .inf .nan 99999999999999999999 null [] {} *a own.py:Name [[[[[[[[ true".split())
_URL = "sim:x"
_CODE = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\ndef Name(*a, **k): ...\n"
_DATABASE = """
    CREATE TABLE runs (run_id INTEGER, result_table_name TEXT);
    CREATE TABLE layouts (layout_id INTEGER, run_id INTEGER, parameter TEXT, unit TEXT);
    INSERT INTO runs VALUES (1, 'shots');
    INSERT INTO layouts VALUES (1, 1, 'u', 'V'), (2, 1, 'y', 'V');
    CREATE TABLE shots (id INTEGER, u BLOB, y BLOB);
"""
_LABVIEW = (
    "LabVIEW Measurement\t\nSeparator\tTab\nDecimal_Separator\t.\n***End_of_Header***\t\n\nChannels\t2\t\n"
    "Y_Unit_Label\tVolts\tVolts\nDelta_X\t1.0\t1.0\n***End_of_Header***\t\t\nX_Value\tu\ty"
)
_WORD = re.compile(rb"[A-Za-z_][A-Za-z_0-9]*|-?[0-9][0-9.e+-]*")


@dataclass(frozen=True, slots=True)
class Kind:
    """A good file, or a folder of them, and what reads it."""

    name: str
    good: Path
    read: Callable[[Path, int], object]


def kinds(folder: Path) -> list[Kind]:
    """One of each kind, made in `folder`."""
    good = folder / "good"
    good.mkdir()
    recordings = _recordings(good)
    (good / "a.yaml").write_text(SMALL.replace("{record: every 3}", "{record: all, eps: 0.001}"))
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
    return [
        *(Kind(f"recording {file.name}", file, _recording) for file in recordings),
        *(Kind(name, good / f"{name}.yaml", _yaml) for name in ("a", "bench", "station", "stack")),
        Kind("run folder", good / "run", _run),
        Kind("archive", good / "run.tar.gz", _archive),
        *(Kind(name, good / f"{name}.jsonl", _traffic) for name in ("traffic", "old_traffic")),
        *(Kind(name, good / f"{name}.jsonl", _calibration) for name in ("calibration", "old_calibration")),
    ]


def _recordings(good: Path) -> list[Path]:
    """A recording of every format that is read; returns the files."""
    import h5py
    import xarray
    from scipy.io import savemat

    t = np.arange(200.0)
    arrays = {"u": np.sin(t), "y": np.cos(t), "fs": np.array([500.0])}
    rows = np.stack([arrays["u"], arrays["y"]], axis=1)
    np.save(good / "lab.npy", rows)
    np.savez(good / "lab.npz", u=arrays["u"], y=arrays["y"], fs=arrays["fs"])
    np.savez_compressed(good / "packed.npz", u=arrays["u"], y=arrays["y"], fs=arrays["fs"])
    savemat(good / "lab.mat", {**arrays, "cells": np.array([[1, "a"]], object)})
    savemat(good / "packed.mat", arrays, do_compression=True)
    savemat(good / "old.mat", arrays, format="4")
    with h5py.File(good / "lab.h5", "w") as file:
        for name, values in arrays.items():
            file[name] = values
    of_t = xarray.Dataset(
        {name: ("t", arrays[name], {"units": "mV"}) for name in "uy"}, {"t": ("t", t, {"units": "s"})}
    )
    of_t.to_netcdf(good / "lab.nc", engine="h5netcdf")
    of_t.to_netcdf(good / "old.nc", engine="scipy")
    with closing(sqlite3.connect(good / "lab.db")) as database:
        database.executescript(_DATABASE)
        database.execute("INSERT INTO shots VALUES (1, ?, ?)", [(good / "lab.npy").read_bytes()] * 2)
        database.commit()
    np.savetxt(good / "lab.csv", rows, delimiter=",", header="u,y", comments="")
    np.savetxt(good / "lab.tsv", rows, delimiter="\t", header="u [mV]\ty [mV]", comments="")
    np.savetxt(good / "lab.lvm", np.column_stack([t, rows]), delimiter="\t", header=_LABVIEW, comments="")
    return sorted(good.iterdir())


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


class Batch:
    """A child that reads files, one number after the other; `begin` is when the last of them was begun [s]."""

    def __init__(self, numbers: Sequence[int], known: Sequence[Kind], folder: Path) -> None:
        self.numbers, self.begin = list(numbers), time.monotonic()
        self._known, self._folder, self._left = known, folder, list(numbers)
        reading, writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(reading)
            _child(numbers, known, folder, writing)
        os.close(writing)
        os.set_blocking(reading, False)
        self._answers, self._held = reading, b""

    def ended(self) -> Iterator[Outcome]:
        """Those numbers whose end is known by now."""
        done, status = os.waitpid(self._pid, os.WNOHANG) if self._left else (0, 0)
        if not done and self._left and time.monotonic() - self.begin > _STANDSTILL:
            os.killpg(self._pid, signal.SIGKILL)
            done, status = os.waitpid(self._pid, 0)[0], signal.SIGXCPU
        with suppress(BlockingIOError):
            while piece := os.read(self._answers, 1 << 16):
                self._held += piece
        *lines, self._held = self._held.split(b"\n")
        for words in map(json.loads, lines):
            self.begin = time.monotonic()
            yield self._outcome(self._left.pop(0), words)
        if done and self._left:
            name = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"status {status}"
            yield self._outcome(self._left.pop(0), "hang" if name == "SIGXCPU" else f"signal: {name}")
        if done:
            os.close(self._answers)

    def left(self) -> list[int]:
        """Numbers that it did not come to."""
        return self._left

    @property
    def is_over(self) -> bool:
        """Whether the child has nothing more to say."""
        try:
            os.fstat(self._answers)
        except OSError:
            return True
        return not self._left and self._reaped()

    def _reaped(self) -> bool:
        os.waitpid(self._pid, 0)
        os.close(self._answers)
        return True

    def _outcome(self, number: int, words: str) -> Outcome:
        place = self._folder / str(number)
        words = "code ran" if (place / "ran").exists() else words
        shutil.rmtree(place, ignore_errors=True)
        good = words in ("read", "refused")
        return Outcome(number, _kind(number, self._known).name, words, () if good else (words,))


def _kind(number: int, known: Sequence[Kind]) -> Kind:
    return known[number % len(known)]


def _child(numbers: Sequence[int], known: Sequence[Kind], folder: Path, answers: int) -> None:
    """Make each file, read it, and say how it went; never returns."""
    os.setpgid(0, 0)
    with open(os.devnull, "w", encoding="utf-8") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    finished = apart.finished
    for number in numbers:
        used = resource.getrusage(resource.RUSAGE_SELF)
        computed = int(used.ru_utime + used.ru_stime)
        resource.setrlimit(resource.RLIMIT_CPU, (computed + DEADLINE + 1, resource.RLIM_INFINITY))
        apart.finished = read_in_fork if number % _STARTED else finished
        words = _tried(number, _kind(number, known), folder / str(number))
        os.write(answers, json.dumps(words).encode() + b"\n")
    os._exit(0)


def _tried(number: int, kind: Kind, place: Path) -> str:
    try:
        place.mkdir()
        os.chdir(place)
        for name in ("own", "rhel", "sim", "numpy", "scipy"):
            (place / f"{name}.py").write_text(_CODE)
        random = np.random.default_rng([20, number])
        target = _copied(kind, place)
        files = sorted(file for file in target.rglob("*") if file.is_file()) if target.is_dir() else [target]
        victim = files[int(random.integers(len(files)))]
        victim.write_bytes(mutated(victim.read_bytes(), random))
        kind.read(target, number)
    except LabrhelError as error:
        return "refused" if "\n" not in str(error) else f"more than one sentence: {error}"
    except MemoryError:
        return "refused"
    except BaseException:
        return f"traceback: {traceback.format_exc()[-600:]}"
    return "read"


def _copied(kind: Kind, place: Path) -> Path:
    copy = shutil.copytree if kind.good.is_dir() else shutil.copy
    return Path(copy(kind.good, place / kind.good.name))


def outcomes(seeds: range) -> Iterator[Outcome]:
    """Files of each number, in batches of one of each kind, as many children at once as there are processors."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CONFIG_HOME"], os.environ["LABRHEL_STATE"] = f"{name}/own", f"{name}/state"
        known = kinds(folder)
        (folder / "own.py").write_text(_CODE)  # trusted: only the rule of who imports holds it back
        trust.TrustList().add(trust.Code.named(folder / "own.py"))
        _warm(known, folder)
        waiting = [seeds[at : at + len(known)] for at in range(0, len(seeds), len(known))]
        at_once: list[Batch] = []
        while waiting or at_once:
            while waiting and len(at_once) < (os.cpu_count() or 1):
                at_once.append(Batch(waiting.pop(0), known, folder))
            time.sleep(0.005)
            for batch in list(at_once):
                yield from batch.ended()
                if batch.is_over:
                    at_once.remove(batch)
                    waiting += [batch.left()] if batch.left() else []


def campaign(seeds: range, keep: Path | None = None, say: Callable[[str], object] = print) -> Tally:
    """Try a file of each number."""
    return pursue(outcomes(seeds), keep, say, every=500)


def _warm(known: list[Kind], folder: Path) -> None:
    """Import and compile here what reading takes, and once for all children."""
    for reader in readers.READERS.values():
        reader.prepare()
    apart.finished, finished = read_in_fork, apart.finished
    (folder / "warm").mkdir()
    with redirect_stdout(io.StringIO()):
        for kind in known:
            kind.read(_copied(kind, folder / "warm"), 0)
    apart.finished = finished
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page


def _recording(file: Path, number: int) -> None:
    from labrhel.data.recording import columns, read_recording

    arrays, _ = read_recording(file)
    columns(arrays, list(arrays)[:1] or ["u"], "input")


def _yaml(file: Path, number: int) -> None:
    validated(file)
    if file.name == "station.yaml":
        load_station(file)


def _run(folder: Path, number: int) -> None:
    reader = RunReader(folder)
    reader.verify()
    inspecting.show(str(folder), folder.parent, {})
    if number % _STARTED == 0:  # its pictures take seconds
        report(reader)
    session.planned_steps(folder, None)


def _archive(file: Path, number: int) -> None:
    try:
        with tarfile.open(file) as archive:
            archive.extractall(file.parent / "out", filter="data")
    except Exception:
        return  # unpacking is not labrhel's
    for folder in (file.parent / "out").iterdir():
        if folder.is_dir():
            _run(folder, number)


def _traffic(file: Path, number: int) -> None:
    ReplayedTraffic(file)


def _calibration(file: Path, number: int) -> None:
    record = CalibrationRecord(file.parent, _URL)
    assert record.file is not None
    record.file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, record.file)
    CalibrationRecord(file.parent, _URL).current()


def targets(count: int = 10_000) -> Iterator[Figure]:
    """For the table of `benchmarks.targets`."""
    tally = campaign(range(count), say=lambda words: None)
    words = ", ".join(f"{number} {end}" for end, number in sorted(tally.ends.items()))
    yield Figure(
        f"{count} mutated files: 0 tracebacks, signals, hangs over {DEADLINE} s, code run", words, not tally.bad
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign and print its figures; exit status 1 if a file was bad."""
    chosen = asked(__doc__, 10_000, arguments)
    tally = campaign(range(chosen.first, chosen.first + chosen.count), chosen.keep, say)
    print(dict(tally.ends))
    return told(tally)


if __name__ == "__main__":
    sys.exit(main())
