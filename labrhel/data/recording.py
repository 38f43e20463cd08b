"""A recording on disk: what it holds, and the samples that are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from labrhel.arrays import Array
from labrhel.data.apart import UnreadableError
from labrhel.data.finding import find_folder, find_recording, search_path
from labrhel.data.formats.choosing import reader_of
from labrhel.data.formats.interface import Entry, Listing, Pick, Reader
from labrhel.data.formats.times import with_units_of_names
from labrhel.data.series import Series, columns, require_real, rows, series_of
from labrhel.errors import ConfigurationError

__all__ = [
    "Recording",
    "columns",
    "find_folder",
    "find_recording",
    "open_recording",
    "read_arrays",
    "read_recording",
    "search_path",
]


@dataclass(frozen=True, slots=True)
class Recording:
    """A file, and what it says that it holds."""

    file: Path
    listing: Listing
    reader: Reader

    def series(self, name: str) -> Series:
        """The series that a configuration names; raises ConfigurationError for none."""
        return series_of(self.listing.entries, name)

    def read(self, series: Sequence[Series], start: int, stop: int) -> list[Array]:
        """The samples from `start` to before `stop` of each series."""
        with _one_sentence(self.file):
            arrays = self.reader.read(self.file, [one.pick(start, stop) for one in series])
        for one, array in zip(series, arrays, strict=True):
            require_real(one, array.dtype.kind)  # of a .mat file it is known only now
        return arrays

    def whole(self, entry: Entry) -> Array:
        """All of an array."""
        with _one_sentence(self.file):
            return self.reader.read(self.file, [Pick(entry.name)])[0]

    def rows(self, series: Sequence[Series], start: int, stop: int) -> Array:
        """The same as rows (columns, samples) of finite numbers, float64."""
        return rows(series, self.read(series, start, stop), start)


def open_recording(file: Path) -> Recording:
    """Look into a file, without loading it.

    Text tables, .npy, .npz, netCDF 3 and 4, HDF5, .mat and databases of QCoDeS, by what the file begins with.  Raises
    ConfigurationError for another kind of file and for one that cannot be read.
    """
    with _one_sentence(file):
        reader = reader_of(file)
        listing = reader.contents(file)
        return Recording(file, replace(listing, entries=with_units_of_names(listing.entries)), reader)


def read_arrays(file: Path) -> Mapping[str, Array]:
    """All arrays of a file by name; those in groups are named GROUP/NAME.

    Raises ConfigurationError for another kind of file and for one that cannot be read.
    """
    return read_recording(file)[0]


def read_recording(file: Path) -> tuple[Mapping[str, Array], Mapping[str, str]]:
    """The same, and what the file itself says of the units of its arrays.

    Nothing is allocated for what a file claims of itself beyond `labrhel.data.formats.interface.LARGEST`.
    """
    recording = open_recording(file)
    entries: Sequence[Entry] = recording.listing.entries
    with _one_sentence(file):
        arrays = recording.reader.read(file, [Pick(entry.name) for entry in entries]) if entries else []
    names = [entry.name for entry in entries]
    return dict(zip(names, arrays, strict=True)), {entry.name: entry.unit for entry in entries if entry.unit}


@contextmanager
def _one_sentence(file: Path) -> Iterator[None]:
    try:
        yield
    except ConfigurationError:
        raise
    except Exception as error:  # damaged bytes make zip, inflate and numpy raise nearly anything
        words = (
            error.strerror if isinstance(error, OSError) else str(error) if isinstance(error, UnreadableError) else ""
        )
        if isinstance(error, MemoryError):
            words = "it takes more memory than there is"
        reason = words or f"it is damaged, or not {file.suffix} data"
        raise ConfigurationError(f"the data file {file} cannot be read: {reason}") from None
