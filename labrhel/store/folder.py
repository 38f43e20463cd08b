"""Run folders: making one, listing them, finding one.

    manifest.json   what the run is, written once           config.yaml   the user's file, as it was
    journal.log     what happened, in order                 arrays/       large arrays by content
    checkpoint.0/1  the last two states to go on from
    run.nc          everything of lasting interest in one file, made at the end

A folder is made under a hidden name and renamed when it is complete, so no half-made run is ever seen.
"""

from __future__ import annotations

import json
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
from labrhel.store.policy import Policy

MANIFEST = "manifest.json"
CONFIG = "config.yaml"
FORMAT = 2
"""Since 2 a run on a bench records volts, and the wiring that makes model units of them; before, model units."""


def utc_now() -> datetime:
    """The time, for folder names and manifests."""
    return datetime.now(UTC)


def random_token() -> str:
    """Six hexadecimal digits that tell runs of the same second apart."""
    return secrets.token_hex(3)


def make_run_folder(
    root: Path,
    name: str,
    manifest: Mapping[str, Any],
    config_text: str,
    policy: Policy,
    *,
    now: Callable[[], datetime] = utc_now,
    token: Callable[[], str] = random_token,
) -> Path:
    """Make `root`/<UTC time>-<name>-<token>, complete but for what will happen in it.

    `manifest` is plain data (configuration as parsed, provenance, seeds, rig, calibration set ...); format, id,
    name, time, policy and command line are added here.  Raises RecordError if the folder cannot be written, and
    then leaves nothing behind.
    """
    created = now()
    short = re.sub(r"[^A-Za-z0-9_.]+", "_", name).strip("._") or "run"
    identity = f"{created:%Y%m%dT%H%M%SZ}-{short}-{token()}"
    facts = {
        **manifest,
        "format": FORMAT,
        "id": identity,
        "name": name,
        "created": created.isoformat(),
        "policy": str(policy),
        "command_line": list(sys.argv),
    }
    folder, hidden = root / identity, root / f".{identity}.making"
    with writing(root, "nothing has run"):
        try:
            (hidden / "arrays").mkdir(parents=True)
            (hidden / MANIFEST).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
            (hidden / CONFIG).write_bytes(config_text.encode())
            create_journal(hidden, frame(event("created", created.timestamp())))
            hidden.rename(folder)
        except BaseException:
            shutil.rmtree(hidden, ignore_errors=True)
            raise
    return folder


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest; raises RecordError for a folder that is no run, a damaged one, or one of a newer version."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        number = int(manifest["format"])
    except FileNotFoundError:
        raise RecordError(_not_a_run(folder)) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{path} cannot be read ({error}); restore it from a copy") from error
    if number > FORMAT:
        raise RecordError(
            f"{folder} has record format {number}; this version of labrhel reads up to {FORMAT}: update labrhel"
        )
    return manifest


def require_replayable(manifest: Mapping[str, Any]) -> None:
    """Raise RecordError for a run on a bench of format 1, whose shots cannot be those of today: they were no volts."""
    url = str(manifest.get("rig", ""))
    if int(manifest["format"]) < 2 and url.partition(":")[0] == "bench":
        raise RecordError(
            f"{manifest.get('id', url)} was recorded on a bench in record format 1, whose shots are in model units; "
            f"format {FORMAT} holds volts, so it cannot be replayed or resumed, only shown, plotted and exported: "
            "start a new run"
        )


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
    return name.startswith(text) or name.rsplit("-", 1)[-1].startswith(text)


def _some(folders: list[Path]) -> str:
    return ", ".join(path.name for path in folders[:5]) + (", ..." if len(folders) > 5 else "")
