"""Between the control path and the publisher: a bounded queue that drops the oldest, and the newest capture alone."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from labrhel.shots.capture import Capture
from labrhel.shots.operations import Publish

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Taken(Generic[T]):
    """One thing out of the box: put at `time` [s since 1970] during `step`, after `dropped` others were lost."""

    item: T
    step: int
    time: float
    dropped: int


class Outbox:
    """Put into by one thread, taken from by another.  Putting is one append to a deque and never waits."""

    def __init__(self, bound: int, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._queue: deque[tuple[int, float, Publish]] = deque(maxlen=bound)
        self._newest: deque[tuple[int, float, Capture]] = deque(maxlen=1)
        self._put = self._taken = 0

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, published: Publish) -> None:
        """Scalars of a step, in order; a full queue lets go of its oldest."""
        self._put += 1
        self._queue.append((self._put, self._clock(), published))

    def put_capture(self, step: int, capture: Capture) -> None:
        """A capture, in the place of one that has not been taken."""
        self._newest.append((step, self._clock(), capture))

    def take(self) -> Taken[Publish] | None:
        """The oldest scalars, or None."""
        try:
            number, when, published = self._queue.popleft()
        except IndexError:
            return None
        dropped, self._taken = number - self._taken - 1, number
        return Taken(published, published.step, when, dropped)

    def take_capture(self) -> Taken[Capture] | None:
        """The newest capture, or None."""
        try:
            step, when, capture = self._newest.popleft()
        except IndexError:
            return None
        return Taken(capture, step, when, 0)
