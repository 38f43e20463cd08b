"""Commands that campaigns call: forked from a process that has imported what they take, or started as users do.

Starting Python and importing takes seconds of computing, which is most of a trial, and is where most random instants
would fall.  An instant counts from when the command handles signals, which Linux tells.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

from labrhel.testing.waiting import wait_for

OWN_START = 8
"""One seed in so many starts Python."""

_IMPORTED = (
    "labrhel.cli.app", "labrhel.cli.rig_commands", "labrhel.cli.recorded", "labrhel.cli.running",
    "labrhel.cli.calibrating", "labrhel.cli.inspecting", "labrhel.records.plots", "labrhel.records.export",
    "labrhel.conformance", "simbackend.rigs.simulated", "simbackend.virtual_bench", "drivers.bench.rig",
    "calibration.campaign", "protocols.rhel", "xarray", "h5netcdf", "h5py", "scipy.optimize", "matplotlib.figure",
)  # fmt: skip

FORKED = multiprocessing.get_context("forkserver")
"""Makes processes that have imported all that."""
FORKED.set_forkserver_preload(list(_IMPORTED))  # before anybody starts the first one


class Command:
    """`labrhel WORDS` in a folder, with settings of its environment, whose words go to the file `said`."""

    def __init__(
        self, words: Sequence[str], folder: Path, said: Path, settings: Mapping[str, str], *, started: bool = False
    ) -> None:
        self._said, self._memory = said, 0.0
        self._process: BaseProcess | subprocess.Popen[bytes]
        if started:
            with said.open("wb") as out:  # not a pipe, which a guardian would hold open
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "labrhel", *words], cwd=folder, stdout=out, stderr=subprocess.STDOUT,
                    env=os.environ | settings,
                )  # fmt: skip
        else:
            self._process = FORKED.Process(target=_called, args=(list(words), folder, said, dict(settings)))
            self._process.start()
        wait_for(lambda: self.status() is not None or self._handles(), "handlers of signals")

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid or 0

    def send(self, name: str) -> None:
        """Send a signal; none to what has ended."""
        if self.status() is None and self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.Signals[f"SIG{name}"])

    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        process = self._process
        return process.poll() if isinstance(process, subprocess.Popen) else process.exitcode

    def ended_within(self, patience: float) -> int | None:
        """Its exit status when it has ended; None if it goes on after so many seconds."""
        until = time.monotonic() + patience
        while self.status() is None and time.monotonic() < until:
            self._look()
            time.sleep(0.01)
        return self.status()

    def ended(self, patience: float) -> int | None:
        """Its exit status when it has ended; None if it hangs for so many seconds: it is killed then."""
        if (status := self.ended_within(patience)) is None:
            self._process.kill()
        return status

    def said(self) -> str:
        """All that it said."""
        return self._said.read_text(errors="replace") if self._said.exists() else ""

    @property
    def memory(self) -> float:
        """The most that it was seen to take [bytes]."""
        return self._memory

    def _look(self) -> None:
        with suppress(OSError, StopIteration):
            self._memory = 1024.0 * int(self._told("VmHWM"))

    def _handles(self) -> bool:
        with suppress(OSError, StopIteration):
            return bool(int(self._told("SigCgt"), 16) >> (signal.SIGTERM - 1) & 1)
        return False

    def _told(self, name: str) -> str:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(line.split()[1] for line in status.splitlines() if line.startswith(name))


def _called(words: list[str], folder: Path, said: Path, settings: dict[str, str]) -> None:
    """The forked process."""
    from labrhel.cli import main

    os.environ.update(settings)
    os.chdir(folder)
    out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.argv = ["labrhel", *words]
    main()
