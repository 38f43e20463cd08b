"""Is a record what was written?  Everything is named by its content, so the answer is to hash it all again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from labrhel.errors import RecordError
from labrhel.program import ShotProgram
from labrhel.runstore._arrays import ArrayStore

Rows = Callable[..., list[tuple[Any, ...]]]


def content_digest(*parts: str | bytes) -> str:
    """Digest (32 hexadecimal characters) of texts and bytes, in order."""
    joined = b"\0".join(part.encode() if isinstance(part, str) else part for part in parts)
    return hashlib.blake2b(joined, digest_size=16).hexdigest()


def faults(rows: Rows, arrays: ArrayStore, load_program: Callable[[str], ShotProgram]) -> Iterator[str]:
    """One sentence for everything in a record that is damaged or missing."""
    try:
        for (said,) in rows("PRAGMA quick_check"):
            if said != "ok":
                yield f"the journal is damaged: {said}"
        yield from _shots(rows, arrays)
        yield from _programs(rows, load_program)
        for number, digest, state in rows(
            "SELECT checkpoints.seq, asked, state FROM checkpoints JOIN operations ON checkpoints.seq = operations.seq"
        ):
            if content_digest(state) != digest:
                yield f"the checkpoint of operation {number} is not what was written"
    except RecordError as error:
        yield str(error)
    for path in arrays.damaged():
        yield f"{path} is not what was written: its content does not have the digest that is its name"


def _shots(rows: Rows, arrays: ArrayStore) -> Iterator[str]:
    for (row,) in rows("SELECT id FROM shots WHERE capture IS NOT NULL ORDER BY id"):
        # One at a time: all blobs of a long run do not fit into memory.
        columns = "operation, number, capture, blob, files"
        for operation, number, capture, blob, files in rows(f"SELECT {columns} FROM shots WHERE id = ?", row):
            shot = f"shot {number + 1} of operation {operation}"
            if content_digest(files or "", blob) != capture:
                yield f"the capture of {shot} is not what was written"
                continue
            for name, digest in json.loads(files or "{}").items():
                if not arrays.has(digest):
                    yield f"{name} of {shot} is missing: array {digest}"


def _programs(rows: Rows, load_program: Callable[[str], ShotProgram]) -> Iterator[str]:
    for (digest,) in rows("SELECT digest FROM programs"):
        try:
            if load_program(digest).digest != digest:
                yield f"program {digest} is not what was written"
        except RecordError as error:
            yield f"program {digest} cannot be read: {error}"
        except ValueError as error:
            yield f"program {digest} is damaged: {error}"
