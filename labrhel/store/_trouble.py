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
def writing(path: Path, so: str = "the shot was not acknowledged") -> Iterator[None]:
    """Turn errors of writing below `path` into RecordError; `so` says what follows from them."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise RecordError(_full(path, so)) from error
        if error.errno in _FORBIDDEN:
            raise RecordError(_forbidden(path, so)) from error
        raise RecordError(f"the record could not be written, {path}: {error.strerror}; {so}") from error


def _full(path: Path, so: str) -> str:
    return (
        f"the record could not be written, the disk that holds {path} is full; {so}; free some space and resume the run"
    )


def _forbidden(path: Path, so: str) -> str:
    return (
        f"the record could not be written, {path} is not writable; {so}; "
        "change its permissions or choose another folder with --out"
    )
