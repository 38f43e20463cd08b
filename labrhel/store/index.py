"""An index over the runs of a folder: what is asked of all of them, without opening each.

An SQLite file `.index.sqlite` beside the runs.  It holds nothing that the folders do not: what is out of date is read
again, and the file can be thrown away at any time.  Tags and notes, which are a person's, are in the run folders
themselves (`labels.json`), so that they go where the run goes.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from labrhel.errors import ConfigurationError, RecordError
from labrhel.frozen import digest_of
from labrhel.store import RunReader
from labrhel.store._summary import Facts, facts_of, read_summary, stamp_of, state_of
from labrhel.store.folder import MANIFEST
from labrhel.store.outputs import written_aside

ALIVE = ("running", "paused")
"""Of these runs a process is the writer: their status ends without a change of their files if it is killed."""

INDEX, LABELS = ".index.sqlite", "labels.json"

_MANY = 100
"""Runs that are new to the index from which on their summaries do in place of their records."""

_COLUMNS = (
    "folder, stamp, id, name, created, status, rig, rule, gradients, first_loss, last_loss, error, bytes, labels, "
    "scores, said"
)
_TABLE = f"runs ({_COLUMNS.replace('folder', 'folder PRIMARY KEY', 1)})"


@dataclass(frozen=True, slots=True)
class RunRow:
    """What is known of a run at a glance; `error` is that of its first test, `damage` why it cannot be read.

    `scores`: the last of everything that it published, by name.  `said`: the words of its last event.  `id` is the
    name of the folder, `copy_of` the id under which the run was recorded where that is another one.
    """

    folder: Path
    id: str
    name: str
    created: str
    status: str
    rig: str
    rule: str
    gradients: int
    first_loss: float
    last_loss: float
    error: float
    bytes: int
    tags: tuple[str, ...]
    note: str
    damage: str = ""
    scores: Mapping[str, float] = field(default_factory=dict, compare=False)
    said: str = field(default="", compare=False)
    copy_of: str = ""


def rows(root: Path) -> list[RunRow]:
    """All runs below `root`, newest first; only those that have changed since the last time are opened."""
    if not root.is_dir():
        return []
    folders = {
        entry.name: entry
        for entry in os.scandir(root)
        if not entry.name.startswith(".") and entry.is_dir() and (Path(entry.path) / MANIFEST).is_file()
    }
    with closing(_opened(root)) as database:
        known = {row[0]: row for row in database.execute(f"SELECT {_COLUMNS} FROM runs")}
        facts = _summed_up if len(folders.keys() - known.keys()) > _MANY else _recorded
        found = []
        for name, entry in folders.items():
            folder = Path(entry.path)
            stamp = _stamp(folder)
            row = known.get(name)
            if row is None or row[1] != stamp or row[5] in ALIVE:
                row = _read(folder, stamp, facts)
                database.execute(f"REPLACE INTO runs ({_COLUMNS}) VALUES ({','.join('?' * len(row))})", row)
            found.append(_row(root, row))
        gone = [(name,) for name in known if name not in folders]
        database.executemany("DELETE FROM runs WHERE folder = ?", gone)
        database.commit()
    return sorted(found, key=lambda row: (row.created, row.id), reverse=True)


def row_of(folder: Path) -> RunRow:
    """What is known of one run, wherever it lies."""
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - the name of a link is its own
    return _row(folder.parent, _read(folder, _stamp(folder), _recorded))


def matching(
    found: Sequence[RunRow], *, text: str = "", status: str = "", tag: str = "", below: float = np.inf
) -> list[RunRow]:
    """Those whose name, id, rig or note holds `text`, of that status and tag, with a last loss below `below`."""
    wanted = text.lower()
    return [
        row
        for row in found
        if wanted in f"{row.name} {row.id} {row.copy_of} {row.rig} {row.rule} {row.note}".lower()
        and (not status or row.status == status)
        and (not tag or tag in row.tags)
        and (np.isinf(below) or row.last_loss < below)
    ]


def label(folder: Path, *, add: Sequence[str] = (), remove: Sequence[str] = (), note: str | None = None) -> None:
    """Add and remove tags, and set the note, of a run."""
    labels = _labels(folder)
    tags = [tag for tag in dict.fromkeys([*labels["tags"], *add]) if tag not in remove]
    bad = [tag for tag in add if not tag or any(sign in tag for sign in ",\n\t ")]
    if bad:
        raise ConfigurationError(f"a tag is one word, not {bad[0]!r}")
    data = {"tags": tags, "note": labels["note"] if note is None else note}
    text = json.dumps({**data, "digest": digest_of(data)}, ensure_ascii=False)
    if not folder.is_dir():
        raise RecordError(f"the labels of {folder} could not be written: it is not there")
    with written_aside(folder / LABELS) as aside:
        aside.write_text(text + "\n", encoding="utf-8")


def archive(folder: Path, to: Path) -> Path:
    """One compressed file of a run, which `tar xf` unpacks to the folder that it was."""
    if not to.name.endswith((".tar.gz", ".tgz")):
        raise ConfigurationError(f"{to} does not end in .tar.gz")
    with written_aside(to, making_folders=True) as aside, tarfile.open(aside, "w:gz", compresslevel=6) as file:
        file.add(folder, folder.name)
    return to


def prune(found: Sequence[RunRow]) -> Iterator[RunRow]:
    """Delete these runs from the disk, but none that is alive; yields each that is gone."""
    for row in found:
        if row.status in ALIVE:
            continue
        shutil.rmtree(row.folder)
        yield row


def _opened(root: Path) -> sqlite3.Connection:
    """The index; one that cannot be read is thrown away, and one that cannot be written is made in memory."""
    for where in (str(root / INDEX), ":memory:"):
        try:
            database = sqlite3.connect(where)
            database.execute(f"CREATE TABLE IF NOT EXISTS {_TABLE}")
            database.execute(f"SELECT {_COLUMNS} FROM runs LIMIT 1")
            return database
        except sqlite3.DatabaseError:
            try:
                (root / INDEX).unlink(missing_ok=True)
                database = sqlite3.connect(where)
                database.execute(f"CREATE TABLE {_TABLE}")
                return database
            except (OSError, sqlite3.Error):
                continue
    raise AssertionError("unreachable: a database in memory can always be made")


def _stamp(folder: Path) -> str:
    return f"{stamp_of(folder)}|{state_of(folder / LABELS)}"


def _recorded(folder: Path, stamp: str) -> Facts:
    return facts_of(RunReader(folder))


def _summed_up(folder: Path, stamp: str) -> Facts:
    return read_summary(folder, stamp.partition("|")[0]) or _recorded(folder, stamp)


def _read(folder: Path, stamp: str, facts_in: Callable[[Path, str], Facts]) -> tuple[object, ...]:
    labels, size = json.dumps(_labels(folder)), _size(folder)
    try:
        facts = facts_in(folder, stamp)
    except RecordError as error:
        named = (folder.name, stamp, folder.name, "", "", "damaged", "", "")
        return (*named, 0, None, None, str(error), size, labels, "{}", "")
    *known, scores, said = facts
    return (folder.name, stamp, *known, size, labels, json.dumps(scores), said)


def _size(folder: Path | str) -> int:
    """Bytes of all files in a folder and below; what goes away meanwhile takes none."""
    size = 0
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.is_dir(follow_symlinks=False):
                    size += _size(entry.path)
                elif entry.is_file():
                    size += entry.stat().st_size
    return size


def _row(root: Path, row: Sequence[object]) -> RunRow:
    labels = json.loads(str(row[13]))
    damaged = row[5] == "damaged"

    def number(value: object) -> float:
        return np.nan if value is None or isinstance(value, str) else float(value)  # type: ignore[arg-type]

    return RunRow(
        root / str(row[0]), str(row[0]), str(row[3]), str(row[4]), str(row[5]), str(row[6]), str(row[7]),
        int(number(row[8])), number(row[9]), number(row[10]), number(row[11]), int(number(row[12])),
        tuple(labels["tags"]), labels["note"], str(row[11]) if damaged else "", json.loads(str(row[14])), str(row[15]),
        "" if row[2] == row[0] else str(row[2]),
    )  # fmt: skip


def _labels(folder: Path) -> dict[str, Any]:
    try:
        data = json.loads((folder / LABELS).read_text(encoding="utf-8"))
        labels = {"tags": [str(tag) for tag in data.pop("tags")], "note": str(data.pop("note"))}
        if data and data != {"digest": digest_of(labels)}:  # labels of earlier versions have no digest
            raise ValueError("they are not what was written")
        return labels
    except FileNotFoundError:
        return {"tags": [], "note": ""}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {"tags": [], "note": "(its labels cannot be read)"}
