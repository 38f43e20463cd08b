"""Tests run on a copy of the tree with one fault in it; the tree itself is never touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mutants.faults import Fault

COPIED = ("labrhel", "protocols", "simbackend", "drivers", "calibration", "tests", "examples", "pyproject.toml")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the tests said: `passed`, in `seconds`, with the last words of pytest."""

    passed: bool
    seconds: float
    words: str


class Copy:
    """A copy of a tree of source in an empty folder."""

    def __init__(self, tree: Path, folder: Path) -> None:
        self._tree, self._folder = tree, folder
        for name in COPIED:
            source, target = tree / name, folder / name
            # Compiled kernels come along; they are valid as long as the files beside them keep their dates.
            shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)

    def judged(self, fault: Fault, tests: Sequence[str], patience: float) -> Answer:
        """The answer of `tests` with a fault in the copy, which is whole again afterwards."""
        file = self._folder / fault.path
        file.write_bytes(fault.applied(file.read_bytes()))
        try:
            return self.run(tests, patience)
        finally:
            shutil.copy2(self._tree / fault.path, file)

    def run(self, tests: Sequence[str], patience: float) -> Answer:
        """The answer of `tests`, files from the root; not passed if they take longer than `patience` [s]."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider", *tests]
        environment = os.environ | {
            "PYTHONPATH": str(self._folder),
            "PYTHONDONTWRITEBYTECODE": "1",  # two faults of one size within one second would share their bytecode
            "LABRHEL_STATE": str(self._folder / "state"),
            "OMP_NUM_THREADS": "1",
        }
        begin = time.monotonic()
        process = subprocess.Popen(
            command, cwd=self._folder, env=environment, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            said, _ = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            return Answer(False, time.monotonic() - begin, f"no answer within {patience:.0f} s")
        finally:
            _end(process)
        seconds, words = time.monotonic() - begin, said.strip().rpartition("\n")[2]
        if process.returncode not in (0, 1, 2) and process.returncode > 0:
            raise RuntimeError(f"pytest ran no tests in {', '.join(tests)}: {words}")
        return Answer(process.returncode == 0, seconds, words)


def _end(process: subprocess.Popen[str]) -> None:
    """With all processes that its tests started."""
    if os.name == "posix":
        import signal

        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
    else:
        process.kill()
    process.wait()
