"""Classic netCDF (versions 1 and 2), which xarray writes through scipy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import netcdf_file

from labrhel.arrays import Array
from labrhel.data.formats.declared import declared, interval_of, unit_of
from labrhel.data.formats.interface import Entry, Listing, Pick, UnreadableError, part_of, require_small, size_of
from labrhel.data.formats.times import times_among


class NetCDF3:
    """The reader of classic netCDF.  Its numbers are mapped into memory, and only what is picked is touched."""

    def contents(self, file: Path) -> Listing:
        opened = _open(file)
        entries = tuple(
            Entry(name, tuple(item.shape), _kind(item), unit_of(item._attributes), (), tuple(item.dimensions))
            for name, item in opened.variables.items()
        )
        return Listing(entries, interval_of(opened._attributes), times_among(entries))

    def read(self, file: Path, picks: Sequence[Pick]) -> list[Array]:
        opened = _open(file)
        return [_read(opened.variables[pick.name], pick) for pick in picks]


def _open(file: Path) -> Any:
    with file.open("rb") as stream:
        if stream.read(4) == b"CDF\x05":
            raise UnreadableError(
                "it is classic netCDF of version 5, which is not read; convert it: nccopy -k nc4 IN OUT"
            )
    return netcdf_file(file, "r", mmap=True)


def _kind(item: Any) -> str:
    kind = item.data.dtype.kind
    return "f" if kind in "iu" and "scale_factor" in item._attributes else kind


def _read(item: Any, pick: Pick) -> Array:
    require_small(size_of(part_of(item.shape, pick.index), item.data.dtype.itemsize))
    if item.data.dtype.kind == "S":
        return np.array([b"".join(np.ravel(item.data)).decode("utf-8", "replace")])
    return declared(np.array(item.data[pick.index]), item._attributes, pick.name)
