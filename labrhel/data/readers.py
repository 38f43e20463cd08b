"""The readers of MATLAB, HDF5 and the pickles of PPG-DaLiA, and the program that runs one of them in a process apart.

`python -P -m labrhel.data.readers KIND FILE` is what `labrhel.data.apart` starts.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.data.apart import CPU, CPU_PER_BYTE, LARGEST, UnreadableError, require_small

_MEMORY = 3 * LARGEST  # a library holds compressed, plain and converted bytes at once
_SENT = "iufcbSU"  # kinds of numpy's types that are numbers or text; others keep their name alone

Found = Mapping[str, tuple[Array, str]]
"""Arrays with their units, "" where the file does not say, by name."""


@dataclass(frozen=True, slots=True)
class Reader:
    """How a file is read, and the library that does it, which is imported before memory is bounded."""

    read: Callable[[Path], Found]
    library: str

    def prepare(self) -> None:
        """Import what will be needed."""
        importlib.import_module(self.library)


def matlab(file: Path) -> Found:
    """The arrays of a .mat file of any version."""
    from scipy.io import loadmat

    try:
        found = loadmat(file)
    except NotImplementedError:  # version 7.3 is HDF5
        return {name: (np.squeeze(values), "") for name, (values, _) in hdf5(file).items()}
    # Not by squeeze_me, which makes a Python number of a single one and loses its type.
    arrays = {name: np.squeeze(np.asarray(values)) for name, values in found.items() if not name.startswith("__")}
    return {name: (np.atleast_1d(values), "") for name, values in arrays.items()}


def hdf5(file: Path) -> Found:
    """The arrays of numbers of a netCDF-4 or HDF5 file, those in groups by GROUP/NAME.

    What a data set claims is looked at before anything is allocated; one whose numbers lie in another file is refused,
    since that may be any file of whoever reads this one.
    """
    import h5py

    sets: dict[str, h5py.Dataset] = {}

    def keep(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "iuf" and item.shape is not None:
            sets[name] = item

    with h5py.File(file, "r") as opened:
        opened.visititems(keep)
        require_small(sum(int(np.prod(item.shape, dtype=object)) * item.dtype.itemsize for item in sets.values()))
        for name, item in sets.items():
            if item.external or item.is_virtual:
                raise UnreadableError(f"the numbers of {name!r} lie in another file; copy them into this one")
        return {name: (np.asarray(item[()]), _unit(item)) for name, item in sets.items()}


def _unit(item: object) -> str:
    attributes = item.attrs  # type: ignore[attr-defined]
    unit = attributes.get("units", attributes.get("unit", ""))
    return unit.decode() if isinstance(unit, bytes) else str(unit)


def ppg_dalia(file: Path) -> Found:
    """Inputs and targets of one subject."""
    from labrhel.data.ppg_dalia import aligned_of

    inputs, targets = aligned_of(file)
    return {"inputs": (inputs, ""), "targets": (targets, "")}


READERS = {
    "matlab": Reader(matlab, "scipy.io"),
    "hdf5": Reader(hdf5, "h5py"),
    "ppg_dalia": Reader(ppg_dalia, "labrhel.data.ppg_dalia"),
}
"""By the name that the child is called with."""


def answer(kind: str, file: Path) -> None:
    """What the child does: read, and write to standard output what was found."""
    reader = READERS[kind]
    reader.prepare()
    _limit(file.stat().st_size)
    try:
        found = reader.read(file)
        sent = {name: (_sendable(values), unit) for name, (values, unit) in found.items()}
        require_small(sum(values.nbytes for values, _ in sent.values()))
    except UnreadableError as refused:
        _say({"refused": str(refused)})
        return
    except MemoryError:
        _say({"refused": "reading it takes too much memory"})
        return
    _say({"arrays": [(name, unit, values.dtype.str, values.shape) for name, (values, unit) in sent.items()]})
    for values, _ in sent.values():
        sys.stdout.buffer.write(values.tobytes())


def _sendable(values: Any) -> Array:
    array = np.asarray(values)
    if array.dtype.kind not in _SENT or array.dtype.hasobject:
        return np.empty(0, "S1")
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
