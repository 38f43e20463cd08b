"""Those who see a run from outside the executor, and whoever may hold it between two steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from labrhel.executor.handler import Handler
from labrhel.shots.operations import Checkpoint, Operation


class Observer(Protocol):
    """Sees operations and answers in model units.  The rig waits for it: it must return at once."""

    def saw(self, operation: Operation, answer: Any) -> None:
        """An operation was carried out and recorded."""
        ...


class Observing:
    """Tells observers of every operation, and asks `between_steps` before the one that follows a checkpoint.

    Then the checkpoint is safe and the next step has not begun: it may wait, and may end the run as Ctrl-C does.
    """

    def __init__(self, inner: Handler, observers: Sequence[Observer], between_steps: Callable[[], None]) -> None:
        self._inner, self._observers, self._between_steps = inner, tuple(observers), between_steps
        self._between = False

    def do(self, operation: Operation) -> Any:
        """Carry out, tell, answer."""
        if self._between:
            self._between = False
            self._between_steps()
        answer = self._inner.do(operation)
        for observer in self._observers:
            observer.saw(operation, answer)
        self._between = isinstance(operation, Checkpoint)
        return answer
