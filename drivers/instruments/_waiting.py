"""Waiting for an instrument by asking it again and again."""

from __future__ import annotations

import time
from collections.abc import Callable

from labrhel.errors import DeadlineError

_LONGEST_PAUSE = 0.01  # s


def wait_until(happened: Callable[[], bool], seconds: float, problem: str) -> None:
    """Ask until it has happened, ever more slowly; raises DeadlineError, with `problem`, after `seconds`."""
    end, pause = time.monotonic() + seconds, 5e-4
    while not happened():
        if time.monotonic() >= end:
            raise DeadlineError(f"{problem} within {seconds:g} s")
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
