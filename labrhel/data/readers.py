"""The program that reads one file in a process apart, and the readers that it knows.

`python -P -m labrhel.data.readers REQUEST FILE` is what `labrhel.data.apart` starts.  A request is the name of a reader
that gives all that it finds, or JSON: {"kind": ..., "do": "contents"}, or {"kind": ..., "do": "read", "picks": [...]}.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.data.apart import CPU, CPU_PER_BYTE, index_from, listing_to
from labrhel.data.formats.interface import LARGEST, Listing, Pick, Reader, UnreadableError, empty_name, require_small

_MEMORY = 3 * LARGEST  # a library holds compressed, plain and converted bytes at once
_SENT = "iufcbSU"  # kinds of numpy's types that are numbers or text; others keep their name alone


@dataclass(frozen=True, slots=True)
class Known:
    """A reader, MODULE:CLASS, and the library it needs, which is imported before memory is bounded."""

    reader: str
    library: str

    def prepare(self) -> Reader:
        """Import what will be needed."""
        importlib.import_module(self.library)
        module, _, name = self.reader.partition(":")
        return getattr(importlib.import_module(f"labrhel.data.{module}"), name)()


READERS: Mapping[str, Known] = {
    "matlab": Known("formats.matlab:Matlab", "scipy.io"),
    "hdf5": Known("formats.hdf5:HDF5", "h5py"),
    "netcdf3": Known("formats.netcdf3:NetCDF3", "scipy.io"),
    "qcodes": Known("formats.qcodes_database:QCoDeSDatabase", "sqlite3"),
    "ppg_dalia": Known("readers:Subject", "labrhel.data.ppg_dalia"),
}
"""By the name that the child is called with."""


class Subject:
    """Inputs and targets of one subject of PPG-DaLiA."""

    def contents(self, file: Path) -> Listing:
        raise UnreadableError("a subject is read as a whole")

    def read(self, file: Path, picks: Sequence[Pick]) -> list[Array]:
        from labrhel.data.ppg_dalia import aligned_of

        return list(aligned_of(file))


def answer(request: str, file: Path) -> None:
    """What the child does: read, and write to standard output what was found."""
    asked = json.loads(request) if request.startswith("{") else {"kind": request, "do": "read"}
    reader = READERS[asked["kind"]].prepare()
    _limit(file.stat().st_size)
    try:
        if asked["do"] == "contents":
            _say({"listing": listing_to(reader.contents(file))})
            return
        picks = [Pick(name, index_from(index)) for name, index in asked.get("picks", ())]
        names = [pick.name for pick in picks] or ["inputs", "targets"]
        sent = [_sendable(values) for values in reader.read(file, picks)]
        require_small(sum(values.nbytes for values in sent))
    except UnreadableError as refused:
        _say({"refused": str(refused)})
        return
    except MemoryError:
        _say({"refused": "reading it takes too much memory"})
        return
    _say({"arrays": [(name, v.dtype.str, v.shape) for name, v in zip(names, sent, strict=True)]})
    for values in sent:
        sys.stdout.buffer.write(values.tobytes())


def _sendable(values: Any) -> Array:
    array = np.asarray(values)
    if array.dtype.kind not in _SENT or array.dtype.hasobject:
        return empty_name()
    return np.ascontiguousarray(array).reshape(array.shape)


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")


def _limit(size: int) -> None:
    """Bound time and memory from here on, where the system can; and leave no core behind."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = int(used.ru_utime + used.ru_stime + CPU + CPU_PER_BYTE * size) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 2))
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + _MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    answer(sys.argv[1], Path(sys.argv[2]))
