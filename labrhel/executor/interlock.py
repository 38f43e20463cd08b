"""Conditions that must hold before each shot; when one fails the rig is made safe and the run stops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from labrhel.errors import InterlockError
from labrhel.executor.handler import Handler
from labrhel.operations import Operation, RunShots


@dataclass(frozen=True, slots=True)
class Condition:
    """A named watch: `violated()` answers with words when it must stop the run, with "" when all is well."""

    name: str
    violated: Callable[[], str]


class Interlock:
    """Asks every condition before each `RunShots`."""

    def __init__(self, inner: Handler, conditions: Sequence[Condition], make_safe: Callable[[], None]) -> None:
        self._inner = inner
        self._conditions = tuple(conditions)
        self._make_safe = make_safe

    def do(self, operation: Operation) -> Any:
        """Check the conditions, then pass on."""
        if isinstance(operation, RunShots):
            for condition in self._conditions:
                words = condition.violated()
                if words:
                    self._make_safe()
                    raise InterlockError(f"interlock {condition.name}: {words}; the rig has been made safe")
        return self._inner.do(operation)
