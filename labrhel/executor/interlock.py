"""Conditions that must hold; when one fails the rig is made safe and the run stops.

A `Condition` is asked before each shot: the emergency stop's latch, a door.  A `Guard` looks at what came back: a
converter that clips, an echo that no longer retraces, a loss that runs away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from labrhel.errors import ConditionError, InterlockError
from labrhel.executor.handler import Handler
from labrhel.shots.operations import Operation, RunShots


@dataclass(frozen=True, slots=True)
class Condition:
    """A named watch: `violated()` answers with words when it must stop the run, with "" when all is well."""

    name: str
    violated: Callable[[], str]


class Guard(Protocol):
    """A named watch over operations and their answers."""

    name: str

    def violated(self, operation: Operation, answer: Any) -> str:
        """Words when the run must stop, "" when all is well."""
        ...


class Interlock:
    """Asks every condition before each `RunShots`, and every guard after each operation."""

    def __init__(
        self,
        inner: Handler,
        conditions: Sequence[Condition],
        make_safe: Callable[[], None],
        guards: Sequence[Guard] = (),
    ) -> None:
        self._inner = inner
        self._conditions, self._guards = tuple(conditions), tuple(guards)
        self._make_safe = make_safe

    def do(self, operation: Operation) -> Any:
        """Check the conditions, pass on, and look at what came back."""
        if isinstance(operation, RunShots):
            for condition in self._conditions:
                if words := condition.violated():
                    self._make_safe()
                    raise ConditionError(_said(condition.name, words), condition.name)
        answer = self._inner.do(operation)
        for guard in self._guards:
            if words := guard.violated(operation, answer):
                self._make_safe()
                raise InterlockError(_said(guard.name, words))
        return answer


def _said(name: str, words: str) -> str:
    return f"interlock {name}: {words}; the rig has been made safe"
