"""Recordings on disk: finding a file, and reading named arrays from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from labrhel.arrays import Array
from labrhel.config.problems import nearest
from labrhel.errors import ConfigurationError

VARIABLE = "LABRHEL_DATA"
"""Environment variable that names a folder of recordings."""

HDF5 = (".nc", ".h5", ".hdf5")


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
    try:
        if file.suffix == ".npz":
            with file.open("rb") as stream, ZipFile(stream) as archive:
                return {name.removesuffix(".npy"): _member(archive, name) for name in archive.namelist()}
        if file.suffix == ".csv":
            with file.open(encoding="utf-8-sig") as lines:
                return _table(lines)
        if file.suffix == ".mat":
            return _matlab(file)
        if file.suffix in HDF5:
            return {name: values for name, (values, _) in _hdf5(file).items()}
    except Exception as error:  # damaged bytes make zip, inflate, numpy and its tokenizer raise nearly anything
        words = error.strerror if isinstance(error, OSError) else None
        reason = words or f"it is damaged, or not {file.suffix} data"
        raise ConfigurationError(f"the data file {file} cannot be read: {reason}") from None
    raise ConfigurationError(f"data files are .npz, .csv, .mat, .nc or .h5, not {file.name}")


def read_units(file: Path) -> dict[str, str]:
    """What the file itself says of the units of its arrays; only netCDF and HDF5 files do, in `units` or `unit`."""
    if file.suffix not in HDF5:
        return {}
    return {name: unit for name, (_, unit) in _hdf5(file).items() if unit}


def _matlab(file: Path) -> dict[str, Array]:
    from scipy.io import loadmat

    try:
        found = loadmat(file, squeeze_me=True)
    except NotImplementedError:  # version 7.3 is HDF5
        return {name: np.squeeze(values) for name, (values, _) in _hdf5(file).items()}
    return {name: np.atleast_1d(values) for name, values in found.items() if not name.startswith("__")}


def _hdf5(file: Path) -> dict[str, tuple[Array, str]]:
    import h5py

    found: dict[str, tuple[Array, str]] = {}

    def keep(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "iuf":
            unit = item.attrs.get("units", item.attrs.get("unit", ""))
            text = unit.decode() if isinstance(unit, bytes) else str(unit)
            found[name] = np.asarray(item[()]), text

    with h5py.File(file, "r") as opened:
        opened.visititems(keep)
    return found


def _member(archive: ZipFile, name: str) -> Array:
    with archive.open(name) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


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
