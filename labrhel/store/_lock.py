"""One writer per run: a lock that the operating system gives back when the process dies, however it dies."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

from labrhel.errors import RecordError
from labrhel.store._trouble import writing

FILE = "writer.lock"


class WriterLock:
    """Held from construction to `release`; raises RecordError while another process writes the run."""

    def __init__(self, folder: Path) -> None:
        with writing(folder):
            self._file = (folder / FILE).open("a+")
        if not _take(self._file):
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise RecordError(
                f"another process (id {holder}) is writing {folder}; wait for it to end, or stop it, then resume"
            )
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Give the run free; doing it twice does no harm."""
        self._file.close()


def is_locked(folder: Path) -> bool:
    """True while some process, this one included, writes the run."""
    try:
        file = (folder / FILE).open("r")
    except OSError:
        return False  # never written, or not by anybody who could be running now
    with file:
        return not _take(file)


if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 20  # a byte beyond the text, which others must be able to read

    def _take(file: IO[str]) -> bool:
        file.seek(_FAR)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            file.seek(0)
        return True

else:
    import fcntl

    def _take(file: IO[str]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
