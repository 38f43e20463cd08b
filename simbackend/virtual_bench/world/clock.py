"""The time of the virtual bench, and the one lock under which it moves.

At speed 1 the bench is as slow as a real one, at speed 10 all its waits take a tenth of their time.  At infinite
speed it keeps the pace of the host, but whoever would wait for an acquisition, a burst or the ring-down skips it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from labrhel.errors import ConfigurationError

_LONGEST_NAP = 0.05  # s; a bench that is being closed is noticed after this


class Clock:
    """Seconds since the bench was switched on.  `lock` guards everything that belongs to the bench."""

    def __init__(self, speed: float = math.inf, source: Callable[[], float] = time.monotonic) -> None:
        if not speed > 0:
            raise ConfigurationError(f"the speed of a bench is a positive number, not {speed}")
        self.lock = threading.Condition(threading.RLock())
        self.skips = math.isinf(speed)
        self._pace = 1.0 if self.skips else speed
        self._source, self._start, self._skipped = source, source(), 0.0
        self._closed = False
        self._frozen: float | None = None

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Under the lock, all that happens inside happens at one moment, unless it waits."""
        with self.lock:
            self._frozen = self.now()
            try:
                yield
            finally:
                self._frozen = None

    def now(self) -> float:
        """The time of the virtual bench [s]."""
        if self._frozen is not None:
            return self._frozen
        return (self._source() - self._start) * self._pace + self._skipped

    def skip_to(self, moment: float) -> None:
        """At infinite speed: let it be `moment`, if that is not past."""
        if self.skips:
            self._frozen = None
            self._skipped += max(0.0, moment - self.now())

    def wait_until(self, moment: float, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Wait, with the lock given back meanwhile; returns early if cancelled, and when the bench closes."""
        self.skip_to(moment)
        self.wait_for(lambda: self.now() >= moment or cancelled(), lambda: (moment - self.now()) / self._pace)

    def wait_for(self, happened: Callable[[], bool], left: Callable[[], float] = lambda: _LONGEST_NAP) -> None:
        """Wait until something has happened, of which the lock is notified or which is `left` seconds away."""
        with self.lock:
            self._frozen = None
            while not self._closed and not happened():
                self.lock.wait(min(max(left(), 1e-4), _LONGEST_NAP))

    def close(self) -> None:
        """Wake up whoever waits."""
        with self.lock:
            self._closed = True
            self.lock.notify_all()
