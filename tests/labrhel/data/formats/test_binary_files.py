"""Arrays of netCDF, HDF5, MATLAB, numpy and QCoDeS: what is asked for, as the file declares it."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from labrhel.data.formats.interface import Pick, Reader, UnreadableError
from labrhel.data.formats.matlab import Matlab
from labrhel.data.formats.netcdf3 import NetCDF3
from labrhel.data.formats.numpy_files import NumpyArchive, NumpyFile
from labrhel.data.formats.qcodes_database import QCoDeSDatabase

h5py = pytest.importorskip("h5py")

from labrhel.data.formats.hdf5 import HDF5  # noqa: E402

U = np.linspace(-1, 1, 40)


def names(reader: Reader, file: Path) -> dict[str, tuple[tuple[int, ...], str, str]]:
    return {entry.name: (entry.shape, entry.kind, entry.unit) for entry in reader.contents(file).entries}


def values(reader: Reader, file: Path, name: str, *index: int | slice) -> np.ndarray:
    return reader.read(file, [Pick(name, index)])[0]


@pytest.mark.parametrize(("engine", "reader"), [("h5netcdf", HDF5()), ("scipy", NetCDF3())])
def test_scale_offset_and_fill_of_netcdf_are_obeyed(engine: str, reader: Reader, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    stored = np.where(np.arange(40) == 7, np.nan, U)
    packed = {"dtype": "int16", "scale_factor": 1e-4, "add_offset": 0.5, "_FillValue": np.int16(-32768)}
    data = xarray.Dataset({"y": ("t", stored, {"units": "mV"})}, {"t": ("t", 1e-3 * np.arange(40), {"units": "s"})})
    data.to_netcdf(tmp_path / "a.nc", engine=engine, encoding={"y": packed})
    assert names(reader, tmp_path / "a.nc")["y"] == ((40,), "f", "mV")
    np.testing.assert_allclose(values(reader, tmp_path / "a.nc", "y", slice(5, 20)), stored[5:20], atol=6e-5)
    assert reader.contents(tmp_path / "a.nc").times == ("t",)


def test_links_of_hdf5_are_followed_within_the_folder_and_no_further(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["u"] = U
    with h5py.File(tmp_path / "data" / "near.h5", "w") as file:
        file["u"] = 2 * U
    with h5py.File(tmp_path / "data" / "a.h5", "w") as file:
        file["raw/u"] = U
        file["u"] = h5py.SoftLink("/raw/u")
        file["raw/up"] = h5py.SoftLink("../u")
        file["loop"] = h5py.SoftLink("/loop")
        file["raw/self"] = h5py.SoftLink("/raw")
        file["near"] = h5py.ExternalLink("near.h5", "/u")
        file["far"] = h5py.ExternalLink("../secret.h5", "/u")
        file["through"] = h5py.SoftLink("/far")
    listing = HDF5().contents(tmp_path / "data" / "a.h5")
    found = [entry.name for entry in listing.entries]
    assert {"raw/u", "u", "near"} <= set(found)
    assert not {"far", "through", "loop"} & set(found)
    assert any("far" in note and "no file in this folder" in note for note in listing.notes)
    np.testing.assert_array_equal(values(HDF5(), tmp_path / "data" / "a.h5", "near", slice(3, 5)), 2 * U[3:5])
    with pytest.raises(UnreadableError, match="no further"):
        values(HDF5(), tmp_path / "data" / "a.h5", "through")


def test_arrays_of_matlab_have_the_same_axes_in_every_version(tmp_path: Path) -> None:
    from scipy.io import savemat

    table, meas = np.stack([U, 2 * U], axis=1), {"u": U, "cfg": {"gain": 3.0}}
    savemat(tmp_path / "five.mat", {"Y": table, "meas": meas, "name": "mV"})
    with h5py.File(tmp_path / "seven.mat", "w", userblock_size=512) as file:
        stored = {"Y": table.T, "meas/u": U[:, None], "meas/cfg/gain": np.array([[3.0]]), "none": np.zeros(2, "u8")}
        for name, array in stored.items():
            file[name] = array
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
        file["none"].attrs["MATLAB_empty"] = 1
        file["name"] = np.array([[109], [86]], "u2")
        file["name"].attrs["MATLAB_class"] = np.bytes_("char")
    for file in (tmp_path / "five.mat", tmp_path / "seven.mat"):
        found = names(Matlab(), file)
        assert (found["Y"][0], found["meas/u"][0], found["name"][1]) == ((40, 2), (40,), "S")
        np.testing.assert_array_equal(values(Matlab(), file, "Y", slice(2, 6), 1), 2 * U[2:6])
        np.testing.assert_array_equal(values(Matlab(), file, "meas/u", slice(2, 6)), U[2:6])
        assert values(Matlab(), file, "meas/cfg/gain").tolist() == [3.0]
        assert values(Matlab(), file, "name").tolist() == ["mV"]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_parts_of_arrays_of_numpy_are_those_that_numpy_gives(order: str, save: object, tmp_path: Path) -> None:
    cube = np.asarray(np.arange(120.0).reshape(4, 10, 3), order=order)
    save(tmp_path / "a.npz", cube=cube, meta=np.array({"a": 1}, object))  # type: ignore[operator]
    np.save(tmp_path / "a.npy", cube)
    for index in ((slice(1, 3),), (2, slice(4, 6)), (slice(0, 4), 3, slice(1, 2)), (3, slice(2, 9), 1), ()):
        np.testing.assert_array_equal(values(NumpyArchive(), tmp_path / "a.npz", "cube", *index), cube[index])
        np.testing.assert_array_equal(values(NumpyFile(), tmp_path / "a.npy", "a", *index), cube[index])
    assert names(NumpyArchive(), tmp_path / "a.npz")["meta"][1] == "O"


def test_damage_beside_the_part_that_is_read_of_an_archive_is_found(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", u=U)
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    at = whole.index(U.tobytes()) + 200
    whole[at] ^= 1
    (tmp_path / "a.npz").write_bytes(whole)
    with pytest.raises(Exception, match="CRC"):
        values(NumpyArchive(), tmp_path / "a.npz", "u", slice(0, 3))


def test_runs_of_a_qcodes_database_are_read_by_their_number(tmp_path: Path) -> None:
    import io

    def blob(array: np.ndarray) -> bytes:
        out = io.BytesIO()
        np.save(out, array)
        return out.getvalue()

    with sqlite3.connect(tmp_path / "lab.db") as database:
        database.execute("CREATE TABLE runs (run_id INTEGER, result_table_name TEXT)")
        database.execute("CREATE TABLE layouts (layout_id INTEGER, run_id INTEGER, parameter TEXT, unit TEXT)")
        for run, rows in ((1, [blob(U)]), (2, [blob(U), blob(2 * U), blob(3 * U)]), (3, [0.5, 0.25])):
            database.execute(f'CREATE TABLE "results-{run}" (id INTEGER PRIMARY KEY, ch1 BLOB)')
            database.executemany(f'INSERT INTO "results-{run}" (ch1) VALUES (?)', [(row,) for row in rows])
            database.execute("INSERT INTO runs VALUES (?, ?)", (run, f"results-{run}"))
            database.execute("INSERT INTO layouts VALUES (?, ?, 'ch1', 'mV')", (run, run))
    file = tmp_path / "lab.db"
    found = names(QCoDeSDatabase(), file)
    assert found == {"1/ch1": ((40,), "f", "mV"), "2/ch1": ((3, 40), "f", "mV"), "3/ch1": ((2,), "f", "mV")}
    np.testing.assert_array_equal(values(QCoDeSDatabase(), file, "1/ch1", slice(3, 6)), U[3:6])
    np.testing.assert_array_equal(values(QCoDeSDatabase(), file, "2/ch1", 1, slice(3, 6)), 2 * U[3:6])
    np.testing.assert_array_equal(values(QCoDeSDatabase(), file, "2/ch1", slice(1, 3)), np.stack([2 * U, 3 * U]))
    np.testing.assert_array_equal(values(QCoDeSDatabase(), file, "3/ch1", slice(1, 2)), [0.25])
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE notes (words TEXT)")
    with pytest.raises(UnreadableError, match="none of QCoDeS"):
        QCoDeSDatabase().contents(tmp_path / "other.db")
