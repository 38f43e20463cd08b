"""What a run came to, in a small file that is written at its end: ten thousand runs are listed without their journals.

It holds nothing that the record does not, and counts only while manifest and journal are the files that they were then:
`stamp` has their sizes and times.  A run that was killed, copied or changed has none that counts, and is read, as all
are where there are few.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from labrhel.errors import LabrhelError
from labrhel.frozen import digest_of
from labrhel.store._journal import FILE as JOURNAL
from labrhel.store.manifest import FILE as MANIFEST
from labrhel.store.outputs import written_aside
from labrhel.store.reader import RunReader

FILE = "summary.json"

Facts = list[Any]
"""Id, name, time, status, rig, rule, gradients, first and last loss, error of the first test, scores, last words."""

_COUNT = 12


def facts_of(reader: RunReader) -> Facts:
    """What is known of a run at a glance; raises RecordError for a record that is damaged."""
    manifest, scalars, status = reader.manifest, reader.scalars(), reader.status
    said = reader.events()[-1][2]
    scalars.pop("step")
    known = {name: values[np.isfinite(values)] for name, values in scalars.items()}
    losses = known.pop("loss", np.array([]))
    tests = [values for name, values in known.items() if name.startswith("test_")]
    error = float(tests[0][-1]) if tests and tests[0].size else None
    scores = {name: float(values[-1]) for name, values in known.items() if values.size}
    rule = manifest.get("configuration", {}).get("protocol", {}).get("rule", "")
    ends = (float(losses[0]), float(losses[-1])) if losses.size else (None, None)
    about = manifest["id"], manifest["name"], manifest["created"], status, manifest.get("rig", ""), rule
    return [*about, int(losses.size), *ends, error, scores, said]


def stamp_of(folder: Path) -> str:
    """Sizes and times of manifest and journal."""
    return ".".join(state_of(f"{folder}/{name}") for name in (MANIFEST, JOURNAL))


def state_of(file: Path | str) -> str:
    """Size and time of a file, "-" for none."""
    try:
        state = os.stat(file)  # noqa: PTH116 - for ten thousand runs
    except OSError:
        return "-"
    return f"{state.st_size}.{state.st_mtime_ns}"


def write_summary(folder: Path) -> None:
    """Of a run that has just ended; one that cannot be written is not there, and the record is read instead."""
    try:
        data = {"stamp": stamp_of(folder), "facts": facts_of(RunReader(folder))}
        with written_aside(folder / FILE) as aside:
            aside.write_text(json.dumps({**data, "digest": digest_of(data)}), encoding="utf-8")
    except (LabrhelError, OSError, ValueError):
        pass


def read_summary(folder: Path, stamp: str) -> Facts | None:
    """The facts, if the file is what was written, and manifest and journal have this stamp."""
    try:
        data = json.loads((folder / FILE).read_bytes())
        digest = data.pop("digest")
        if data["stamp"] == stamp and digest == digest_of(data) and len(data["facts"]) == _COUNT:
            return data["facts"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return None
