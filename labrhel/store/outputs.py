"""Files that people asked for: written aside, then renamed, so that what stands under a name is whole.

A full disk, a kill or a failed conversion leaves the file that was there before, or none.  A link under the name is
replaced, never followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from labrhel.errors import LabrhelError, RecordError


@contextmanager
def written_aside(file: Path, size: int = 0, *, making_folders: bool = False) -> Iterator[Path]:
    """A path beside `file`, with its ending, that becomes `file` when the block ends well.

    `size` bytes, where known beforehand, are asked of the disk first: some libraries do not survive a disk that fills
    while they write.  A folder that is not there is made only where that is asked for.  Raises RecordError, and leaves
    `file` as it was, if it cannot be written.
    """
    aside = file.with_name(f".{os.getpid()}.{file.name}")
    try:
        if making_folders:
            file.parent.mkdir(parents=True, exist_ok=True)
        if size and hasattr(os, "posix_fallocate"):
            with aside.open("wb") as room:
                os.posix_fallocate(room.fileno(), 0, size)
        yield aside
        with aside.open("rb") as written:
            os.fsync(written.fileno())
        aside.replace(file)
    except LabrhelError:
        raise
    except OSError as error:
        raise RecordError(f"{file} could not be written: {error.strerror or error}; nothing else changed") from None
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
