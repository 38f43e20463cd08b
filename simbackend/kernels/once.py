"""Programs that begin together compile a kernel once: one of them does, the others wait and load what it kept.

The points of a sweep, and the workers of a test run, would otherwise compile the same for ten seconds each.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

try:
    import fcntl
except ImportError:  # no POSIX: each program compiles for itself
    fcntl = None

_PATIENCE, _PAUSE = 60.0, 0.05  # [s]: somebody who takes longer has stopped, and is not waited for
_PLACES = 2**31 - 1  # bytes of the lock file, of which none needs to exist


@contextmanager
def one_at_a_time(folder: str, what: str) -> Iterator[None]:
    """Nobody else compiles `what` into the cache in `folder` meanwhile; where that cannot be had, somebody may.

    Locks are of bytes of one file, which the system gives back when a program ends, however it ends.
    """
    file, place = _lock_file(folder), zlib.crc32(what.encode()) % _PLACES
    held = fcntl is not None and file >= 0 and _taken(file, place)
    try:
        yield
    finally:
        if fcntl is not None and held:
            fcntl.lockf(file, fcntl.LOCK_UN, 1, place)


def _taken(file: int, place: int) -> bool:
    assert fcntl is not None
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except BlockingIOError:
            time.sleep(_PAUSE)
        except OSError:  # a file system without locks
            return False
        else:
            return True
    return False


@cache
def _lock_file(folder: str) -> int:
    """Its descriptor, which stays open: to close it would give back every lock of this program; -1 without one."""
    try:
        return os.open(Path(folder) / "labrhel-kernels.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return -1
