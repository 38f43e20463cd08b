"""Threads and files that outlive what opened them."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path

from labrhel.testing.waiting import wait_for

_PATIENCE = 20.0  # s; only a test that leaks waits so long


@contextmanager
def no_leaks() -> Iterator[None]:
    """Ends with as many threads and open files as it began with, or with an AssertionError.

    Threads and files end a moment after they are told to, so their end is waited for.
    """
    resource_tracker.ensure_running()  # of multiprocessing: it stays, whoever starts it
    gc.collect()
    gc.freeze()  # what is alive now is not searched again: half a second each time, in a process that has imported much
    threads, files = threading.active_count(), _open_files()

    def none_left() -> bool:
        gc.collect()
        return threading.active_count() <= threads and _open_files() <= files

    yield
    if not none_left():
        wait_for(none_left, f"no more than {threads} threads and {files} open files", patience=_PATIENCE)


def _open_files() -> int:
    folder = Path("/proc/self/fd")  # elsewhere than on Linux, threads alone are counted
    return len(list(folder.iterdir())) if folder.exists() else 0
