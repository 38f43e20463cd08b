"""Reading a file in a process apart: what damaged or hostile bytes do to a library ends there, not here.

scipy, HDF5 and SQLite are written in C and trust what a file says of itself: one can end the process that reads it
(SIGSEGV), keep it busy for ever, or ask for all the memory.  A child with bounded time and memory,
`labrhel.data.readers`, reads instead, and answers with plain numbers over a pipe: a line of JSON, then the bytes of the
arrays one after the other.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.data.formats.interface import LARGEST_FILE, Entry, Index, Listing, Pick, UnreadableError
from labrhel.safety.plain_files import require_plain_file

CPU, CPU_PER_BYTE = 5, 2e-7
"""Seconds of computing that a file may cost: to begin with, and 5 MB/s, a tenth of what the slowest format takes."""

_WALL = 60.0  # s; a loaded machine takes long to start Python
_ENDED = {"SIGXCPU": "reading it takes too long", "SIGKILL": "reading it takes too much memory"}


@dataclass(frozen=True, slots=True)
class ReaderApart:
    """The reader `kind` of `labrhel.data.readers`, in a process of its own for each call."""

    kind: str

    def contents(self, file: Path) -> Listing:
        head, _ = _answer(json.dumps({"kind": self.kind, "do": "contents"}), file)
        return listing_from(head["listing"])

    def read(self, file: Path, picks: Sequence[Pick]) -> list[Array]:
        asked = [[pick.name, index_to(pick.index)] for pick in picks]
        head, body = _answer(json.dumps({"kind": self.kind, "do": "read", "picks": asked}), file)
        return [array for _, array in _arrays(head, body)]


def read_apart(kind: str, file: Path) -> dict[str, Array]:
    """Read-only arrays by name, all that the reader `kind` of `labrhel.data.readers` finds.

    Raises UnreadableError for what cannot be read, OSError for what cannot be opened.
    """
    head, body = _answer(kind, file)
    return dict(_arrays(head, body))


def _answer(request: str, file: Path) -> tuple[dict[str, Any], bytes]:
    size = require_plain_file(file, LARGEST_FILE)
    try:
        status, answered = finished(request, file.absolute(), _WALL + 4 * CPU_PER_BYTE * size)
    except subprocess.TimeoutExpired:
        raise UnreadableError("reading it takes too long") from None
    if status < 0:
        name = signal.Signals(-status).name
        raise UnreadableError(_ENDED.get(name, f"it is damaged, and ended the program that read it ({name})"))
    head, _, body = answered.partition(b"\n")
    if status or not head:
        raise UnreadableError("")
    answer = json.loads(head)
    if "refused" in answer:
        raise UnreadableError(answer["refused"])
    return answer, body


def _arrays(head: dict[str, Any], body: bytes) -> list[tuple[str, Array]]:
    arrays, at = [], 0
    for name, kind_of_numbers, shape in head["arrays"]:
        dtype = np.dtype(kind_of_numbers)
        count = int(np.prod(shape, dtype=np.int64))
        values = np.frombuffer(body, dtype, count, at).reshape(shape) if count else np.empty(shape, dtype)
        arrays.append((name, values))
        at += count * dtype.itemsize
    return arrays


def finished(request: str, file: Path, seconds: float) -> tuple[int, bytes]:
    """Exit status (the negative number of a signal) and words of a child that has read the file.

    Raises subprocess.TimeoutExpired after `seconds`.
    """
    # -P: what lies in the working folder, such as a scipy.py, is not imported.
    done = subprocess.run(
        [sys.executable, "-P", "-m", "labrhel.data.readers", request, str(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=seconds,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        check=False,
    )
    return done.returncode, done.stdout


def index_to(index: Index) -> list[Any]:
    """An index as JSON has it: a number, or [start, stop]."""
    return [at if isinstance(at, int) else [at.start, at.stop] for at in index]


def index_from(words: Sequence[Any]) -> Index:
    """The inverse of `index_to`."""
    return tuple(at if isinstance(at, int) else slice(*at) for at in words)


def listing_to(listing: Listing) -> dict[str, Any]:
    """A listing as JSON has it."""
    entries = [[e.name, e.shape, e.kind, e.unit, e.aliases, e.axes] for e in listing.entries]
    return {"entries": entries, "interval": listing.interval, "times": listing.times, "notes": listing.notes}


def listing_from(words: dict[str, Any]) -> Listing:
    """The inverse of `listing_to`."""
    entries = tuple(
        Entry(name, tuple(shape), kind, unit, tuple(aliases), tuple(axes))
        for name, shape, kind, unit, aliases, axes in words["entries"]
    )
    return Listing(entries, words["interval"], tuple(words["times"]), tuple(words["notes"]))
