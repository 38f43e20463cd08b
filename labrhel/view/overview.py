"""The runs of a folder with their states, newest first: those that go on are looked at each time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from labrhel.errors import RecordError
from labrhel.store._journal import FILE as JOURNAL
from labrhel.store.folder import run_folders
from labrhel.store.index import ALIVE
from labrhel.view.progress import Progress

MOST = 200
"""Runs that are listed: the newest."""


@dataclass(frozen=True, slots=True)
class Line:
    """A run at a glance; `why`: how it ended, or what is damaged."""

    folder: Path
    id: str
    name: str
    rig: str
    created: str
    state: str
    steps: int
    planned: int
    loss: float
    why: str


class Overview:
    """All runs of a folder, or the one that the folder is; `lines` after `look`, and `version` counts their changes."""

    def __init__(self, root: Path, only: Path | None = None) -> None:
        self.root, self._only = root, only
        self.lines: tuple[Line, ...] = ()
        self.left_out = 0
        self.version = 0
        self._known: dict[Path, tuple[object, Line]] = {}
        self._alive: dict[Path, Progress] = {}

    def look(self) -> bool:
        """Bring the lines up to date; True if any changed."""
        folders = run_folders(self.root) if self._only is None else [self._only]
        self.left_out = max(0, len(folders) - MOST)
        self._alive = {folder: item for folder, item in self._alive.items() if folder in folders}
        lines = tuple(self._line(folder) for folder in folders[:MOST])
        changed = lines != self.lines
        self.lines = lines
        self.version += changed
        return changed

    def progress(self, identity: str) -> Progress | None:
        """The run of that id, to be looked at; None if there is none, or it cannot be read."""
        for line in self.lines:
            if line.id == identity:
                try:
                    return self._alive.get(line.folder) or Progress(line.folder)
                except RecordError:
                    return None
        return None

    def _line(self, folder: Path) -> Line:
        stamp = _stamp(folder)
        known = self._known.get(folder)
        if known is not None and known[0] == stamp and known[1].state not in ALIVE:
            return known[1]
        try:
            progress = self._alive.get(folder) or Progress(folder)
            progress.look()
            if progress.state in ALIVE:
                self._alive[folder] = progress
            line = _line_of(progress)
            if line.state not in ALIVE:
                self._alive.pop(folder, None)
        except RecordError as error:
            line = Line(folder, folder.name, folder.name, "", "", "damaged", 0, 0, math.nan, str(error))
        self._known[folder] = stamp, line
        return line


def _line_of(progress: Progress) -> Line:
    manifest, loss = progress.manifest, progress.scalars.last("loss")
    return Line(
        progress.folder,
        progress.id,
        manifest["name"],
        manifest.get("rig", ""),
        manifest["created"],
        progress.state,
        progress.steps,
        progress.planned,
        math.nan if loss is None else loss[1],
        progress.why,
    )


def _stamp(folder: Path) -> object:
    try:
        state = (folder / JOURNAL).stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns
