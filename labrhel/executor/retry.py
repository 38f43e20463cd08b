"""Second chances for shots whose link failed, and only for shots that prepare their own start."""

from __future__ import annotations

from typing import Any

from labrhel.errors import ConfigurationError, TransportError
from labrhel.executor.handler import Handler
from labrhel.shots.operations import Operation, Read, RunShots


class Retry:
    """Repeats a `RunShots` or `Read` after a TransportError, at most `attempts` times in all.

    A shot that goes on from a held state, and a `Configure`, are never repeated: what the device did before the
    link failed is unknown.
    """

    def __init__(self, inner: Handler, attempts: int = 3) -> None:
        if attempts < 1:
            raise ConfigurationError(f"an operation is attempted 1, 2, ... times, not {attempts}")
        self._inner = inner
        self._attempts = attempts

    def do(self, operation: Operation) -> Any:
        """Pass on, again if that is safe."""
        for attempt in range(1, self._attempts + 1):
            try:
                return self._inner.do(operation)
            except TransportError:
                if attempt == self._attempts or not _repeatable(operation):
                    raise
        raise AssertionError("unreachable: the last attempt returned or raised")


def _repeatable(operation: Operation) -> bool:
    if isinstance(operation, RunShots):
        return all(program.may_be_retried for program in operation.programs)
    return isinstance(operation, Read)
