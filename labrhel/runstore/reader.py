"""Reading a run, also while it is being written: manifest, journal and arrays."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.capture import PassCapture
from labrhel.errors import RecordError
from labrhel.operations import Checkpoint
from labrhel.program import ShotProgram
from labrhel.runstore._arrays import ArrayStore
from labrhel.runstore._captures import unpack_capture
from labrhel.runstore._journal import open_for_reading, shot_id
from labrhel.runstore._lock import is_locked
from labrhel.runstore._packing import unpack
from labrhel.runstore._values import unpack_value
from labrhel.runstore._verifying import faults
from labrhel.runstore.folder import CONFIG, find_run, read_manifest, run_folders
from labrhel.runstore.policy import Policy


@dataclass(frozen=True, slots=True)
class ShotRecord:
    """One recorded shot: digests, times [s, the rig's clock] and counts; `capture` is None if it was not kept.

    `attempt` counts starts and resumes from 1: a step that was interrupted and done again has shots of both.
    """

    operation: int
    number: int
    attempt: int
    step: int
    program: str
    compiled: str
    capture: str | None
    planned_start: float
    actual_start: float
    passes_run: int
    over_range: int


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """One recorded operation; `values` holds what was set or read, for `configure` and `read`."""

    seq: int
    attempt: int
    step: int
    kind: str
    asked: str
    values: dict[str, Array]


class RunReader:
    """The record in a folder.  Raises RecordError for a folder that is no run, or one of a newer version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: dict[str, Any] = read_manifest(folder)
        self.policy = Policy.parse(self.manifest["policy"])
        self._arrays = ArrayStore(folder / "arrays")
        self._programs: dict[str, int] = {}  # digest -> row; the journal keeps no index of them

    @classmethod
    def find(cls, text: str, root: Path) -> RunReader:
        """The run named by a folder, an id, or the beginning of one."""
        return cls(find_run(text, root))

    @cached_property
    def _journal(self) -> sqlite3.Connection:
        return open_for_reading(self.folder)

    def close(self) -> None:
        """Let go of the journal; reading again opens it again."""
        if "_journal" in self.__dict__:
            self._journal.close()
            del self.__dict__["_journal"]

    def _rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        try:
            return self._journal.execute(query, arguments).fetchall()
        except sqlite3.Error as error:
            raise RecordError(
                f"the journal in {self.folder} cannot be read ({error}); restore it from a copy"
            ) from error

    @property
    def id(self) -> str:
        """The run's id, which is the name its folder was given."""
        return self.manifest["id"]

    @property
    def config_text(self) -> str:
        """The user's file, as it was."""
        return (self.folder / CONFIG).read_bytes().decode()

    @property
    def status(self) -> str:
        """done, failed, interrupted, running, or killed: begun, not ended, and nobody is writing it."""
        last = self._rows("SELECT kind FROM events ORDER BY number DESC LIMIT 1")[0][0]
        if last in ("done", "failed", "interrupted"):
            return last
        return "running" if is_locked(self.folder) else "killed"

    def events(self) -> list[tuple[str, float, str]]:
        """Changes of state: (kind, time [s since 1970], words)."""
        return self._rows("SELECT kind, t_wall, words FROM events ORDER BY number")

    def scalars(self) -> dict[str, Array]:
        """Published scalars by name, each (steps,), NaN where a step did not publish it; `step` holds the numbers."""
        rows = self._rows("SELECT step, name, value FROM scalars ORDER BY step, name")
        steps = np.array(sorted({row[0] for row in rows}), np.int64)
        place = {int(step): index for index, step in enumerate(steps)}
        values = {name: np.full(len(steps), np.nan) for name in sorted({row[1] for row in rows})}
        for step, name, value in rows:
            values[name][place[step]] = np.nan if value is None else value  # SQLite keeps NaN as NULL
        return {"step": steps, **values}

    def parameters(self) -> dict[str, Array]:
        """Trained coordinates by name, each (steps,), as each step measured them; `step` holds the numbers."""
        rows = self._rows("SELECT step, value FROM parameters ORDER BY step")
        names = [row[0] for row in self._rows("SELECT name FROM parameter_names ORDER BY number")]
        vectors = [np.frombuffer(row[1], "<f8") for row in rows]
        table = np.stack(vectors) if vectors else np.empty((0, len(names)))
        names += [f"parameter[{index}]" for index in range(len(names), table.shape[1])]
        columns = {name: table[:, index].copy() for index, name in enumerate(names)}
        return {"step": np.array([row[0] for row in rows], np.int64), **columns}

    def words(self) -> list[tuple[int, str]]:
        """Warnings: (step, text), in order."""
        return self._rows("SELECT step, text FROM words ORDER BY step, number")

    def last_checkpoint(self) -> Checkpoint | None:
        """The state to go on from; None if the run was stopped before its first."""
        rows = self._rows("SELECT step, state FROM checkpoints ORDER BY seq DESC LIMIT 1")
        return Checkpoint(rows[0][0], unpack_value(rows[0][1])) if rows else None

    def operations(self) -> list[OperationRecord]:
        """Everything the protocol asked, in order."""
        rows = self._rows("SELECT seq, attempt, step, kind, asked, payload FROM operations ORDER BY seq")
        return [
            OperationRecord(seq, attempt, step, kind, asked, unpack(payload)[0] if payload else {})
            for seq, attempt, step, kind, asked, payload in rows
        ]

    def shots(self, step: int | None = None) -> list[ShotRecord]:
        """Recorded shots in order: all, or those made during a step."""
        return [
            ShotRecord(*row)
            for row in self._rows(
                "SELECT operation, number, attempt, step, program, compiled, capture, planned_start, actual_start, "
                "passes_run, over_range FROM shots JOIN operations ON operation = seq "
                "WHERE ?1 IS NULL OR step = ?1 ORDER BY id",
                step,
            )
        ]

    def load_program(self, digest: str) -> ShotProgram:
        """The program of that digest; raises RecordError if the recording policy did not keep it."""
        if digest not in self._programs:
            self._programs = {row[1]: row[0] for row in self._rows("SELECT id, digest FROM programs")}
        if digest not in self._programs:
            raise RecordError(f"program {digest} is not in the record: {self._why_missing()}")
        rows = self._rows("SELECT packed FROM programs WHERE id = ?", self._programs[digest])
        return unpack_value(rows[0][0], self._arrays.get)

    def load_capture(self, shot: ShotRecord) -> tuple[PassCapture, ...]:
        """What came back from a shot; large traces are mapped from their files and read as they are used."""
        rows = self._rows("SELECT blob, files FROM shots WHERE id = ?", shot_id(shot.operation, shot.number))
        if not rows or rows[0][0] is None:
            raise RecordError(
                f"the capture of shot {shot.number + 1} of operation {shot.operation} is not in the record: "
                f"{self._why_missing()}"
            )
        return unpack_capture(rows[0][0], json.loads(rows[0][1] or "{}"), self._arrays.get)

    def _why_missing(self) -> str:
        return self.policy.what_is_missing() or "the folder is not complete; restore it from a copy"

    def verify(self) -> list[str]:
        """What is damaged or missing, a sentence each; empty if every byte is what was written."""
        return list(faults(self._rows, self._arrays, self.load_program))


def list_runs(root: Path) -> list[RunReader]:
    """The runs below `root`, newest first."""
    return [RunReader(folder) for folder in run_folders(root)]
