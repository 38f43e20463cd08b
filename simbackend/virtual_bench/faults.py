"""Faults of an instrument and its wire, ordered through a side channel and never by an SCPI command.

late        the answer comes `amount` seconds late
lost        the last `amount` bytes of the answer are lost, its terminator too
terminator  the answer ends with the wrong character
garbage     `amount` bytes that mean nothing come before the answer
reset       the connection breaks instead of an answer
restart     the instrument restarts: all connections break, settings are those of power-on, and it cannot be reached
            for `amount` seconds
busy        the instrument is stuck for `amount` seconds before it obeys
error       an error `amount` enters the queue
clip        its inputs are driven `amount` times as hard, until it is ordered with amount 1
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from labrhel.config.problems import nearest
from labrhel.errors import ConfigurationError

_USUAL = {
    "late": 0.5, "lost": 2.0, "terminator": 0.0, "garbage": 4.0, "reset": 0.0, "restart": 0.2, "busy": 0.5,
    "error": -310.0, "clip": 100.0,
}  # fmt: skip
KINDS = tuple(_USUAL)
ON_ANSWERS = ("late", "lost", "terminator", "garbage")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `amount` as in the table above, None: its usual one."""

    kind: str
    amount: float

    @classmethod
    def of(cls, kind: str, amount: float | None = None) -> Fault:
        """Raises ConfigurationError for a kind that does not exist."""
        if kind not in _USUAL:
            raise ConfigurationError(f"there is no fault {kind!r}; {nearest(kind, _USUAL)}")
        return cls(kind, _USUAL[kind] if amount is None else float(amount))


class Faults:
    """The faults that are still to come to one instrument, in order, after so many exchanges each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._coming: deque[tuple[int, Fault]] = deque()
        self.happened: list[Fault] = []

    def order(self, fault: Fault, after: int = 0) -> None:
        """Let a fault happen once: on the first exchange that it fits, `after` exchanges from now."""
        with self._lock:
            self._coming.append((after, fault))

    def clear(self) -> None:
        """Forget faults that have not happened yet."""
        with self._lock:
            self._coming.clear()

    def due(self) -> Fault | None:
        """At the start of an exchange: the fault that may happen in it."""
        with self._lock:
            if not self._coming:
                return None
            left, fault = self._coming[0]
            self._coming[0] = (max(left - 1, 0), fault)
            return fault if left == 0 else None

    def take(self, fault: Fault) -> Fault:
        """Take the fault that happens now."""
        with self._lock:
            self._coming.popleft()
            self.happened.append(fault)
            return fault
