"""What a loaded machine adds to a time that is measured on it: how long this process itself stood still meanwhile.

A thread that sleeps for 2 ms and looks is late when the machine runs others, or when something here holds Python, such
as a virtual bench that computes a motion, and obeys nobody meanwhile.  What it is late for counts as standing still.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

_LOOK = 0.002  # s between two looks
_LATE = 0.01  # s that a look may be late for nothing


class Standstill:
    """Looks all the time, inside a `with` block; `last` is when the `look` last said yes [s, monotonic]."""

    def __init__(self, look: Callable[[], object] = lambda: False) -> None:
        self._look, self._ended = look, threading.Event()
        self._gaps: list[tuple[float, float]] = []
        self._thread = threading.Thread(target=self._go_on)
        self.last = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def between(self, begin: float, end: float) -> float:
        """Seconds of standing still between two moments [s, monotonic]."""
        return sum(max(0.0, min(gap, end) - max(since, begin)) for since, gap in list(self._gaps))

    def _go_on(self) -> None:
        before = time.monotonic()
        while not self._ended.wait(_LOOK):
            seen, now = self._look(), time.monotonic()
            if now - before > _LOOK + _LATE:
                self._gaps.append((before + _LOOK, now))
            if seen:
                self.last = now
            before = now
