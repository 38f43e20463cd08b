"""Where a run came from: code, packages, machine, seeds.  Collecting it never fails and takes well under 0.3 s."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "labrhel", "numpy", "scipy", "numba", "llvmlite", "qcodes", "pyvisa", "pyvisa-py", "pyserial", "aiomqtt",
    "pydantic", "xarray", "h5netcdf", "h5py",
)  # fmt: skip
"""The packages whose version may change a number."""

_LONGEST_DIFF = 1_000_000  # characters; beyond it the diff is cut and says so
_GIT_SECONDS = 2.0  # a file server that does not answer must not hold up a run


def provenance(folder: Path, seeds: Mapping[str, int]) -> dict[str, Any]:
    """Plain data for the manifest.

    `code` is the state of the checkout that labrhel is imported from, `configuration` that of the checkout holding
    `folder`, where the user's file lies: {"commit", "branch", "dirty", "diff"}, or {"absent": why}.  `seeds` is
    kept as given.
    """
    here = Path(__file__).resolve().parent
    return {
        "code": git_state(here),
        "configuration": git_state(folder),
        "packages": {name: _version(name) for name in PACKAGES},
        "python": sys.version,
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "host": platform.node(),
        "seeds": dict(seeds),
    }


def git_state(folder: Path) -> dict[str, Any]:
    """Commit, branch and uncommitted changes under `folder`, or {"absent": why}."""
    try:
        commit, branch = _git(folder, "log", "-1", "--format=%H%n%D").splitlines()[:2]
        changed = _git(folder, "status", "--porcelain", "--untracked-files=normal", "--", ".")
        diff = _git(folder, "diff", "HEAD", "--no-color", "--no-ext-diff", "--", ".") if changed else ""
    except FileNotFoundError:
        return {"absent": "git is not installed, or the folder is gone"}
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        return {"absent": said.strip().splitlines()[0] if said.strip() else type(error).__name__}
    if len(diff) > _LONGEST_DIFF:
        diff = f"{diff[:_LONGEST_DIFF]}\n... cut: the diff has {len(diff)} characters"
    return {"commit": commit, "branch": branch, "dirty": changed.splitlines(), "diff": diff}


def _git(folder: Path, *arguments: str) -> str:
    answer = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
        timeout=_GIT_SECONDS,
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
    )
    return answer.stdout


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
