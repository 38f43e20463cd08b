"""The command line as a user has it: a process of its own, in a folder of his, with a state of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


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
