"""One thread that reads for all viewers: ten of them cost a run no more than one does, and none waits for a disk."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

from labrhel.errors import RecordError
from labrhel.view.overview import Overview
from labrhel.view.progress import LOOK, Progress

_LIST_EVERY = 4  # looks at the runs that are watched, for one at the list of all


class Hub:
    """Looks at the runs that somebody watches, and at the list of all, until it is closed."""

    def __init__(self, root: Path, only: Path | None = None) -> None:
        self.overview = Overview(root, only)
        self._watched: dict[str, Progress] = {}
        self._viewers: Counter[str] = Counter()
        self._ended = threading.Event()
        self._wanted = threading.Event()
        self._thread = threading.Thread(target=self._look, name="hub", daemon=True)

    def start(self) -> None:
        """Look at the list once, then go on in a thread."""
        self.overview.look()
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join()

    def watch(self, identity: str) -> Progress | None:
        """The run of that id, which is looked at from now on; None if there is none that can be read."""
        progress = self._watched.get(identity) or self.overview.progress(identity)
        if progress is not None:
            self._watched[identity] = progress
            self._viewers[identity] += 1
            self._wanted.set()
        return progress

    def unwatch(self, identity: str) -> None:
        """One viewer less."""
        self._viewers[identity] -= 1
        if self._viewers[identity] <= 0:
            self._watched.pop(identity, None)

    def _look(self) -> None:
        turn = 0
        while not self._ended.is_set():
            self._wanted.clear()
            for progress in list(self._watched.values()):
                try:
                    progress.look()
                except (RecordError, OSError):
                    continue  # taken away, or being replaced; the list says what it is now
            if turn % _LIST_EVERY == 0:
                self.overview.look()
            turn += 1
            self._wanted.wait(LOOK)
