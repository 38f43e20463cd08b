"""One owner for one resource, over all processes of a machine."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
import weakref
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from drivers.transport.address import canonical_address
from drivers.transport.deadline import Deadline
from labrhel.errors import TransportError
from labrhel.safety.places import state_folder

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_FAR = 1 << 30  # Windows lets nobody read a locked byte, so the lock lies behind the text


class Lease:
    """The exclusive right to a resource, held until `close` or the end of this process, kill -9 included.

    It is a lock of the operating system on a file in `folder`, named after the canonical address; the file says who
    holds it.  Raises TransportError, naming the holder, if the resource is not free within `wait` seconds.
    """

    _held: ClassVar[weakref.WeakSet[Lease]] = weakref.WeakSet()

    def __init__(self, address: str, *, folder: Path | None = None, wait: float = 0.0) -> None:
        self.resource = canonical_address(address)
        folder = (folder or state_folder()) / "leases"
        folder.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^A-Za-z0-9.]+", "_", self.resource).strip("_")[:80]
        file = folder / f"{name}-{hashlib.sha256(self.resource.encode()).hexdigest()[:8]}.lease"
        self._file = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        deadline = Deadline(wait)
        while not _lock(self._file):
            if not deadline.remaining:
                holder = _holder(self._file)
                self.close()
                raise TransportError(f"{self.resource} is in use by {holder}: stop that program, or wait until it ends")
            time.sleep(min(0.02, deadline.remaining))
        _write_holder(self._file)
        Lease._held.add(self)

    def close(self) -> None:
        """Give the resource back; harmless twice."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @staticmethod
    def _leave_to_parent() -> None:
        """A forked child holds no lease: it must not keep one alive when its parent dies."""
        for lease in list(Lease._held):
            lease.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Lease._leave_to_parent)


def _lock(file: int) -> bool:
    try:
        if sys.platform == "win32":
            os.lseek(file, _FAR, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _write_holder(file: int) -> None:
    text = {"pid": os.getpid(), "command": " ".join(" ".join(sys.orig_argv).split()), "since": time.time()}
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, json.dumps(text).encode())


def _holder(file: int) -> str:
    with suppress(ValueError, KeyError, TypeError, OSError):
        os.lseek(file, 0, os.SEEK_SET)
        text = json.loads(os.read(file, 1 << 16))
        since = datetime.fromtimestamp(text["since"]).isoformat(" ", "seconds")
        this = ", this very program," if text["pid"] == os.getpid() else ""
        return f"process {text['pid']}{this} ({text['command'][:200]}) since {since}"
    return "another process"
