"""A tap: those who look at operations as they pass, and may hold or stop them, but change none.

It stands anywhere: around the whole executor it sees model units, around the backend what reaches the rig.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from labrhel.executor.handler import Handler
from labrhel.shots.operations import Checkpoint, Operation, Publish

Before = Callable[[Operation], None]
After = Callable[[Operation, Any], None]
"""Sees an operation, and its answer, once it was carried out.  The rig waits for it: it must return at once."""


class Tap:
    """Calls each of `before` with every operation, and each of `after` with the operation and its answer."""

    def __init__(self, inner: Handler, *, before: Sequence[Before] = (), after: Sequence[After] = ()) -> None:
        self._inner, self._before, self._after = inner, tuple(before), tuple(after)

    def do(self, operation: Operation) -> Any:
        """Tell, carry out, tell, answer."""
        for look in self._before:
            look(operation)
        answer = self._inner.do(operation)
        for saw in self._after:
            saw(operation, answer)
        return answer


def between_steps(act: Callable[[], None]) -> Before:
    """Calls `act` before the operation that follows a checkpoint.

    Then the checkpoint is safe and the next step has not begun: it may wait, and may end the run as Ctrl-C does.
    """
    is_due = False

    def look(operation: Operation) -> None:
        nonlocal is_due
        if is_due:
            is_due = False
            act()
        is_due = isinstance(operation, Checkpoint)

    return look


def published(watch: Callable[[Publish], None]) -> After:
    """Calls `watch` with every `Publish` that was carried out."""

    def saw(operation: Operation, answer: Any) -> None:
        if isinstance(operation, Publish):
            watch(operation)

    return saw
