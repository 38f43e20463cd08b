"""The command line as a user has it: as a process of its own, or, for speed, called in this one."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from labrhel.cli import main
from labrhel.store import RunReader


def labrhel(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `labrhel *words` in `folder`; its lock files, e-stops and calibrations are in `folder/state`."""
    return subprocess.run(
        [sys.executable, "-m", "labrhel", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        env=os.environ | {"LABRHEL_STATE": str(folder / "state")},
    )


def called(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """What `labrhel(folder, *words)` is, in this process: an interpreter and its imports take seconds to start."""
    with patch.dict(os.environ, {"LABRHEL_STATE": str(folder / "state")}):
        return subprocess.CompletedProcess(["labrhel", *map(str, words)], *Shell(folder)(*words))


def call(*words: str | Path) -> int:
    """Exit status of `labrhel *words`, called in this process and in its folder; saves the start of another one."""
    with patch.object(sys, "argv", ["labrhel", *map(str, words)]):
        try:
            main(alone=False)
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 0
    return 0


@dataclass(frozen=True, slots=True)
class Shell:
    """Calls `labrhel` in this process, in a folder of its own, and keeps what it prints."""

    folder: Path

    def __call__(self, *words: str | Path) -> tuple[int, str, str]:
        """Run the command line and return exit status, output and errors."""
        out, err = io.StringIO(), io.StringIO()
        with chdir(self.folder), redirect_stdout(out), redirect_stderr(err):
            status = call(*words)
        return status, out.getvalue(), err.getvalue()

    def write(self, text: str, name: str = "small.yaml") -> str:
        """A file in the folder, such as a configuration; its name."""
        (self.folder / name).write_text(text, encoding="utf-8")
        return name


def only_run(root: Path) -> RunReader:
    """The one run that `root` holds."""
    (folder,) = root.iterdir()
    return RunReader(folder)
