"""A bench behind wires that can be spoiled, a disk that can be filled, and faults that are put into a command.

Trial N is made from the seed N alone.  Kinds that need a disk of their own, to be filled or made read-only, mount a
tmpfs where that is allowed, and are left out elsewhere.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.commands import OWN_START, Command
from drivers.testing.cut_wires import FAULTS, CutWire
from labrhel.safety import ledger, places
from labrhel.testing.waiting import wait_for
from simbackend.testing.benches import CONFIG, bench_and_station
from simbackend.virtual_bench import Bench

PROCESSES = ("owner killed", "guardian killed", "both killed")
DISKS = ("state full", "state read-only", "journal full", "traffic full")
OTHERS = ("second client",)
KINDS = (*FAULTS, *PROCESSES, *OTHERS, *DISKS)
"""What a trial can try."""

GIVE_UP = 90.0
"""Seconds after which a command counts as hung."""

_BOXES = ("awg1", "awg2", "awg3", "awg4", "scope1", "scope2", "bias")
_OUTPUTS = (
    *(f"awg{box}.ch{channel}" for box in (1, 2, 3, 4) for channel in (1, 2)),
    *(f"bias.ch{number}" for number in range(1, 16)),
)
_BEGIN = 180.0  # s for a command to have turned levels on, on a loaded machine


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
        wires = tuple(_BOXES if rng.random() < 0.4 else rng.sample(_BOXES, rng.choice((1, 1, 2))))
        return cls(
            seed, kinds[seed % len(kinds)], rng.choice(("run", "run", "calibrate")), rng.uniform(0, 3), wires,
            rng.choice((0, 0, 10, 100)),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lab:
    """A bench behind wires, a station file that names these, and a disk that can be filled, if there is one."""

    folder: Path
    bench: Bench
    station: Path
    wires: dict[str, CutWire]
    disk: Path | None

    @property
    def kinds(self) -> tuple[str, ...]:
        """What can be tried here."""
        return tuple(kind for kind in KINDS if self.disk or kind not in DISKS)

    def on(self, *, but: Sequence[str] = ()) -> list[str]:
        """The outputs that are away from 0 V, but those of some instruments."""
        with self.bench.clock.lock:
            names = [name for name in _OUTPUTS if name.partition(".")[0] not in but]
            return [name for name in names if self.bench.world.volts(name)]

    def restore(self) -> None:
        """Every instrument as after switching it on, so that no trial inherits anything."""
        with self.bench.clock.lock:
            for host in self.bench.hosts.values():
                host.device.errors.clear()
                host.device.restore()

    def levels_are_on(self) -> bool:
        """Whether a command has turned levels on."""
        return any(name.startswith("bias") for name in self.on())


@contextmanager
def lab(*, disk: bool) -> Iterator[Lab]:
    """A bench for many trials."""
    # A guardian that was killed a moment ago may still write its last line there.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, ExitStack() as open_:
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


class Attempt:
    """The command of a trial, in folders of its own, with its levels on; `harm` does what the trial is about."""

    def __init__(self, lab: Lab, trial: Trial) -> None:
        self.lab, self.trial = lab, trial
        self.place = Path(tempfile.mkdtemp(dir=lab.folder))
        small = self.place if lab.disk is None else Path(tempfile.mkdtemp(dir=lab.disk))
        self.state = (small if trial.kind.startswith("state") else self.place) / "state"
        self.state.mkdir(mode=0o700)
        self._small = small
        lasting = ("guardian killed", "second client", *DISKS)
        self.ends = trial.kind not in lasting or (trial.kind, trial.command) == ("journal full", "run")
        os.environ["LABRHEL_STATE"] = str(self.state)
        self.command = self._begun()

    def wait_for_levels(self) -> None:
        """Until they are on, and the instant of the trial has come; RuntimeError if the command ended before."""
        wait_for(lambda: self.command.status() is not None or self.lab.levels_are_on(), "levels that are on", _BEGIN)
        time.sleep(self.trial.instant)
        if self.command.status() is not None:
            raise RuntimeError(f"trial {self.trial.seed} ended before its fault: {self.command.said()}")

    @property
    def spoiled(self) -> tuple[str, ...]:
        """The instruments that cannot be reached while the harm lasts."""
        return self.trial.wires if self.trial.kind in FAULTS else ()

    def harm(self) -> None:
        """Do it; RuntimeError if it cannot be done."""
        kind, lab = self.trial.kind, self.lab
        for name in self.spoiled:
            lab.wires[name].spoil(kind)
        if kind in ("guardian killed", "both killed"):
            guardians = _guardians(self.command.pid)
            if not guardians:
                raise RuntimeError("there is no guardian to be killed")
            for pid in guardians:
                os.kill(pid, signal.SIGKILL)
        if kind in ("owner killed", "both killed"):
            self.command.send("KILL")
        if kind == "second client":
            _meddle([lab.wires[name].port for name in sorted(self.trial.wires, reverse=True)])  # levels early
        if kind.endswith("full") and lab.disk:
            _fill(lab.disk)
        if kind == "state read-only":  # as for a file system that was found damaged: what is open stays open
            _mount("--bind", str(self.state), str(self.state))
            _mount("-o", "remount,ro,bind", str(self.state))

    def mend(self) -> None:
        """Undo the harm."""
        for name in self.spoiled:
            self.lab.wires[name].mend()
        if self.trial.kind == "state read-only":
            subprocess.run(["umount", "-l", str(self.state)], check=False, capture_output=True)
        if self.lab.disk:
            (self.lab.disk / "filling").unlink(missing_ok=True)

    def close(self) -> None:
        """End the command if it goes on, and take everything away."""
        self.command.send("KILL")
        self.command.ended(GIVE_UP)
        self.mend()
        for item in ledger.left():
            item.forget()
        self.lab.restore()
        for folder in (self.place, self._small, *places.folders(self.state)):
            shutil.rmtree(folder, ignore_errors=True)

    def _begun(self) -> Command:
        runs = (self._small if self.trial.kind == "journal full" else self.place) / "runs"
        traffic = f"?traffic={self._small / 'traffic'}" if self.trial.kind == "traffic full" else ""
        url, config = f"bench:{self.lab.station}{traffic}", str(self.lab.folder / "config.yaml")
        words = ["run", config, "--rig", url, "--out", str(runs)]
        if self.trial.command == "calibrate":
            words = ["calibrate", url, "--config", config, "--calibrations", str(runs)]
        started = self.trial.seed % OWN_START == OWN_START - 1
        settings = {"LABRHEL_STATE": str(self.state)}
        return Command(words, self.lab.folder, self.place / "said", settings, started=started)


def estop(state: Path) -> tuple[int, str]:
    """`labrhel estop` by a program of its own: exit status and words."""
    done = subprocess.run(
        [sys.executable, "-m", "labrhel", "estop"], capture_output=True, text=True, timeout=GIVE_UP, check=False,
        env=os.environ | {"LABRHEL_STATE": str(state)},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def _guardians(owner: int) -> list[int]:
    asked = subprocess.run(["pgrep", "-P", str(owner), "-f", "drivers.guardian"], capture_output=True, check=False)
    return [int(pid) for pid in asked.stdout.split()]


def _meddle(ports: Sequence[int]) -> None:
    """Another program, without a lease, changes settings of instruments, all at once: what it does later is its own."""
    with ExitStack() as opened:
        wires = [opened.enter_context(socket.create_connection(("127.0.0.1", port), 2)) for port in ports]
        for wire in wires:
            wire.sendall(b"sour1:volt 0.1\n:SOUR1:FUNC SIN\n:SOUR1:VOLT 0.5\n:TIM:SCAL 1e-3\n:CHAN1:SCAL 0.01\n")
        time.sleep(0.05)


def _fill(disk: Path) -> None:
    with suppress(OSError), (disk / "filling").open("wb", buffering=0) as out:
        while True:
            out.write(bytes(1 << 12))


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path | None]:
    disk = folder / "disk"
    disk.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk))
    except (OSError, RuntimeError):
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"mount {' '.join(words)}: {done.stderr}")
