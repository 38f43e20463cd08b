"""Large arrays as files that are named by their content: arrays/<first two digits>/<digest>.npy.

A file appears whole or not at all (written under another name, then renamed), is never changed, and is written once
however often its content is recorded.  Its digest is that of `FrozenArray`: dtype, shape and data.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.lib.format as npformat

from labrhel.arrays import Array
from labrhel.errors import RecordError
from labrhel.frozen import Digested, FrozenArray, hash_array
from labrhel.store._trouble import writing


class Stacked(Digested):
    """Arrays of one shape and type as one array (parts, *shape), which is hashed and written without being made."""

    tag = "Stacked"
    __slots__ = ("parts",)
    parts: tuple[Array, ...]

    def __init__(self, parts: Iterable[Array]) -> None:
        self.parts = tuple(np.ascontiguousarray(part) for part in parts)

    @property
    def values(self) -> Array:
        """The stack (parts, *shape)."""
        return np.stack(self.parts)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the stack."""
        return (len(self.parts), *self.parts[0].shape)

    def _compute_digest(self) -> str:
        return hash_array(self.parts[0].dtype, self.shape, self.parts)


class ArrayStore:
    """The arrays folder of one run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._text = f"{folder}{os.sep}"
        self._known: set[str] = set()  # written, or found there
        self._sound: set[str] = set()  # read, and what their name says

    def put(self, array: FrozenArray | Stacked) -> str:
        """Store an array unless it is there; returns its digest.  On return it survives kill -9 of this process."""
        digest = array.digest
        if digest in self._known:
            return digest
        path = self._text + f"{digest[:2]}{os.sep}{digest}.npy"
        if not os.path.exists(path):  # noqa: PTH110 - pathlib would add a fifth to the time of a small array
            with writing(self._folder):
                if isinstance(array, Stacked):
                    self._write(path, array.shape, array.parts)
                else:
                    self._write(path, array.values.shape, (array.values,))
        self._known.add(digest)
        return digest

    def _write(self, path: str, shape: tuple[int, ...], parts: tuple[Array, ...]) -> None:
        # The process id keeps a leftover of a killed process apart from ours; leftovers are not *.npy.
        temporary = f"{path}.{os.getpid()}.tmp"
        try:
            file = open(temporary, "wb", buffering=0)  # noqa: PTH123, SIM115 - closed below
        except FileNotFoundError:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            file = open(temporary, "wb", buffering=0)  # noqa: PTH123, SIM115
        try:
            with file:
                file.write(_header(parts[0].dtype, shape))
                for part in parts:
                    rest = bytes_of(part)
                    while rest:  # a raw write may stop short, on a full disk for one; the next then says why
                        rest = rest[file.write(rest) :]
            os.replace(temporary, path)  # noqa: PTH105
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def get(self, digest: str) -> Array:
        """The array of that digest, read-only, mapped from its file as it is used."""
        path = self._path(digest)
        if path.is_symlink() or path.parent.is_symlink():
            raise RecordError(f"{path} is a link; a run folder holds its own files alone: put the array in its place")
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            if digest not in self._sound:
                if hash_array(array.dtype, array.shape, (np.ascontiguousarray(array),)) != digest:
                    raise ValueError("its content is not what was written")
                self._sound.add(digest)
            return array
        except FileNotFoundError:
            raise RecordError(f"array {digest} is not in the record; the recording policy did not keep it") from None
        except (OSError, ValueError, EOFError) as error:
            raise RecordError(
                f"{path} cannot be read ({error}); restore it from a copy: its name is its content"
            ) from error

    def damaged(self) -> Iterator[Path]:
        """Files whose content is not what their name says."""
        for path in sorted(self._folder.glob("*/*.npy")):
            try:
                self.get(path.stem)
            except RecordError:
                yield path

    def has(self, digest: str) -> bool:
        """True if the array is stored."""
        return self._path(digest).exists()

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / f"{digest}.npy"


def bytes_of(array: Array) -> memoryview:
    """The bytes of a contiguous array, uncopied; complex numbers have no memoryview of their own that can be sliced."""
    return array.ravel().view(np.uint8).data


@lru_cache(maxsize=256)
def _header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """What numpy puts before the data of a .npy file; making it takes longer than writing a small array."""
    buffer = io.BytesIO()
    fields = {"descr": npformat.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npformat.write_array_header_1_0(buffer, fields)
    return buffer.getvalue()
