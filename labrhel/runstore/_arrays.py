"""Large arrays as files that are named by their content: arrays/<first two digits>/<digest>.npy.

A file appears whole or not at all (written under another name, then renamed), is never changed, and is written once
however often its content is recorded.  Its digest is that of `FrozenArray`: dtype, shape and data.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import RecordError
from labrhel.frozen import FrozenArray
from labrhel.runstore._trouble import writing


class ArrayStore:
    """The arrays folder of one run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: set[str] = set()

    def put(self, array: FrozenArray) -> str:
        """Store an array unless it is there; returns its digest.  On return it survives kill -9 of this process."""
        digest = array.digest
        if digest in self._known:
            return digest
        path = self._path(digest)
        with writing(self._folder):
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                # The process id keeps a leftover of a killed process apart from ours; leftovers are not *.npy.
                temporary = path.with_suffix(f".{os.getpid()}.tmp")
                try:
                    with temporary.open("wb", buffering=0) as file:
                        _write(file, array.values)
                    temporary.replace(path)
                except BaseException:
                    temporary.unlink(missing_ok=True)
                    raise
        self._known.add(digest)
        return digest

    def get(self, digest: str) -> Array:
        """The array of that digest, read-only, mapped from its file as it is used."""
        path = self._path(digest)
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            raise RecordError(f"array {digest} is not in the record; the recording policy did not keep it") from None
        except (OSError, ValueError) as error:
            raise RecordError(
                f"{path} cannot be read ({error}); restore it from a copy: its name is its content"
            ) from error

    def damaged(self) -> Iterator[Path]:
        """Files whose content is not what their name says."""
        for path in sorted(self._folder.glob("*/*.npy")):
            try:
                sound = FrozenArray(np.load(path, allow_pickle=False)).digest == path.stem
            except (OSError, ValueError, EOFError):
                sound = False
            if not sound:
                yield path

    def has(self, digest: str) -> bool:
        """True if the array is stored."""
        return self._path(digest).exists()

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / f"{digest}.npy"


def _write(file: object, values: Array) -> None:
    np.save(file, values, allow_pickle=False)  # type: ignore[arg-type]
