"""Recordings on disk: finding a file, and reading named arrays from it."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import numpy as np

from labrhel.arrays import Array
from labrhel.config.problems import nearest
from labrhel.data.apart import LARGEST, UnreadableError, read_apart, require_small
from labrhel.errors import ConfigurationError
from labrhel.safety.plain_files import read_plain, require_plain_file

VARIABLE = "LABRHEL_DATA"
"""Environment variable that names a folder of recordings."""

_APART = {".mat": "matlab", ".nc": "hdf5", ".h5": "hdf5", ".hdf5": "hdf5"}
_LARGEST_TABLE = 100_000_000  # bytes; text takes fifty times its size while it is read


def search_path(folder: Path, environment: Mapping[str, str]) -> list[Path]:
    """Where recordings are looked for: beside the configuration, then in LABRHEL_DATA and its sub-folder `data`."""
    named = environment.get(VARIABLE)
    return [folder] if not named else [folder, Path(named), Path(named) / "data"]


def find_recording(name: str, folders: Sequence[Path], source: str) -> Path:
    """The file of that name in the first folder that has it.

    Raises ConfigurationError that says where was looked and, from `source`, where the file can be had.
    """
    return _find("file", name, folders, source, Path.is_file)


def find_folder(name: str, folders: Sequence[Path], source: str) -> Path:
    """The same for a data set that is a folder of files."""
    return _find("folder", name, folders, source, Path.is_dir)


def _find(kind: str, name: str, folders: Sequence[Path], source: str, there: Callable[[Path], bool]) -> Path:
    for folder in folders:
        if there(folder / name):
            return folder / name
    looked = ", ".join(str(folder.absolute()) for folder in folders)
    get = f"get it from {source}; " if source else ""
    raise ConfigurationError(
        f"there is no data {kind} {name} in {looked}; {get}"
        f"put it beside the configuration, or name its folder in {VARIABLE}"
    )


def read_arrays(file: Path) -> Mapping[str, Array]:
    """The arrays of a file by name: .npz; .csv, whose first row names them; .mat; .nc, .h5 and .hdf5.

    QCoDeS writes the last kind (`dataset.export("netcdf")`).  Arrays in groups are named GROUP/NAME.

    Raises ConfigurationError for another kind of file and for one that cannot be read.
    """
    return read_recording(file)[0]


def read_recording(file: Path) -> tuple[Mapping[str, Array], Mapping[str, str]]:
    """The same, and what the file itself says of the units of its arrays; only netCDF and HDF5 files do.

    Nothing is allocated for what a file claims of itself beyond `labrhel.data.apart.LARGEST`.
    """
    with _one_sentence(file):
        if file.suffix == ".npz":
            require_plain_file(file, LARGEST)
            with file.open("rb") as stream, ZipFile(stream) as archive:
                members = archive.infolist()
                require_small(sum(member.file_size for member in members))
                return {member.filename.removesuffix(".npy"): _member(archive, member) for member in members}, {}
        if file.suffix == ".csv":
            return _table(io.StringIO(read_plain(file, _LARGEST_TABLE).decode("utf-8-sig"))), {}
        if file.suffix in _APART:
            return read_apart(_APART[file.suffix], file)
    raise ConfigurationError(f"data files are .npz, .csv, .mat, .nc or .h5, not {file.name}")


@contextmanager
def _one_sentence(file: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # damaged bytes make zip, inflate, numpy and its tokenizer raise nearly anything
        words = (
            error.strerror if isinstance(error, OSError) else str(error) if isinstance(error, UnreadableError) else ""
        )
        if isinstance(error, MemoryError):
            words = "it takes more memory than there is"
        reason = words or f"it is damaged, or not {file.suffix} data"
        raise ConfigurationError(f"the data file {file} cannot be read: {reason}") from None


def _member(archive: ZipFile, member: ZipInfo) -> Array:
    """An array, whose header must not claim more than its member holds: numpy allocates what it claims."""
    with archive.open(member) as opened:
        version = np.lib.format.read_magic(opened)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(opened)
        if math.prod(shape) * max(dtype.itemsize, 1) > member.file_size:
            raise UnreadableError(f"the array {member.filename!r} claims more numbers than there are: {shape}")
    with archive.open(member) as opened:
        return np.lib.format.read_array(opened, allow_pickle=False)


def _table(lines: Iterable[str]) -> dict[str, Array]:
    rows = [line for line in lines if line.strip()]
    if len(rows) < 2:
        raise ValueError("no rows below the names")
    table = np.atleast_1d(np.genfromtxt(rows, delimiter=",", names=True))
    return {name: table[name] for name in table.dtype.names or ()}


def columns(arrays: Mapping[str, Array], names: Sequence[str], what: str) -> Array:
    """The named arrays, each (samples,) or (samples, columns), as rows (columns, samples) in float64.

    Raises ConfigurationError for a missing array, one that is not a series of numbers, lengths that disagree, and
    the first sample that is not a finite number.
    """
    rows: list[Array] = []
    for name in names:
        if name not in arrays:
            raise ConfigurationError(f"the data file has no array {name!r}; {nearest(name, arrays)}")
        array = arrays[name]
        if array.ndim not in (1, 2) or array.dtype.kind not in "iuf":
            raise ConfigurationError(f"the array {name!r} must hold real numbers in one or two dimensions")
        if not array.size:
            raise ConfigurationError(f"the array {name!r} is empty: its shape is {array.shape}")
        series = np.asarray(array, float).reshape(len(array), -1).T
        if rows and rows[0].shape[1] != series.shape[1]:
            raise ConfigurationError(
                f"the {what} arrays differ in length: {names[0]} has {rows[0].shape[1]} samples, "
                f"{name} has {series.shape[1]}"
            )
        bad = np.flatnonzero(~np.isfinite(series).all(axis=0))
        if bad.size:
            more = f" (and {bad.size - 1} more)" if bad.size > 1 else ""
            raise ConfigurationError(
                f"sample {bad[0]} of the array {name!r} is not a finite number{more}; clean the data"
            )
        rows.append(series)
    return np.concatenate(rows)
