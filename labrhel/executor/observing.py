"""Somebody who sees a run from outside the executor, and may hold it between two steps."""

from __future__ import annotations

from typing import Any, Protocol

from labrhel.executor.handler import Handler
from labrhel.operations import Checkpoint, Operation


class Observer(Protocol):
    """Sees operations and answers in model units.  The rig waits for it: it must return at once."""

    def saw(self, operation: Operation, answer: Any) -> None:
        """An operation was carried out and recorded."""
        ...

    def between_steps(self) -> None:
        """A checkpoint is safe and the next step has not begun; may wait, and may end the run as Ctrl-C does."""
        ...


class Observing:
    """Tells an observer of every operation; `between_steps` comes only if another operation follows a checkpoint."""

    def __init__(self, inner: Handler, observer: Observer) -> None:
        self._inner, self._observer = inner, observer
        self._between = False

    def do(self, operation: Operation) -> Any:
        """Carry out, tell, answer."""
        if self._between:
            self._between = False
            self._observer.between_steps()
        answer = self._inner.do(operation)
        self._observer.saw(operation, answer)
        self._between = isinstance(operation, Checkpoint)
        return answer
