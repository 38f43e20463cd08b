"""Reading a file in a process apart: what damaged or hostile bytes do to a library ends there, not here.

scipy and HDF5 are written in C and trust what a file says of itself: one can end the process that reads it (SIGSEGV),
keep it busy for ever, or ask for all the memory.  A child with bounded time and memory, `labrhel.data.readers`, reads
instead, and answers with plain numbers over a pipe: a line of JSON, then the bytes of the arrays one after the other.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from labrhel.arrays import Array
from labrhel.safety.plain_files import require_plain_file

LARGEST = 1 << 30
"""Bytes of a file of data, and of all arrays in it together: 134 million numbers."""

CPU, CPU_PER_BYTE = 5, 2e-7
"""Seconds of computing that a file may cost: to begin with, and 5 MB/s, a tenth of what the slowest format takes."""

_WALL = 60.0  # s; a loaded machine takes long to start Python
_ENDED = {"SIGXCPU": "reading it takes too long", "SIGKILL": "reading it takes too much memory"}


class UnreadableError(Exception):
    """The file cannot be read; says why, where more is known than that it is damaged."""


def read_apart(kind: str, file: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Read-only arrays and their units by name, as the reader `kind` of `labrhel.data.readers` finds them.

    Raises UnreadableError for what cannot be read, OSError for what cannot be opened.
    """
    size = require_plain_file(file, LARGEST)
    try:
        status, answered = finished(kind, file.absolute(), _WALL + 4 * CPU_PER_BYTE * size)
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
    arrays, at = {}, 0
    for name, _, kind_of_numbers, shape in answer["arrays"]:
        dtype = np.dtype(kind_of_numbers)
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(body, dtype, count, at).reshape(shape) if count else np.empty(shape, dtype)
        at += count * dtype.itemsize
    return arrays, {name: unit for name, unit, *_ in answer["arrays"] if unit}


def finished(kind: str, file: Path, seconds: float) -> tuple[int, bytes]:
    """Exit status (the negative number of a signal) and words of a child that has read the file.

    Raises subprocess.TimeoutExpired after `seconds`.
    """
    # -P: what lies in the working folder, such as a scipy.py, is not imported.
    done = subprocess.run(
        [sys.executable, "-P", "-m", "labrhel.data.readers", kind, str(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=seconds,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        check=False,
    )
    return done.returncode, done.stdout


def require_small(size: int) -> None:
    """Raise UnreadableError if arrays of `size` bytes are too large to be a recording, before they are made."""
    if size > LARGEST:
        raise UnreadableError(f"its arrays would take {size / 1e9:.3g} GB, and {LARGEST / 1e9:.2g} GB are the most")
