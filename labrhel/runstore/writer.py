"""Writing a run: what the executor's recorder hands over is safe against kill -9 when a method returns.

Per operation: large arrays become files, then one transaction writes all rows.  A kill between the two leaves an
array that nothing names, which is harmless; a row never names an array that is not there.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np

from labrhel.arrays import Arrays
from labrhel.capture import Capture
from labrhel.operations import Checkpoint, Configure, Publish, Read, RunShots
from labrhel.runstore._arrays import ArrayStore
from labrhel.runstore._captures import pack_capture
from labrhel.runstore._journal import close_for_good, open_for_writing, shot_id
from labrhel.runstore._lock import WriterLock
from labrhel.runstore._packing import pack
from labrhel.runstore._trouble import writing
from labrhel.runstore._values import pack_value
from labrhel.runstore._verifying import content_digest
from labrhel.runstore.folder import make_run_folder, random_token, read_manifest, utc_now
from labrhel.runstore.policy import Policy

_KEEP_TWO = "DELETE FROM checkpoints WHERE seq NOT IN (SELECT seq FROM checkpoints ORDER BY seq DESC LIMIT 2)"

Ending = Literal["done", "failed", "interrupted"]
Clock = Callable[[], float]


def create_run(
    root: Path,
    name: str,
    manifest: Mapping[str, Any],
    config_text: str,
    policy: Policy,
    *,
    now: Callable[[], datetime] = utc_now,
    token: Callable[[], str] = random_token,
) -> RunWriter:
    """Make a run folder (`make_run_folder` explains the arguments) and open it for writing."""
    return RunWriter(make_run_folder(root, name, manifest, config_text, policy, now=now, token=token))


class RunWriter:
    """The one writer of a run; satisfies `labrhel.executor.Recording`.

    `step` is the training step whose shots are being written: it starts at 0, or at the last checkpoint's step after
    a resume, and follows the checkpoints.  Raises RecordError if the folder is no run, is being written by another
    process, or cannot be written.
    """

    def __init__(self, folder: Path, *, monotonic: Clock = time.monotonic, wall: Clock = time.time) -> None:
        self.folder = folder
        self.policy = Policy.parse(read_manifest(folder)["policy"])
        self._monotonic, self._wall = monotonic, wall
        self._lock = WriterLock(folder)
        try:
            self._journal = open_for_writing(folder)
            self._arrays = ArrayStore(folder / "arrays")
            self._take_up()
        except BaseException:
            self._lock.release()
            raise

    @classmethod
    def open_for_resume(cls, folder: Path) -> RunWriter:
        """Open a run that was stopped or killed, to go on from its last checkpoint."""
        return cls(folder)

    def _take_up(self) -> None:
        with writing(self.folder):
            one = self._journal.execute
            self._seq = one("SELECT coalesce(max(seq), 0) FROM operations").fetchone()[0]
            self._attempt = 1 + one("SELECT count(*) FROM events WHERE kind IN ('running', 'resumed')").fetchone()[0]
            newest = one("SELECT step FROM checkpoints ORDER BY seq DESC LIMIT 1").fetchone()
            self.step: int = 0 if newest is None else newest[0]
            self._programs = {row[0] for row in one("SELECT digest FROM programs")}
            self._names = tuple(row[0] for row in one("SELECT name FROM parameter_names ORDER BY number"))
            self._published: set[int] = set()
            self._event("running" if self._attempt == 1 else "resumed", "")

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.end("done")
        else:
            self.end("interrupted" if issubclass(kind, KeyboardInterrupt) else "failed", f"{kind.__name__}: {error}")

    def end(self, how: Ending, words: str = "") -> None:
        """Write how the run ended, and give the folder free."""
        try:
            with writing(self.folder):
                self._event(how, words)
        finally:
            self.close()

    def close(self) -> None:
        """Give the folder free without a word on how the run ended."""
        close_for_good(self._journal)
        self._lock.release()

    # -- labrhel.executor.Recording -------------------------------------------------------------------------------

    def shots(self, operation: RunShots, captures: Sequence[Capture]) -> None:
        """Digests of programs and of what was sent; by policy the programs, waveforms and captures themselves."""
        keep = self.policy.keeps(self.step)
        seq, rows, programs = self._seq + 1, [], {}
        for number, (program, capture) in enumerate(zip(operation.programs, captures, strict=True)):
            if keep and program.digest not in self._programs:
                programs[program.digest] = pack_value(program, self._arrays.put)
            over = sum(trace.over_range for item in capture.passes for trace in item.traces.values())
            rows.append((
                shot_id(seq, number), seq, number, program.digest, capture.shot.digest,
                float(capture.planned_start), float(capture.actual_start), int(capture.passes_run), int(over),
                *(self._pack(capture) if keep else (None, None, None)),
            ))  # fmt: skip
        asked = content_digest(operation.order, *(row[3] for row in rows))
        with self._transaction("shots", asked, None) as journal:
            if programs:
                journal.executemany("INSERT INTO programs(digest, packed) VALUES (?, ?)", programs.items())
            journal.executemany("INSERT INTO shots VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", rows)
        self._programs.update(programs)

    def configured(self, operation: Configure, achieved: Arrays) -> None:
        """Parameters asked for, knobs sent, parameters achieved, packed as asked/NAME, knobs/NAME, achieved/NAME."""
        asked = {f"asked/{name}": np.asarray(value) for name, value in operation.parameters.items()}
        digest = content_digest(pack(asked))
        asked.update({f"knobs/{name}": np.asarray(value) for name, value in operation.knobs.items()})
        asked.update({f"achieved/{name}": np.asarray(value) for name, value in achieved.items()})
        with self._transaction("configure", digest, pack(asked)):
            pass

    def read(self, operation: Read, answer: Arrays) -> None:
        """Slow readings."""
        values = pack({name: np.asarray(value) for name, value in answer.items()})
        with self._transaction("read", content_digest(*operation.names), values):
            pass

    def checkpoint(self, operation: Checkpoint) -> None:
        """State to go on from.  A checkpoint of step n is taken when steps 0 .. n-1 are done.

        `state["parameters"]` (size,) with `state["parameter_names"]`, if there, enter the table of parameters under
        the step that was going on: what step n-1 measured, and under n what a second, final checkpoint of n says.
        """
        blob = pack_value(operation.state)
        step, values = operation.step, operation.state.get("parameters")
        names = tuple(operation.state.get("parameter_names", self._names))
        with self._transaction("checkpoint", content_digest(blob), None, step) as journal:
            journal.execute("INSERT INTO checkpoints VALUES (?, ?, ?)", (self._seq, step, blob))
            journal.execute(_KEEP_TWO)
            if values is not None:
                row = np.asarray(values, dtype="<f8").tobytes()
                journal.execute("INSERT OR REPLACE INTO parameters VALUES (?, ?)", (self.step, row))
                if names != self._names:
                    journal.executemany("INSERT OR REPLACE INTO parameter_names VALUES (?, ?)", enumerate(names))
        self.step, self._names = step, names

    def published(self, operation: Publish) -> None:
        """Scalars and words of a step; a step that is done again after a resume replaces what it left before."""
        step, words = operation.step, operation.words
        again = self._attempt > 1 and step not in self._published
        scalars = [(step, name, float(value)) for name, value in operation.scalars.items()]
        asked = content_digest(json.dumps([scalars, words]))
        with self._transaction("publish", asked, None, step) as journal:
            if again:
                for table in ("scalars", "words"):
                    journal.execute(f"DELETE FROM {table} WHERE step = ?", (step,))
            journal.executemany("INSERT OR REPLACE INTO scalars VALUES (?, ?, ?)", scalars)
            if words:
                (first,) = journal.execute("SELECT count(*) FROM words WHERE step = ?", (step,)).fetchone()
                rows = [(step, first + number, text) for number, text in enumerate(words)]
                journal.executemany("INSERT INTO words VALUES (?, ?, ?)", rows)
        self._published.add(step)

    # -- inside ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(
        self, kind: str, asked: str, payload: bytes | None, step: int | None = None
    ) -> Iterator[sqlite3.Connection]:
        """One operation: its own row, and what the body writes; all of it or nothing."""
        self._seq += 1
        at = self.step if step is None else step
        row = (self._seq, self._attempt, at, kind, asked, payload, self._monotonic(), self._wall())
        journal = self._journal
        try:
            journal.execute("BEGIN")
            journal.execute("INSERT INTO operations VALUES (?,?,?,?,?,?,?,?)", row)
            yield journal
            journal.execute("COMMIT")
        except BaseException:
            with writing(self.folder):
                if journal.in_transaction:
                    journal.execute("ROLLBACK")
                raise

    def _event(self, kind: str, words: str) -> None:
        self._journal.execute("INSERT INTO events(kind, t_wall, words) VALUES (?, ?, ?)", (kind, self._wall(), words))

    def _pack(self, capture: Capture) -> tuple[str, str | None, bytes]:
        packed = pack_capture(capture)
        files = {name: self._arrays.put(array) for name, array in packed.large.items()}
        text = json.dumps(files) if files else None
        return content_digest(text or "", packed.blob), text, packed.blob
