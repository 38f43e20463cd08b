"""Files that would end, hold up or fill the process that reads them are one sentence."""

import os
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from labrhel.data import apart
from labrhel.data.formats import interface
from labrhel.data.ppg_dalia import read_subject
from labrhel.data.recording import read_arrays, read_recording
from labrhel.errors import ConfigurationError

h5py = pytest.importorskip("h5py")


def refused(file: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_arrays(file)
    assert str(file) in caught.value.problem
    return caught.value.problem


def test_numbers_text_and_names_come_back_as_they_were_written(tmp_path: Path) -> None:
    from scipy.io import savemat

    cells = np.array([[1, "a"]], object)
    savemat(
        tmp_path / "a.mat",
        {"u": np.arange(6.0).reshape(2, 3), "n": np.array([7], np.int16), "words": "mV", "cells": cells},
    )
    found = read_arrays(tmp_path / "a.mat")
    np.testing.assert_array_equal(found["u"], np.arange(6.0).reshape(2, 3))
    assert (found["n"].dtype, found["n"].tolist(), found["words"].tolist()) == (np.int16, [7], ["mV"])
    assert found["cells"].dtype.kind == "S"  # its name is there, and it is no array of numbers


def test_units_and_groups_of_hdf5_come_back(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scope/u"] = np.arange(3)
        file["scope/u"].attrs["units"] = "mV"
        file["empty"] = np.empty((0, 2))
    found, units = read_recording(tmp_path / "a.h5")
    assert (found["scope/u"].tolist(), found["empty"].shape, units) == ([0, 1, 2], (0, 2), {"scope/u": "mV"})


@pytest.mark.parametrize(
    ("library", "words"),
    [
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", "ended the program that read it (SIGSEGV)"),
        ("memory = bytearray(20 << 30)\n", "too much memory"),
        ("import time\ntime.sleep(1000)\n", "takes too long"),
    ],
)
def test_a_library_that_crashes_fills_the_memory_or_hangs_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, words: str
) -> None:
    body = "".join(f"        {line}\n" for line in library.splitlines())
    text = f"class Dataset: pass\nclass File:\n    def __init__(self, *a, **k):\n{body}"
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "h5py.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "own"))
    if "sleep" in library:
        monkeypatch.setattr(apart, "_WALL", 3.0)
    (tmp_path / "lab.h5").write_bytes(b"whatever")
    assert words in refused(tmp_path / "lab.h5")


def test_nothing_of_the_working_folder_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["u"] = np.arange(3)
    for name in ("h5py", "numpy", "labrhel", "readers"):
        (tmp_path / f"{name}.py").write_text("import os\nos._exit(0)\n")
    monkeypatch.chdir(tmp_path)
    assert read_arrays(Path("a.h5"))["u"].tolist() == [0, 1, 2]


def test_an_hdf5_file_that_claims_terabytes_is_refused_before_they_are_asked_for(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "lab.h5", "w") as file:
        file.create_dataset("u", (10**6, 10**6), "f8", chunks=(100, 100))
    assert "its arrays would take 8e+03 GB" in refused(tmp_path / "lab.h5")


def test_an_hdf5_file_gives_no_numbers_of_another_file(tmp_path: Path) -> None:
    (tmp_path / "private").write_bytes(b"0123456789")
    with h5py.File(tmp_path / "lab.h5", "w") as file:
        file.create_dataset("u", (10,), "u1", external=[(str(tmp_path / "private"), 0, 10)])
    assert "the numbers of 'u' lie in another file" in refused(tmp_path / "lab.h5")


@pytest.mark.parametrize("shape", ["(10**13,)", "(1000000000000,)", "(2000000, 2000000)", "(3000,)"])
def test_an_npz_file_that_claims_more_than_it_holds_is_refused_before_it_is_allocated(
    tmp_path: Path, shape: str
) -> None:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".encode().ljust(117) + b"\n"
    body = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(16)
    with ZipFile(tmp_path / "lab.npz", "w") as archive:
        archive.writestr("u.npy", body)
    words = refused(tmp_path / "lab.npz")
    assert "claims more numbers than there are" in words or "it is damaged" in words


def test_a_small_archive_that_unpacks_to_gigabytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "lab.npz", u=np.zeros(1 << 20))
    monkeypatch.setattr(interface, "LARGEST", 1 << 20)
    assert "its arrays would take 0.00839 GB" in refused(tmp_path / "lab.npz")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
@pytest.mark.parametrize("name", ["lab.npz", "lab.csv", "lab.mat", "lab.h5"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    assert "a pipe or a device" in refused(tmp_path / name)


def test_a_pickle_that_claims_terabytes_ends_in_the_process_apart(tmp_path: Path) -> None:
    import pickle

    whole = pickle.dumps({"signal": np.zeros(3)}, protocol=2)
    file = tmp_path / "S1.pkl"
    file.write_bytes(whole.replace(b"K\x03", b"\x8a\x06" + (10**12).to_bytes(6, "little")))
    with pytest.raises(ConfigurationError, match="is not a subject of PPG-DaLiA"):
        read_subject(file)
