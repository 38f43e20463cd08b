"""A file of JSON lines that only grows: a checksum in each, written in one go, on the disk when it returns.

A kill or a full disk tears the last line, which nobody was told of.  The line that comes after it says how many bytes
it closes, so that a torn line and a damaged one are never taken for each other.  Lines of earlier versions have no
checksum, and no key that this version does not know.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labrhel.errors import RecordError

_CHECK, _CLOSES = "check", "closes"
_UNCHECKED = {"id", "time", "kind", "rig", "node", "firmware", "values", "refers", "words"}


def append_line(file: Path, line: Mapping[str, Any]) -> None:
    """Add a line; raises RecordError, and leaves the file as it was, if it cannot be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o644)
        try:
            end = os.fstat(opened).st_size
            rest = _text(line, _tail(file, end))
            try:
                while rest:  # a full disk, for one, takes a part; the next attempt then says why
                    rest = rest[os.write(opened, rest) :]
                os.fsync(opened)
            except BaseException:
                os.ftruncate(opened, end)
                raise
        finally:
            os.close(opened)
    except OSError as error:
        raise RecordError(f"cannot write {file}: {error.strerror}; nothing was accepted") from None


def read_lines(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and content of every line that was acknowledged.  RecordError for one that is not what was written."""
    try:
        lines = file.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    except OSError as error:
        raise RecordError(f"{file} cannot be read: {error.strerror}") from None
    doubtful: tuple[int, int] | None = None  # number and size of a line that may have been torn
    checked = False
    for number, text in enumerate(lines, 1):
        if not text:
            continue
        data = _parsed(text, checked)
        if data is None:
            if doubtful is not None:
                break
            doubtful = number, len(text)
            continue
        closes = data.pop(_CLOSES, 0)
        if doubtful is not None and closes != doubtful[1]:
            break
        doubtful, checked = None, checked or _CHECK in data
        data.pop(_CHECK, None)
        yield number, data
    torn = doubtful is None or (doubtful[0] == len(lines) and _parsed(lines[-1][:-1], checked) is None)
    if not torn:
        assert doubtful is not None
        raise RecordError(f"{file}:{doubtful[0]} is damaged; restore the file from a copy")


def _tail(file: Path, end: int) -> bytes:
    """What stands after the last new line: nothing, unless a line was cut short."""
    with file.open("rb") as read:
        return read.read(end).rpartition(b"\n")[2]


def _text(line: Mapping[str, Any], tail: bytes) -> bytes:
    """The line as it is added after an unfinished `tail`; one that lacks its new line alone is whole."""
    torn = bool(tail) and _parsed(tail, after_checked=False) is None
    body = json.dumps({**line, _CLOSES: len(tail)} if torn else dict(line))
    checked = f'{body[:-1]}, "{_CHECK}": {zlib.crc32(body.encode())}}}\n'
    return f"{chr(10) if tail else ''}{checked}".encode()


def _parsed(text: bytes, after_checked: bool) -> dict[str, Any] | None:  # noqa: FBT001
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    if _CHECK not in data:
        return None if after_checked or data.keys() - _UNCHECKED else data
    body = text.rpartition(b', "')[0] + b"}"
    return data if zlib.crc32(body) == data[_CHECK] else None
