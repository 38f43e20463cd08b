"""A link that is stuck: when an operation takes too long the rig is made safe while it still hangs.

No program can take a call back that waits in a driver, but the rig can be made safe from another thread, by the way
that its transport has for that.  When the call returns, or fails, the run ends with a DeadlineError.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from labrhel.errors import DeadlineError, LabrhelError
from labrhel.executor.handler import Handler
from labrhel.shots.operations import Operation, RunShots

_LOOK = 0.1  # s between two looks


class Watchdog:
    """Watches over the inner handler inside a `with` block.

    Shots may take `slack` times the time they take on the rig, and `patience` [s] more; everything else `patience`.
    On the path of the run it costs two assignments and two readings of the clock an operation.
    """

    def __init__(
        self,
        inner: Handler,
        make_safe: Callable[[], None],
        time_unit: float,
        rest: float,
        patience: float,
        *,
        slack: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner, self._make_safe, self._clock = inner, make_safe, clock
        self._unit, self._rest, self._patience, self._slack = time_unit, rest, patience, slack
        self._until = math.inf
        self._barked = ""
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Watchdog:
        self._ended.clear()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def do(self, operation: Operation) -> Any:
        """Pass on; DeadlineError if it took too long, whatever became of it."""
        allowed = self._patience + self._slack * self._duration(operation)
        self._until = self._clock() + allowed
        try:
            answer = self._inner.do(operation)
        except LabrhelError as error:
            if self._barked:
                raise DeadlineError(self._words(operation, allowed)) from error
            raise
        finally:
            self._until = math.inf
        if self._barked:
            raise DeadlineError(self._words(operation, allowed))
        return answer

    def _words(self, operation: Operation, allowed: float) -> str:
        name = type(operation).__name__
        return f"{name} took longer than {allowed:.3g} s, as if a link were stuck: look at the cables; {self._barked}"

    def _duration(self, operation: Operation) -> float:
        if not isinstance(operation, RunShots):
            return 0.0
        return sum(
            shot.repeats * (self._rest + self._unit * shot.dt * sum(item.steps for item in shot.passes))
            for shot in operation.compiled
        )

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK):
            if self._clock() > self._until and not self._barked:
                self._barked = "the rig is being made safe"
                try:
                    self._make_safe()
                    self._barked = "the rig has been made safe"
                except Exception as error:  # whatever it is, whoever waits has to know
                    self._barked = f"the rig could NOT be made safe ({error}): switch its outputs off by hand"
