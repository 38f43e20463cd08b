"""A deadline: one time-out for a whole exchange, of which every step gets what remains."""

from __future__ import annotations

import time
from collections.abc import Callable


class Deadline:
    """`seconds` from now, by a monotonic clock [s]."""

    __slots__ = ("_clock", "_end", "seconds")

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._end = clock() + seconds

    @property
    def remaining(self) -> float:
        """Seconds left; never negative."""
        return max(self._end - self._clock(), 0.0)

    def require(self) -> float:
        """Seconds left; raises TimeoutError when there are none."""
        left = self.remaining
        if left <= 0.0:
            raise TimeoutError(f"no answer within {self.seconds:g} s")
        return left
