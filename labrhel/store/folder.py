"""Run folders: making one, listing them, finding one.

    manifest.json   what the run is, written once           config.yaml   the user's file, as it was
    journal.log     what happened, in order                 arrays/       large arrays by content
    checkpoint.0/1  the last two states to go on from
    run.nc          everything of lasting interest in one file, made at the end

A folder is made under a hidden name and renamed when it is complete, so no half-made run is ever seen.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labrhel.errors import ConfigurationError, RecordError
from labrhel.store._index import event
from labrhel.store._journal import create_journal, frame
from labrhel.store._trouble import writing
from labrhel.store.manifest import FILE as MANIFEST
from labrhel.store.manifest import manifest_text, read_manifest, sealed
from labrhel.store.policy import Policy

CONFIG = "config.yaml"
LOCK = "writer.lock"
"""Held by the process that writes the run (`labrhel.safety.holding`)."""


def utc_now() -> datetime:
    """The time, for folder names and manifests."""
    return datetime.now(UTC)


def random_token() -> str:
    """Six hexadecimal digits that tell runs of the same second apart."""
    return secrets.token_hex(3)


def short_name(name: str) -> str:
    """What a run is called in the name of its folder: letters, digits, _ and the dot."""
    return re.sub(r"[^A-Za-z0-9_.]+", "_", name).strip("._") or "run"


def make_run_folder(
    root: Path,
    name: str,
    manifest: Mapping[str, Any],
    config_text: str,
    policy: Policy,
    *,
    now: Callable[[], datetime] = utc_now,
    token: Callable[[], str] = random_token,
    identity: str | None = None,
) -> Path:
    """Make `root`/<UTC time>-<name>-<token>, or `root`/`identity`, complete but for what will happen in it.

    `manifest` is plain data (configuration as parsed, provenance, seeds, rig, calibration set ...); format, id,
    name, time, policy and command line are added here.  Raises RecordError if the folder cannot be written, and
    then leaves nothing behind.
    """
    created = now()
    short = short_name(name)
    mark = token()
    identity = identity or f"{created:%Y%m%dT%H%M%SZ}-{short}-{mark}"
    facts = {
        **manifest,
        "id": identity,
        "name": name,
        "created": created.isoformat(),
        "policy": str(policy),
        "command_line": list(sys.argv),
    }
    folder, hidden = root / identity, root / f".{identity}.{mark}.making"  # one that was killed here is not in the way
    with writing(root, "nothing has run"):
        try:
            (hidden / "arrays").mkdir(parents=True)
            (hidden / MANIFEST).write_text(manifest_text(sealed(facts)), encoding="utf-8")
            (hidden / CONFIG).write_bytes(config_text.encode())
            create_journal(hidden, frame(event("created", created.timestamp())))
            hidden.rename(folder)
        except BaseException:
            shutil.rmtree(hidden, ignore_errors=True)
            raise
    return folder


def require_plain(folder: Path) -> None:
    """Raise RecordError for a run folder that holds anything but files and folders of its own.

    Through a link, what belongs to a record would be written onto somebody's file; a pipe would never be read to its
    end.  Records come from other people, so both are refused before anything is opened.
    """
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if not (entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)):
                raise RecordError(
                    f"{entry.path} is a link or no file; a run folder holds its own files alone: put what "
                    "it stands for in its place, or delete it"
                )


def name_of(folder: Path) -> str:
    """What a run folder is called where it lies, however it was named."""
    return Path(os.path.abspath(folder)).name  # noqa: PTH100 - the name of a link is its own


def run_folders(root: Path) -> list[Path]:
    """All run folders below `root`, newest first."""
    if not root.is_dir():
        return []
    folders = [path for path in root.iterdir() if not path.name.startswith(".") and (path / MANIFEST).is_file()]
    return sorted(folders, key=lambda path: (_created(path), path.name), reverse=True)


def _created(folder: Path) -> str:
    try:
        return str(read_manifest(folder).get("created", ""))
    except RecordError:
        return ""  # one damaged run must not hide the others


def find_run(text: str, root: Path) -> Path:
    """The run that `text` names: a folder, an id below `root`, or the beginning of an id or of its last part.

    Raises ConfigurationError, naming the candidates, unless exactly one run fits.
    """
    if (Path(text) / MANIFEST).is_file():
        return Path(text)
    folders = run_folders(root)
    exact = [path for path in folders if path.name == text]
    fitting = exact or [path for path in folders if text and _begins(path.name, text)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ConfigurationError(f"{text!r} fits {len(fitting)} runs: {_some(fitting)}; give more of the id")
    if text and Path(text).is_dir():
        raise ConfigurationError(_not_a_run(Path(text)))
    if not folders:
        raise ConfigurationError(f"no run {text!r}: {root} holds no runs; name the folder that does")
    raise ConfigurationError(f"no run {text!r} in {root}; there are: {_some(folders)}")


def _not_a_run(folder: Path) -> str:
    return f"{folder} is not a run folder: it has no {MANIFEST}; `labrhel runs` lists those there are"


def _begins(name: str, text: str) -> bool:
    return name.startswith(text) or name.rpartition("-")[2].startswith(text)


def _some(folders: list[Path]) -> str:
    return ", ".join(path.name for path in folders[:5]) + (", ..." if len(folders) > 5 else "")
