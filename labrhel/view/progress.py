"""What a run is doing, from its record as it grows: nothing is asked of the program that writes it.

The rows of its steps are read from where reading stopped; of the journal only what came after them, and the captures of
the newest step that kept them.  Nothing is written, and no lock is taken that a writer would notice.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.store._journal import frames
from labrhel.store._steps import FILE, FIRST, JournalRows, Rows, Said, StepRows
from labrhel.store.folder import name_of, require_plain
from labrhel.store.manifest import read_manifest
from labrhel.store.reader import state_after
from labrhel.view.curves import Curves

LOOK = 0.4
"""Seconds between two looks at a run that goes on."""

_STEP, _WALL, _END, _KEPT, _WARNED = (FIRST.index(name) for name in ("step", "wall", "end", "kept", "warned"))
_SHOWN_WORDS = 50  # warnings that are kept
_PARAMETERS = 400  # that are drawn; more are a grey block
_BATCH = 4096  # rows of the journal that are taken at once
_RATE = 60  # steps that the rate is a mean of
_CHECKPOINTS = 3  # steps whose frames are looked through for the last checkpoint


@dataclass(frozen=True, slots=True)
class Between:
    """A part of the journal [bytes], which holds the shots of `step`."""

    step: int
    begin: int
    end: int


class Progress:
    """A run as far as it has come; `look` brings everything up to date, and says whether anything is new.

    Raises RecordError for a folder that is no run, or is damaged.  `scalars` and `parameters` are curves; `steps` are
    those that were done, of `planned`; `words` are (step, warning), the newest last, `warned` how many there were;
    `kept` is where the newest captures are.
    """

    def __init__(self, folder: Path) -> None:
        require_plain(folder)
        self.folder = folder
        self.manifest: dict[str, Any] = read_manifest(folder)
        self.version = 0
        self._lock = threading.Lock()
        self._begin()
        self._rows: StepRows | JournalRows = self._new_rows()

    def _begin(self) -> None:
        self.scalars, self.parameters = Curves(), Curves()
        self.steps, self.warned = 0, 0
        self.words: deque[tuple[int, str]] = deque(maxlen=_SHOWN_WORDS)
        self.kept: Between | None = None
        self.checkpoints: deque[dict[str, Any]] = deque(maxlen=2)
        self.why, self._event, self.state = "", "", ""
        self._times: deque[tuple[float, int]] = deque(maxlen=_RATE)
        self._ends: deque[int] = deque([0], maxlen=_CHECKPOINTS)
        self._tail: int | None = None

    def _new_rows(self, *, after_damage: bool = False) -> StepRows | JournalRows:
        there = (self.folder / FILE).is_file() and not after_damage
        return StepRows(self.folder) if there else JournalRows(self.folder)

    @property
    def id(self) -> str:
        """What the run is called: the name of its folder, which a copy does not share."""
        return name_of(self.folder)

    @property
    def planned(self) -> int:
        """Steps that it is to take, as far as the record says."""
        return int(self.manifest.get("steps", 0))

    @property
    def newest(self) -> float | None:
        """When the newest step was done [s since 1970]; None before the first."""
        return self._times[-1][0] if self._times else None

    @property
    def rate(self) -> float | None:
        """Steps a second, lately; None where two steps are not known."""
        if len(self._times) < 2 or self._times[-1][0] <= self._times[0][0]:
            return None
        return (len(self._times) - 1) / (self._times[-1][0] - self._times[0][0])

    def look(self) -> bool:
        """Read what is new; a second thread waits for the first, and then finds nothing new."""
        with self._lock:
            changed = self._read_rows()
            changed = self._read_tail() or changed
            state = state_after(self._event, self.folder)
            changed = changed or state != self.state
            self.state = state
            self.version += changed
            return changed

    def _read_rows(self) -> bool:
        changed = False
        if isinstance(self._rows, StepRows) and self._rows.was_cut:  # by a writer that took the run up
            self._begin()
            self._rows = self._new_rows()
        for item in _batched(self._rows.read()):
            changed = True
            if isinstance(item, Said):
                self.words.extend((item.step, text) for text in item.words)
            else:
                self._take(item)
        if self._rows.fault:
            self._begin()
            self._rows = self._new_rows(after_damage=True)
            return self._read_rows() or changed
        return changed

    def _take(self, rows: Rows) -> None:
        scalars, names = rows.columns
        table, first = rows.table, len(FIRST)
        steps = table[:, _STEP]
        self.scalars.add(scalars, steps, table[:, first : first + len(scalars)])
        drawn = names[:_PARAMETERS]
        if drawn:
            begin = first + len(scalars)
            self.parameters.add(drawn, steps, table[:, begin : begin + len(drawn)])
            self.steps = int(steps[-1]) + 1 if "loss" in scalars or "diverged" in scalars else int(steps[-1])
            self._times.extend(zip(table[-_RATE:, _WALL].tolist(), steps[-_RATE:].tolist(), strict=True))
        self.warned += int(table[:, _WARNED].sum())
        kept = np.flatnonzero(table[:, _KEPT])
        if kept.size:
            at = int(kept[-1])
            begin = int(table[at - 1, _END]) if at else self._ends[-1]
            self.kept = Between(int(steps[at]), begin, int(table[at, _END]))
        self._ends.extend(table[-_CHECKPOINTS:, _END].astype(int).tolist())

    def _read_tail(self) -> bool:
        """Events and checkpoints in the journal: after the last steps when it is opened, then all that are new."""
        if self._tail is None:
            self._tail = self._ends[0]
        changed = False
        for text, place in frames(self.folder, self._tail):
            self._tail = place.offset + place.size
            if text.startswith((b'{"array"', b'{"program"')):
                continue
            head = json.loads(text)
            if "event" in head:
                self._event, self.why, changed = head["event"], head["words"], True
            elif head["kind"] == "checkpoint":
                self.checkpoints.append(head)
        return changed


def _batched(items: Iterator[Rows | Said]) -> Iterator[Rows | Said]:
    """Rows of the same columns in a row as one."""
    for columns, group in itertools.groupby(items, lambda item: item.columns if isinstance(item, Rows) else None):
        if columns is None:
            yield from group
            continue
        waiting: list[Array] = []
        for item in group:
            assert isinstance(item, Rows)
            waiting.append(item.table)
            if len(waiting) == _BATCH or len(item.table) > 1:
                yield Rows(columns, np.vstack(waiting))
                waiting = []
        if waiting:
            yield Rows(columns, np.vstack(waiting))
