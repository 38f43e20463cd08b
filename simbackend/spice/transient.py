"""One simulation: a deck, a process, the waveforms that came back.

ngspice is started anew for each, with no start-up file (`-n`), in an empty folder of its own that is gone afterwards,
and never through a shell.  The integration is the trapezoidal rule at a constant step (no control by its error, which
would cut the steps of an echo elsewhere than those of its forward pass): it is reversible and loses no energy, and its
error, (omega h)^2/12 of every frequency, is that of a circuit whose parts are slightly others.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import InstrumentError

SLOWEST = 300.0  # [s] after which a simulation is given up

_NAME = "circuit"
_MESSAGES = ("error", "singular", "too small", "unknown", "could not", "can't find")


class Simulator:
    """Runs decks, as many at once as threads ask; `stop` ends them, and whoever waits gets an InstrumentError."""

    def __init__(self) -> None:
        self.program = shutil.which("ngspice")
        if self.program is None:
            raise InstrumentError("spice: rigs run in ngspice, which is not installed: sudo apt install ngspice")
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()

    def run(self, deck: Sequence[str]) -> dict[str, Array]:
        """What the deck saves (points,) by its name, and `time` [s]."""
        with tempfile.TemporaryDirectory(prefix="labrhel-spice-") as folder:
            file, raw = Path(folder, f"{_NAME}.cir"), Path(folder, f"{_NAME}.raw")
            file.write_text("\n".join(("labrhel", *deck, ".end", "")), encoding="latin-1")
            said = self._said(folder)
            if not raw.is_file() or "aborted" in said:
                raise InstrumentError(f"ngspice did not simulate the circuit: {_reason(said)}")
            return _raw(raw.read_bytes())

    def stop(self) -> None:
        """End what runs; safe at any time, from any thread, twice."""
        with self._lock:
            for process in self._running:
                process.send_signal(signal.SIGKILL)

    def _said(self, folder: str) -> str:
        command = [str(self.program), "-n", "-b", "-r", f"{_NAME}.raw", f"{_NAME}.cir"]
        quiet = {"PATH": "", "HOME": folder, "SPICE_ASCIIRAWFILE": "0", "LC_ALL": "C"}
        with self._lock:
            process = subprocess.Popen(
                command, cwd=folder, env=quiet, text=True, errors="replace",
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            self._running.add(process)
        try:
            said, _ = process.communicate(timeout=SLOWEST)
        except subprocess.TimeoutExpired:
            raise InstrumentError(
                f"ngspice took longer than {SLOWEST:g} s for one shot: simulate shorter ones"
            ) from None
        finally:
            process.kill()
            process.wait()
            with self._lock:
                self._running.discard(process)
        if process.returncode < 0:
            raise InstrumentError("the simulation was stopped")
        return said


def _reason(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line.lower() for word in _MESSAGES)]
    return " ".join((telling or lines[-2:])[:2])[:300] or "it said nothing"


def _raw(data: bytes) -> dict[str, Array]:
    """The columns of a raw file by name; raises InstrumentError for half a file."""
    head, _, body = data.partition(b"Binary:\n")
    lines = head.decode("latin-1").splitlines()
    sizes = [int(line.partition(":")[2]) for line in lines if line.startswith(("No. Variables:", "No. Points:"))]
    if len(sizes) != 2 or len(body) < 8 * sizes[0] * sizes[1] or sizes[1] < 4:
        raise InstrumentError("ngspice ended before the shot did: its circuit has no solution there")
    begin = lines.index("Variables:") + 1
    names = [line.split()[1] for line in lines[begin : begin + sizes[0]]]
    return dict(zip(names, np.frombuffer(body, "<f8", sizes[0] * sizes[1]).reshape(sizes[1], sizes[0]).T, strict=True))
