"""Which run a command is about where none is named: the newest."""

from __future__ import annotations

import sys
from pathlib import Path

from labrhel.errors import ConfigurationError
from labrhel.store import find_run
from labrhel.store.folder import run_folders


def named(run: str, root: Path) -> Path:
    """The folder of a run; of the newest below `root`, which is said, for ""."""
    if run:
        return find_run(run, root)
    newest = next(iter(run_folders(root)), None)
    if newest is None:
        raise ConfigurationError(f"{root} holds no runs; name the folder that does with --runs")
    print(f"the newest run in {root}: {newest.name}", file=sys.stderr)
    return newest
