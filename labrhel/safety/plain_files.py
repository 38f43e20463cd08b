"""Reading a file that somebody else named: only a file, only once, and never more of it than is expected.

A pipe would never end, a device gives without end, and a file of gigabytes fills the memory before anybody looks at it.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

LARGEST_TEXT = 10_000_000
"""Bytes of a file that people write by hand: configurations, station files, certificates."""

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def read_plain(file: Path, largest: int = LARGEST_TEXT) -> bytes:
    """The bytes of a file.

    Raises OSError, whose `strerror` says why, for what cannot be opened, is no file, or is longer than `largest`.
    """
    with os.fdopen(os.open(file, _FLAGS), "rb") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is a folder, a pipe or a device, and no file", str(file))
        content = opened.read(largest + 1)
    if len(content) > largest:
        raise OSError(errno.EFBIG, f"it is longer than {largest / 1e6:g} MB", str(file))
    return content


def require_plain_file(file: Path, largest: int) -> int:
    """The size [bytes] of a file that a library will open by its name; raises OSError as `read_plain` does."""
    about = file.stat()
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "it is a folder, a pipe or a device, and no file", str(file))
    if about.st_size > largest:
        raise OSError(errno.EFBIG, f"it is longer than {largest / 1e6:g} MB", str(file))
    return about.st_size
