"""A table of named arrays as one netCDF-4 file, written by h5py.

netCDF-4 is HDF5 with dimension scales: a variable that has the name of a dimension is its scale, a dimension that no
variable has the name of is an empty scale that says so, and every variable is attached to those of its dimensions.
xarray writes the same, but takes longer to be imported than a short run takes as a whole, and six times as long to
write it.

Source: the NetCDF-4 format (Unidata, "NetCDF-4 File Format"), and h5netcdf, which `xarray.open_dataset` reads it with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labrhel.arrays import Array

if TYPE_CHECKING:
    import h5py
    import xarray

Variable = tuple[tuple[str, ...], Array, Mapping[str, str]]
"""Dimensions, values and attributes."""

_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable."
_COMPRESSED = 4  # dimensions: only traces are worth it


@dataclass(frozen=True, slots=True)
class Table:
    """Variables and their coordinates by name, and what is said of all of them."""

    data: dict[str, Variable] = field(default_factory=dict)
    coordinates: dict[str, Variable] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, Variable]:
        """All of them."""
        return self.data | self.coordinates

    @property
    def nbytes(self) -> int:
        """Size of the values in memory."""
        return sum(values.nbytes for _, values, _ in self.variables.values())

    def dataset(self) -> xarray.Dataset:
        """The same for xarray."""
        import xarray

        return xarray.Dataset(self.data, self.coordinates, self.attributes)

    def write(self, path: Path) -> None:
        """Write the file, replacing what is there.  Raises OSError if it cannot be written."""
        import h5py

        sizes = {
            name: size
            for dims, values, _ in self.variables.values()
            for name, size in zip(dims, values.shape, strict=True)
        }
        with h5py.File(path, "w", track_order=True) as file:
            scales: dict[str, h5py.Dataset] = {}
            for number, (name, size) in enumerate(sizes.items()):
                if name in self.coordinates:
                    scale, called = _made(file, name, self.coordinates[name][1]), name
                else:
                    scale, called = file.create_dataset(name, (size,), ">f4"), f"{_NO_VARIABLE}{size:10}"
                scales[name] = scale
                scale.attrs["_Netcdf4Dimid"] = np.int32(number)
                scale.make_scale(called)
            for name, (dims, values, attributes) in self.variables.items():
                made = scales.get(name) or _made(file, name, values)
                for axis, dimension in enumerate(dims if name not in scales else ()):
                    made.dims[axis].attach_scale(scales[dimension])
                made.attrs.update(attributes)
                if name in self.data and (beside := self._beside(dims)):
                    made.attrs["coordinates"] = " ".join(beside)
            file.attrs.update(self.attributes)

    def _beside(self, dims: tuple[str, ...]) -> list[str]:
        """Coordinates along some of these dimensions that are no dimension themselves."""
        return [name for name, (of, _, _) in self.coordinates.items() if of != (name,) and set(of) <= set(dims)]


def _made(file: h5py.File, name: str, values: Array) -> h5py.Dataset:
    import h5py

    if values.dtype.kind == "U":
        return file.create_dataset(name, data=values.astype(object), dtype=h5py.string_dtype())
    # Level 1 costs a tenth of level 9, and saves nearly as much.
    packed = {"compression": "gzip", "compression_opts": 1} if values.ndim >= _COMPRESSED else {}
    made = file.create_dataset(name, data=values, **packed)
    if values.dtype.kind == "f":
        made.attrs.create("_FillValue", np.full(1, np.nan, values.dtype))
    return made
