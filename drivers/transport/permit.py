"""What a thread may send: nothing any more but what makes safe, once it was stopped.

A link asks here under its lock, before each message.  Whoever stops a rig says so first, and then takes the lock for
OFF: a message that was let through before is on the wire before OFF is, and no other is sent, whatever its thread was
in the middle of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from labrhel.errors import InstrumentError
from labrhel.safety import processes


class StoppedError(InstrumentError):
    """Nothing was sent, since the rig was made safe, or the emergency stop is latched."""


@contextmanager
def making_safe() -> Iterator[None]:
    """Inside the block this thread makes safe: whatever was stopped, it sends."""
    before = _check.set(_nothing)
    try:
        yield
    finally:
        _check.reset(before)


@contextmanager
def as_long_as(check: Callable[[], None]) -> Iterator[None]:
    """Inside the block this thread sends as long as `check` raises nothing, and no emergency stop holds it back."""

    def both() -> None:
        _unless_held_back()
        check()

    before = _check.set(both)
    try:
        yield
    finally:
        _check.reset(before)


def is_making_safe() -> bool:
    """Whether this thread makes safe: then nothing is to hold it up that could have been found before."""
    return _check.get() is _nothing


def require_permit() -> None:
    """Raises StoppedError, or what the `check` of this thread raises, if it must not send; under the link's lock."""
    _check.get()()


def _nothing() -> None:
    pass


def _unless_held_back() -> None:
    if since := processes.held_back():
        raise StoppedError(f"the emergency stop is latched since {since}: nothing was sent")


_check: ContextVar[Callable[[], None]] = ContextVar("check", default=_unless_held_back)
