"""Tests run on a copy of the tree with one fault in it; the tree itself is never touched."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mutants.faults import Fault

COPIED = ("labrhel", "protocols", "simbackend", "drivers", "calibration", "tests", "examples", "pyproject.toml")

_LOADED = ("pytest", "hypothesis.extra.numpy", "numpy", "scipy.stats", "scipy.optimize", "numba", "pydantic", "xarray",
           "ruamel.yaml", "rich.progress")  # fmt: skip
_forks = "forkserver" in multiprocessing.get_all_start_methods()
_processes = multiprocessing.get_context("forkserver" if _forks else "spawn")
if _forks:
    # What the tests import beside the project is loaded once, which is most of the time of a short test.
    _processes.set_forkserver_preload([*_LOADED])


@dataclass(frozen=True, slots=True)
class Answer:
    """What the tests said: `passed`, in `seconds`, with the last words of pytest."""

    passed: bool
    seconds: float
    words: str


class Copy:
    """A copy of a tree of source in an empty folder."""

    def __init__(self, tree: Path, folder: Path) -> None:
        self._folder = folder
        for name in COPIED:
            source, target = tree / name, folder / name
            # Compiled kernels come along; they are valid as long as the files beside them keep their dates.
            shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)

    def judged(self, fault: Fault, tests: Sequence[str], patience: float) -> Answer:
        """The answer of `tests` with a fault in the copy, which is whole again afterwards."""
        file = self._folder / fault.path
        source, dates = file.read_bytes(), file.stat()
        file.write_bytes(fault.applied(source))
        try:
            return self.run(tests, patience)
        finally:
            file.write_bytes(source)
            os.utime(file, ns=(dates.st_atime_ns, dates.st_mtime_ns))

    def run(self, tests: Sequence[str], patience: float) -> Answer:
        """The answer of `tests`, files from the root; not passed if they take longer than `patience` [s]."""
        said = self._folder / "said"
        begin = time.monotonic()
        process = _processes.Process(target=_tested, args=(self._folder, tuple(tests), said))
        process.start()
        process.join(patience)
        seconds, status = time.monotonic() - begin, process.exitcode
        _end(process)
        words = said.read_text(errors="replace").strip().rpartition("\n")[2] if said.exists() else ""
        if status is None:
            return Answer(False, seconds, f"no answer within {patience:.0f} s")
        if status not in (0, 1, 2, 5):  # 1: a test failed, 2: a file of tests could not be read, 5: all tests are slow
            raise RuntimeError(f"pytest ran no tests in {', '.join(tests)}: {words}")
        return Answer(status in (0, 5), seconds, words)


def _tested(folder: Path, tests: tuple[str, ...], said: Path) -> None:
    """In a process, and a group of processes, of its own."""
    if hasattr(os, "setsid"):
        os.setsid()
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    # Two faults of one size within one second would share their bytecode.
    sys.dont_write_bytecode = True
    os.environ |= {
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LABRHEL_STATE": str(folder / "state"),
    }
    import pytest

    status = pytest.main(["-x", "-q", "--tb=line", "-m", "not slow", "-p", "no:cacheprovider", *tests])
    sys.stdout.flush()
    os._exit(int(status))  # whatever thread a fault has left behind


def _end(process: multiprocessing.process.BaseProcess) -> None:
    """With all processes that its tests started."""
    if process.pid is not None and hasattr(os, "killpg"):
        try:  # noqa: SIM105
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
    process.kill()
    process.join()
