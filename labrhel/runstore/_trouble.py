"""What the operating system says of a failed write, as one sentence that says whether the shot counts."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labrhel.errors import RecordError

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn errors of writing below `path` into RecordError."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise RecordError(_full(path)) from error
        if error.errno in _FORBIDDEN:
            raise RecordError(_forbidden(path)) from error
        raise RecordError(
            f"the record could not be written, {path}: {error.strerror}; the shot was not acknowledged"
        ) from error


def _full(path: Path) -> str:
    return (
        f"the record could not be written, the disk that holds {path} is full; the shot was not acknowledged; "
        "free some space and resume the run"
    )


def _forbidden(path: Path) -> str:
    return (
        f"the record could not be written, {path} is not writable; the shot was not acknowledged; "
        "change its permissions or choose another folder with --out"
    )
