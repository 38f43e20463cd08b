"""Random faults at random instants of runs and calibrations on a virtual bench: what was left on, and what was said.

    python -m benchmarks.fault_campaign [--seed N] [--count N] [--stops N] [--keep FILE]

Trial N is made from the seed N alone, so that a campaign is resumed by naming the next seed, and one trial repeated by
`--seed N --count 1`.  Kinds that need a disk of their own, to be filled or made read-only, mount a tmpfs where that is
allowed, and are left out elsewhere.  A trial is good if no output is on unsaid:

1. within 5 s of the wires being back every output is safe, or the command said OUTPUTS MAY STILL BE ON with status 3;
   where owner and guardian were killed, `labrhel estop` makes it safe;
2. the command ended within 15 s of a fault that ends it, without a traceback, in less than 500 MB.

An emergency stop under the same conditions is good if its status is 0 and nothing is on, or it is 3.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from drivers.testing.cut_wires import FAULTS, CutWire
from labrhel.safety import ledger
from labrhel.testing.waiting import wait_for
from simbackend.testing.benches import CONFIG, bench_and_station, volts
from simbackend.virtual_bench import Bench

PROCESSES = ("owner killed", "guardian killed", "both killed")
DISKS = ("state full", "state read-only", "journal full", "traffic full")
OTHERS = ("second client",)
KINDS = (*FAULTS, *PROCESSES, *OTHERS, *DISKS)
"""What a trial can try."""

BACK = 5.0
"""Seconds after the wires are back by which every output is safe, or was named."""
END = 15.0
"""Seconds after a fault by which the command has ended that the fault ends."""
MEMORY = 500e6
"""Bytes of memory that a command may take."""

_BEGIN = 180.0  # s for a command to have turned levels on, on a loaded machine
_GIVE_UP = 90.0  # s after which a command counts as hung
_LASTING = 4.0  # s that a command goes on with a fault that does not end it, before it is interrupted
_SAID = "OUTPUTS MAY STILL BE ON: "


@dataclass(frozen=True, slots=True)
class Trial:
    """One fault: what, to which command, when after its levels were on [s], on which wires; how many callers wait."""

    seed: int
    kind: str
    command: str
    instant: float
    wires: tuple[str, ...]
    callers: int

    @classmethod
    def of(cls, seed: int, kinds: Sequence[str]) -> Trial:
        """The trial of a seed."""
        rng = random.Random(seed)
        names = ["awg1", "awg2", "awg3", "awg4", "scope1", "scope2", "bias"]
        wires = tuple(names if rng.random() < 0.4 else rng.sample(names, rng.choice((1, 1, 2))))
        return cls(
            seed, kinds[seed % len(kinds)], rng.choice(("run", "run", "calibrate")), rng.uniform(0, 3), wires,
            rng.choice((0, 0, 10, 100)),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a trial: exit `status` (None: it hung), seconds until it ended and until all was safe, its words."""

    trial: Trial
    status: int | None
    ended: float
    safe: float | None
    said: bool
    memory: float
    words: str
    faults: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Lab:
    """A bench behind wires, a station file that names these, and a disk that can be filled, if there is one."""

    folder: Path
    bench: Bench
    station: Path
    wires: dict[str, CutWire]
    disk: Path | None

    def are_on(self) -> bool:
        """Whether any output is away from 0 V."""
        with self.bench.clock.lock:
            levels = [self.bench.world.volts(f"bias.ch{number}") for number in range(1, 16)]
        return any(levels) or any(volts(self.bench))

    def levels_are_on(self) -> bool:
        """Whether a command has turned levels on."""
        with self.bench.clock.lock:
            return any(self.bench.world.volts(f"bias.ch{number}") for number in range(1, 16))


@contextmanager
def lab(*, disk: bool) -> Iterator[Lab]:
    """A bench for many trials."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as open_:
        folder = Path(name)
        text = CONFIG.replace("steps: 1", "steps: 100000").replace("record: none", "record: none, eps: 0.1")
        (folder / "config.yaml").write_text(text, encoding="utf-8")
        bench, station = open_.enter_context(bench_and_station(folder))
        wires, text = {}, station.read_text(encoding="utf-8")
        for box, host, port in re.findall(r"^  (\w+): .*?TCPIP::([\d.]+)::(\d+)::SOCKET", text, re.MULTILINE):
            wires[box] = CutWire((host, int(port)))
            open_.callback(wires[box].close)
            text = text.replace(f"::{port}::SOCKET", f"::{wires[box].port}::SOCKET")
        station.write_text(text, encoding="utf-8")
        yield Lab(folder, bench, station, wires, open_.enter_context(_small_disk(folder)) if disk else None)


def attempt(lab: Lab, trial: Trial) -> Found:
    """Begin the command, do the harm, wait for the end, mend, and look."""
    place = Path(tempfile.mkdtemp(dir=lab.folder))
    state = lab.disk / "state" if lab.disk and trial.kind.startswith("state") else place / "state"
    runs = lab.disk / "runs" if lab.disk and trial.kind == "journal full" else place / "runs"
    traffic = f"?traffic={lab.disk / 'traffic'}" if lab.disk and trial.kind == "traffic full" else ""
    os.environ["LABRHEL_STATE"] = str(state)
    said = place / "said"
    process = _begin(lab, trial, runs, traffic, said)
    try:
        wait_for(lambda: process.poll() is not None or lab.levels_are_on(), "levels that are on", _BEGIN)
        time.sleep(trial.instant)
        if process.poll() is not None:
            raise RuntimeError(f"trial {trial.seed} ended before its fault: {said.read_text()}")
        harm = _Harm(lab, trial, process)
        begin = time.monotonic()
        harm.do()
        status, memory = _ended(process, lasting=not harm.ends)
        ended = time.monotonic() - begin
    finally:
        process.kill()
        process.wait()
    words = said.read_text(errors="replace")
    harm.undo()
    back = time.monotonic()
    if trial.kind == "both killed":  # nobody is left who could: the next word has to
        _estop(state)
        back = time.monotonic()
    safe: float | None = None
    while time.monotonic() - back < 4 * BACK:
        if not lab.are_on():
            safe = time.monotonic() - back
            break
        time.sleep(0.02)
    if safe is None:
        _estop(state)
    found = Found(trial, status, ended, safe, _SAID in words, memory, words[-2000:])
    _clean(lab)
    return _judged(found, harm)


class _Harm:
    """The fault of a trial, and how it is undone.  `ends`: whether a command must end by it."""

    def __init__(self, lab: Lab, trial: Trial, process: subprocess.Popen[bytes]) -> None:
        self._lab, self._trial, self._process = lab, trial, process
        lasting = ("guardian killed", "second client", *DISKS)
        self.ends = trial.kind not in lasting or (trial.kind, trial.command) == ("journal full", "run")

    def do(self) -> None:
        """Do it."""
        kind, lab = self._trial.kind, self._lab
        if kind in FAULTS:
            for name in self._trial.wires:
                lab.wires[name].spoil(kind)
        if kind in ("guardian killed", "both killed"):
            for pid in _guardians(self._process.pid):
                os.kill(pid, signal.SIGKILL)
        if kind in ("owner killed", "both killed"):
            self._process.kill()
        if kind == "second client":
            for name in self._trial.wires:
                _meddle(lab.wires[name].port)
        if kind.endswith("full") and lab.disk:
            _fill(lab.disk)
        if kind == "state read-only" and lab.disk:
            _mount("-o", "remount,ro", str(lab.disk))

    def undo(self) -> None:
        """Mend it."""
        kind, lab = self._trial.kind, self._lab
        if kind in FAULTS:
            for name in self._trial.wires:
                lab.wires[name].mend()
        if kind == "state read-only" and lab.disk:
            _mount("-o", "remount,rw", str(lab.disk))
        if kind.endswith("full") and lab.disk:
            (lab.disk / "filling").unlink(missing_ok=True)


def _begin(lab: Lab, trial: Trial, runs: Path, traffic: str, said: Path) -> subprocess.Popen[bytes]:
    url, config = f"bench:{lab.station}{traffic}", str(lab.folder / "config.yaml")
    words = ["run", config, "--rig", url, "--out", str(runs)]
    if trial.command == "calibrate":
        words = ["calibrate", url, "--config", config, "--calibrations", str(runs)]
    with said.open("wb") as out:  # not a pipe, which a guardian would hold open
        return subprocess.Popen(
            [sys.executable, "-m", "labrhel", *words], cwd=lab.folder, stdout=out, stderr=subprocess.STDOUT
        )


def _ended(process: subprocess.Popen[bytes], *, lasting: bool) -> tuple[int | None, float]:
    """Exit status, None if it hangs, and memory [bytes]; a command that goes on with its fault is interrupted."""
    begin, interrupted = time.monotonic(), not lasting
    while (now := time.monotonic()) < begin + _GIVE_UP:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, 1024.0 * usage.ru_maxrss
        if not interrupted and now > begin + _LASTING:
            process.send_signal(signal.SIGINT)
            interrupted = True
        time.sleep(0.02)
    return None, 0.0


def _judged(found: Found, harm: _Harm) -> Found:
    faults = []
    kind = found.trial.kind
    if found.status is None:
        faults.append("it hung")
    elif harm.ends and kind not in PROCESSES and found.ended > END:
        faults.append(f"it took {found.ended:.1f} s to end")
    in_time = found.safe is not None and found.safe <= BACK
    if not in_time and not (found.said and found.status == 3):
        faults.append("outputs were left on unsaid")
    if found.safe is None:
        faults.append("outputs were left on for good")
    if "Traceback" in found.words:
        faults.append("a traceback")
    if found.memory > MEMORY:
        faults.append(f"it took {found.memory / 1e6:.0f} MB")
    return Found(**{name: getattr(found, name) for name in Found.__slots__ if name != "faults"}, faults=tuple(faults))


def stop(lab: Lab, trial: Trial) -> tuple[Trial, int, float | None, tuple[str, ...]]:
    """An emergency stop under the conditions of a trial: its status, the slowest program [ms], and what was wrong."""
    place = Path(tempfile.mkdtemp(dir=lab.folder))
    state = lab.disk / "state" if lab.disk and trial.kind.startswith("state") else place / "state"
    os.environ["LABRHEL_STATE"] = str(state)
    process = _begin(lab, trial, place / "runs", "", place / "said")
    idle: list[socket.socket] = []
    try:
        wait_for(lambda: process.poll() is not None or lab.levels_are_on(), "levels that are on", _BEGIN)
        time.sleep(trial.instant)
        for file in (state / "rigs").glob("*.json"):
            port = json.loads(file.read_text())["port"]
            idle += [socket.create_connection(("127.0.0.1", port)) for _ in range(trial.callers)]
        harm = _Harm(lab, trial, process)
        harm.do()
        status, words = _estop(state)
        on = lab.are_on()
        harm.undo()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GIVE_UP)
    finally:
        process.kill()
        process.wait()
        for one in idle:
            one.close()
    faults = [] if status == 3 or not on else ["status 0 with an output on"]
    faults += ["a traceback"] if "Traceback" in words else []
    took = [float(number) for number in re.findall(r"safe after (\d+) ms", words)]
    with suppress(AssertionError):
        wait_for(lambda: not lab.are_on(), "the guardian", 4 * BACK)
    if lab.are_on():
        _estop(state)
    _clean(lab)
    return trial, status, max(took, default=None), tuple(faults)


def _estop(state: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "labrhel", "estop"], capture_output=True, text=True, timeout=_GIVE_UP, check=False,
        env=os.environ | {"LABRHEL_STATE": str(state)},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def _clean(lab: Lab) -> None:
    for item in ledger.left():
        item.forget()
    if lab.disk:
        for file in sorted(lab.disk.rglob("*"), reverse=True):
            with suppress(OSError):
                file.rmdir() if file.is_dir() else file.unlink()


def _guardians(owner: int) -> list[int]:
    asked = subprocess.run(["pgrep", "-P", str(owner), "-f", "drivers.guardian"], capture_output=True, check=False)
    return [int(pid) for pid in asked.stdout.split()]


def _meddle(port: int) -> None:
    """Another program, without a lease, changes settings of an instrument."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as wire:
        wire.sendall(b":SOUR1:FUNC SIN\n:SOUR1:VOLT 0.5\n:TIM:SCAL 1e-3\n:CHAN1:SCAL 0.01\nsour1:volt 0.1\n")
        time.sleep(0.05)


def _fill(disk: Path) -> None:
    with suppress(OSError), (disk / "filling").open("wb", buffering=0) as out:
        while True:
            out.write(bytes(1 << 12))


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path | None]:
    disk = folder / "disk"
    disk.mkdir()
    if not _mount("-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)):
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def _mount(*words: str) -> bool:
    with suppress(OSError):
        return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0
    return False


def _line(found: Found) -> str:
    safe = "never" if found.safe is None else f"after {found.safe:.2f} s"
    words = f"{found.trial.kind}, {found.trial.command}: status {found.status} after {found.ended:.1f} s, safe {safe}"
    return "; ".join([words, *(["said so"] if found.said else []), *map(str.upper, found.faults)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run trials, print each, and a table of tried and failed; 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="the first trial's")
    parser.add_argument("--count", type=int, default=150, help="of faults")
    parser.add_argument("--stops", type=int, default=100, help="emergency stops")
    parser.add_argument("--keep", type=Path, help="append every trial to this file, a line of JSON each")
    chosen = parser.parse_args(arguments)
    tried: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    with lab(disk=True) as place:
        kinds = [kind for kind in KINDS if place.disk or kind not in DISKS]
        for seed in range(chosen.seed, chosen.seed + chosen.count):
            found = attempt(place, Trial.of(seed, kinds))
            print(f"{seed}: {_line(found)}", flush=True)
            if chosen.keep:
                with chosen.keep.open("a") as out:
                    out.write(json.dumps(asdict(found)) + "\n")
            tried[found.trial.kind] += 1
            failed[found.trial.kind] += bool(found.faults)
        for seed in range(chosen.seed, chosen.seed + chosen.stops):
            trial, status, took, faults = stop(place, Trial.of(seed, kinds))
            name = f"stop, {trial.kind}"
            words = f"{trial.callers} idle callers: status {status}, {took} ms {'; '.join(faults)}"
            print(f"{seed}: {name}, {words}", flush=True)
            tried[name] += 1
            failed[name] += bool(faults)
    for kind, count in tried.items():
        print(f"{kind:30} {count:4} tried {failed[kind]:4} failed")
    return int(any(failed.values()))


if __name__ == "__main__":
    sys.exit(main())
