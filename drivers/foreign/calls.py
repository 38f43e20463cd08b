"""What stands in place of a wire where a driver has none of ours: one call at a time, and one program.

A driver of a vendor's library, or with a socket of its own, can be asked for a permit before each call, and leased by
what it is made with.  What it sends is not on record, and a call that is going on cannot be interrupted: who makes safe
waits for its end.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from drivers.transport import Lease
from labrhel.errors import TransportError

_LONGEST = 2.0  # s that making safe waits for a call, beyond the patience of whoever asks


class Calls:
    """The calls of the driver `name`, which is leased as `resource`; options as those of `open_driver_wire`."""

    def __init__(self, name: str, resource: str, *, wait: float = 0.0, dying: int | None = None) -> None:
        self._name, self._lock = name, threading.RLock()
        self._lease = Lease(resource, wait=wait, dying=dying)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep all other threads off it for several calls in a row."""
        with self._lock:
            yield

    @contextmanager
    def taken_over(self, patience: float) -> Iterator[None]:
        """The same, for whoever cannot wait; TransportError where a call does not come to its end."""
        if not self._lock.acquire(timeout=patience + _LONGEST):
            raise TransportError(
                f"{self._name}: its driver does not come back from a call, and has no wire that could be interrupted"
            )
        try:
            yield
        finally:
            self._lock.release()

    def close(self) -> None:
        """Give the lease back, after a running call; harmless twice."""
        with self._lock:
            self._lease.close()
