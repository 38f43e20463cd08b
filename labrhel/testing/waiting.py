"""Waiting for what another thread, process or instrument does: for the condition itself, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 60.0  # s; only a test that fails waits so long, and a loaded machine must not make one fail

T = TypeVar("T")


def wait_for(what: Callable[[], T], words: str, patience: float = PATIENCE) -> T:
    """What `what()` answers, as soon as that is true; AssertionError after `patience` [s], naming `words`."""
    until = time.monotonic() + patience
    while True:
        if answer := what():
            return answer
        if time.monotonic() > until:
            raise AssertionError(f"waited {patience:g} s for {words}")
        time.sleep(0.005)
