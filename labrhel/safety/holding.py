"""One holder of one file, over all processes of a machine: who writes a run, who speaks to an instrument.

A lock of the operating system, which gives it back when the process dies, however it dies.  The file says who holds it.
"""

from __future__ import annotations

import json
import os
import sys
import time
import weakref
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import ClassVar

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_CLOSED = -1
_LONGEST = 1 << 16  # bytes that are read of the text
_FAR = 1 << 30  # Windows lets nobody read a locked byte, so the lock lies behind the text


class TakenError(Exception):
    """Somebody holds the file; `holder` says who: `process 123 (python train.py) since 2026-01-31 12:00:00`.

    `pid`: the process, 0 if it is not known.
    """

    def __init__(self, holder: str, pid: int = 0) -> None:
        super().__init__(holder)
        self.holder, self.pid = holder, pid


class Held:
    """The exclusive right to `file`, held until `close` or the end of this process, kill -9 included.

    The file is made if it is not there.  Raises TakenError, at once, if it is held, by this process or another.
    """

    _all: ClassVar[weakref.WeakSet[Held]] = weakref.WeakSet()

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        if not _take(self._file):
            holder = _holder(self._file)
            self.close()
            raise TakenError(*holder)
        with suppress(OSError):  # on a full disk the file is empty, and held all the same
            _write_holder(self._file)
        Held._all.add(self)

    def close(self) -> None:
        """Give the file free; harmless twice."""
        file, self._file = self._file, _CLOSED
        if file != _CLOSED:
            os.close(file)

    @staticmethod
    def _leave_to_parent() -> None:
        """A forked child holds nothing: it must not keep a file when its parent dies."""
        for held in list(Held._all):
            held.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Held._leave_to_parent)


def is_held(file: Path) -> bool:
    """True while some process, this one included, holds the file; asking changes nothing in it."""
    try:
        opened = os.open(file, os.O_RDONLY)
    except OSError:
        return False  # never held, or not by anybody who could be running now
    try:
        return not _take(opened)
    finally:
        os.close(opened)


def _take(file: int) -> bool:
    try:
        if sys.platform == "win32":
            os.lseek(file, _FAR, os.SEEK_SET)
            try:
                msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
            finally:
                os.lseek(file, 0, os.SEEK_SET)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _write_holder(file: int) -> None:
    text = {"pid": os.getpid(), "command": " ".join(" ".join(sys.orig_argv).split()), "since": time.time()}
    os.ftruncate(file, 0)
    os.write(file, json.dumps(text).encode())


def _holder(file: int) -> tuple[str, int]:
    with suppress(ValueError, KeyError, TypeError, OSError):
        text = json.loads(os.read(file, _LONGEST))
        since = datetime.fromtimestamp(text["since"]).isoformat(" ", "seconds")
        this = ", this very program," if text["pid"] == os.getpid() else ""
        return f"process {text['pid']}{this} ({text['command'][:200]}) since {since}", int(text["pid"])
    return "another process", 0
