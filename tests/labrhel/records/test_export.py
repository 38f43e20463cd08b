"""Scalars of a run in other people's tools, and recordings from theirs."""

import csv
from pathlib import Path

import numpy as np
import pytest

from labrhel import session
from labrhel.errors import ConfigurationError
from labrhel.experiment import load_experiment
from labrhel.records.export import to_csv, to_qcodes
from labrhel.shots.operations import Publish
from labrhel.store import RunReader
from labrhel.testing.configurations import SMALL

DATA = "data: {file: FILE, input: u, target: y, rate: fs, train: {start: 0, stop: 60}, skip: 5UNITS}\n"


def ignore(published: Publish) -> None:
    """Watch nothing."""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> RunReader:
    folder = tmp_path_factory.mktemp("run")
    file = folder / "small.yaml"
    file.write_text(SMALL)
    return RunReader(session.start(load_experiment(file), folder / "runs", ignore).folder)


def test_the_table_holds_every_step(reader: RunReader, tmp_path: Path) -> None:
    with to_csv(reader, tmp_path / "run.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    losses = reader.scalars()["loss"]
    np.testing.assert_array_equal([float(row["loss"]) for row in rows][: len(losses)], losses)
    assert {"coupling[0]", "input[0,0]", "step"} <= set(rows[0])


def test_qcodes_opens_what_was_put_into_its_database(reader: RunReader, tmp_path: Path) -> None:
    from qcodes.dataset import load_by_id

    to_qcodes(reader, tmp_path / "lab.db")
    found = load_by_id(1)
    dataset = found.to_xarray_dataset()
    losses = reader.scalars()["loss"]
    np.testing.assert_array_equal(dataset["loss"].values[: len(losses)], losses)
    assert dataset["coupling_0"].attrs["label"] == "coupling[0]"
    assert reader.id in found.metadata["labrhel_manifest"]
    found.conn.close()


def recording() -> dict[str, np.ndarray]:
    time = np.arange(100.0)
    return {"u": np.sin(0.5 * time), "y": 0.3 * np.sin(0.5 * time + 1), "fs": np.array([3e3])}


def as_mat(folder: Path) -> str:
    from scipy.io import savemat

    savemat(folder / "lab.mat", recording())
    return "lab.mat"


def as_netcdf(folder: Path, unit: str = "V") -> str:
    import h5py

    with h5py.File(folder / "lab.nc", "w") as file:
        for name, values in recording().items():
            scale = 1e3 if unit == "mV" and name == "y" else 1.0
            item = file.create_dataset(name, data=scale * values)
            if name == "y":
                item.attrs["units"] = unit
    return "lab.nc"


def as_csv(folder: Path) -> str:
    columns = recording()
    rows = np.column_stack([columns["u"], columns["y"], np.full(100, 3e3)])
    np.savetxt(folder / "lab.csv", rows[:, :2], delimiter=",", header="u,y", comments="")
    return "lab.csv"


def loaded(folder: Path, file: str, units: str = "") -> np.ndarray:
    config = folder / "recorded.yaml"
    data = DATA.replace("FILE", file).replace("UNITS", f", units: {units}" if units else "")
    config.write_text(
        SMALL[: SMALL.index("data:")] + (data.replace("rate: fs", "rate: 3e3") if ".csv" in file else data)
    )
    return load_experiment(config).problem.train[0].target


def test_recordings_of_other_programs_are_read(tmp_path: Path) -> None:
    expected = recording()["y"][None, :60]
    for make in (as_mat, as_netcdf, as_csv):
        np.testing.assert_allclose(loaded(tmp_path, make(tmp_path)), expected, rtol=1e-12)


def test_units_of_a_file_are_turned_into_the_model_s(tmp_path: Path) -> None:
    expected = recording()["y"][None, :60]
    np.testing.assert_allclose(loaded(tmp_path, as_netcdf(tmp_path, "mV")), expected, rtol=1e-12)
    np.testing.assert_allclose(loaded(tmp_path, as_mat(tmp_path), "{y: mV}"), 1e-3 * expected, rtol=1e-12)
    with pytest.raises(ConfigurationError, match=r"the array 'y' is in A, and the model in V"):
        loaded(tmp_path, as_netcdf(tmp_path, "A"))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    for name in ("lab.mat", "lab.nc"):
        (tmp_path / name).write_bytes(b"not at all")
        with pytest.raises(ConfigurationError, match=r"cannot be read: it is damaged|cannot be read"):
            loaded(tmp_path, name)
