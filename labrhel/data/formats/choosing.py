"""Which reader a file needs: by what it begins with, and by its suffix where that says nothing."""

from __future__ import annotations

from pathlib import Path

from labrhel.data.apart import ReaderApart
from labrhel.data.formats.interface import LARGEST_FILE, Reader, UnreadableError
from labrhel.data.formats.numpy_files import NumpyArchive, NumpyFile
from labrhel.data.formats.text.table import TextTable
from labrhel.safety.plain_files import require_plain_file

SUFFIXES = {
    ".npz": "npz", ".npy": "npy", ".mat": "matlab", ".h5": "hdf5", ".hdf5": "hdf5", ".hdf": "hdf5", ".he5": "hdf5",
    ".nc": "hdf5", ".nc4": "hdf5", ".cdf": "netcdf3", ".nc3": "netcdf3",
    ".db": "qcodes", ".csv": "text", ".txt": "text", ".tsv": "text",
    ".lvm": "text", ".dat": "text", ".asc": "text", ".prn": "text", ".tab": "text",
}  # fmt: skip
"""In small letters: the reader of a file with this suffix, unless its first bytes say otherwise."""

OFFERED = ".csv, .txt, .tsv, .lvm, .npy, .npz, .nc, .h5, .mat or .db"

_BEGINNINGS = (
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"CDF\x01", "netcdf3"),
    (b"CDF\x02", "netcdf3"),
    (b"CDF\x05", "netcdf3"),
    (b"SQLite format 3\0", "qcodes"),
    (b"MATLAB 5.0 MAT-file", "matlab"),
    (b"MATLAB 7.3 MAT-file", "matlab"),
)
_OTHERS = {
    b"PK\x03\x04": "a zip archive, as spreadsheets are (.xlsx, .ods); save it as .csv",
    b"\xd0\xcf\x11\xe0": "a spreadsheet (.xls); save it as .csv",
    b"TDSm": "a TDMS file of LabVIEW; export it as .lvm or .csv",
    b"PAR1": "a Parquet file; export it as .csv or .npz",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "compressed (gzip); unpack it",
    b"WAVEDESC": "a waveform of LeCroy; save it as text",
    b":WFM#": "a waveform of Tektronix (.wfm); save it as .csv",
}  # fmt: skip
_BINARY = ("hdf5", "netcdf3", "matlab", "qcodes")


def kind_of(file: Path) -> str:
    """The name of the reader.

    Raises UnreadableError for a kind of file that is not read, OSError for what cannot be opened.
    """
    require_plain_file(file, LARGEST_FILE)
    with file.open("rb") as stream:
        head = stream.read(520)
    by_suffix = SUFFIXES.get(file.suffix.lower())
    if by_suffix in ("npz", "npy"):
        return by_suffix
    for beginning, kind in _BEGINNINGS:
        if head.startswith(beginning):
            # A file of MATLAB 7.3 is HDF5 behind 512 bytes of its own; both readers take it.
            return by_suffix if by_suffix == "matlab" and kind == "hdf5" else kind
    if by_suffix in _BINARY:
        return by_suffix
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    for beginning, words in _OTHERS.items():
        if head.startswith(beginning):
            raise UnreadableError(f"it is {words}")
    if by_suffix is None and b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableError(f"data files are {OFFERED}, not {file.name}")
    return "text"


def reader_of(file: Path) -> Reader:
    """The reader of a file; raises as `kind_of` does."""
    kind = kind_of(file)
    if kind == "text":
        return TextTable()
    if kind == "npy":
        return NumpyFile()
    return NumpyArchive() if kind == "npz" else ReaderApart(kind)
