"""Recordings and made data become sequences on the model's time axis."""

from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from labrhel.config import Document, load
from labrhel.data import Dataset, search_path, weighted_variance
from labrhel.data.recording import find_recording, open_recording
from labrhel.errors import ConfigurationError
from labrhel.experiment.dataset import dataset_of
from labrhel.experiment.model import model_of
from labrhel.experiment.teacher import multisine
from labrhel.learning.task import TrialSequence

RECORDED = """
model:
  oscillators: 1
  units: {time: ms, position: V, input: V}
  parameters: {stiffness: {value: 0.2, train: true}}
  readout: {channels: [q1]}
data:
  file: lab.npz
  source: the shelf
  input: u
  target: y
  rate: fs
  train: {starts: [10, 30], length: 20}
  test: {late: {start: 60, stop: 100}}
  skip: 5
"""
TAUGHT = """
model:
  oscillators: 2
  coupling: chain
  parameters: {stiffness: [1.0, 1.2], coupling: {value: 0.1, train: true}}
  readout: {channels: [q2], gain: 2.0, offset: 0.5}
data:
  teacher:
    parameters: {coupling: 0.4}
    input: {amplitude: 0.3, band: [0.1, 0.3], tones: 5, seed: 4}
    samples: 80
    spacing: 0.25
    sequences: 2
    test_sequences: 1
  substeps: 2
"""
U, Y = np.sin(np.arange(100.0)), np.cos(np.arange(100.0))


def document(tmp_path: Path, text: str) -> Document:
    file = tmp_path / "experiment.yaml"
    file.write_text(text)
    return load(file)


def dataset(tmp_path: Path, text: str) -> Dataset:
    loaded = document(tmp_path, text)
    return dataset_of(loaded, model_of(loaded), [tmp_path])


def recorded(tmp_path: Path, text: str = RECORDED, **arrays: object) -> Dataset:
    content = {"u": U, "y": Y, "fs": np.array(500.0), **arrays}
    np.savez(tmp_path / "lab.npz", **{name: np.asarray(item) for name, item in content.items() if item is not None})
    return dataset(tmp_path, text)


def test_segments_become_sequences_in_model_time(tmp_path: Path) -> None:
    data = recorded(tmp_path)
    assert data.spacing == 2.0  # 500 samples per second, model time in ms
    assert [sequence.samples for sequence in data.train] == [20, 20]
    second = data.train[1]
    np.testing.assert_array_equal(second.inputs["u1"].samples.values, U[30:50])
    np.testing.assert_array_equal(second.target, Y[None, 30:50])
    assert (second.inputs["u1"].dt, second.inputs["u1"].t0) == (2.0, 0.0)
    assert data.tests["late"][0].samples == 40


def test_skipped_samples_have_no_weight(tmp_path: Path) -> None:
    weight = recorded(tmp_path).train[0].weight
    np.testing.assert_array_equal(weight, [0.0] * 5 + [1.0] * 15)


def test_several_inputs_may_be_columns_of_one_array_or_arrays_of_their_own(tmp_path: Path) -> None:
    two = RECORDED.replace("oscillators: 1", "oscillators: 1\n  inputs: [a, b]")
    columns = recorded(tmp_path, two, u=np.stack([U, 2 * U], axis=1))
    arrays = recorded(tmp_path, two.replace("input: u\n", "input: [u, w]\n"), w=2 * U)
    for data in (columns, arrays):
        np.testing.assert_array_equal(data.train[0].inputs["b"].samples.values, 2 * U[10:30])
    assert columns.train[0].inputs["a"] == arrays.train[0].inputs["a"]


def test_a_csv_file_gives_its_columns_by_the_names_in_the_first_row(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "lab.csv", np.stack([U, Y], axis=1), delimiter=",", header="u,y", comments="", fmt="%.17g")
    data = dataset(tmp_path, RECORDED.replace("lab.npz", "lab.csv").replace("rate: fs", "rate: 500"))
    np.testing.assert_array_equal(data.train[0].target, Y[None, 10:30])


@pytest.mark.parametrize(
    ("arrays", "key", "words"),
    [
        ({"y": np.where(np.arange(100) == 7, np.nan, Y)}, "data.target", "sample 7 of the array 'y' is not a finite"),
        ({"u": np.where(np.arange(100) > 97, np.inf, U)}, "data.input", "sample 98 of the array 'u'"),
        ({"y": None}, "data.target", "has no array 'y'"),
        ({"fs": None}, "data.rate", "has no array 'fs'"),
        ({"fs": np.array(0.0)}, "data.rate", "one positive number"),
        ({"fs": np.ones(3)}, "data.rate", "one positive number"),
        ({"y": Y[:-1]}, "data.target", "target samples: 99, input samples: 100; they must agree"),
        ({"y": np.stack([Y, Y], axis=1)}, "data.target", "target columns: 2, outputs of the read-out: 1"),
        ({"u": np.array(["a"] * 100)}, "data.input", "real numbers"),
        ({"u": U + 1j}, "data.input", "real numbers"),
        ({"u": U[:0], "y": Y[:0]}, "data.input", "the array 'u' is empty"),
        ({"fs": U[:0]}, "data.rate", "the array 'fs' is empty"),
        ({"u": U[:45], "y": Y[:45]}, "data.train.starts[1]", "[30, 50) reaches beyond the recording, which has 45"),
        ({"u": U[:70], "y": Y[:70]}, "data.test.late.stop", "[60, 100) reaches beyond"),
    ],
)
def test_data_that_do_not_fit_are_named(tmp_path: Path, arrays: dict[str, object], key: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        recorded(tmp_path, **arrays)
    assert caught.value.key == key
    assert words in caught.value.problem


def test_skipping_everything_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"data\.skip: train\[0\]: no sample counts"):
        recorded(tmp_path, RECORDED.replace("skip: 5", "skip: 20"))


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 cut"])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lab.npz").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"cannot be read: it is damaged, or not \.npz data"):
        dataset(tmp_path, RECORDED)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "it is empty"),
        ("u,y\n", "it holds no rows of numbers"),
        ("\n\n", "it is empty"),
        ("u,y\n1,2,3\n", "line 1 names 2 columns, and line 2 has 3 values"),
    ],
)
def test_a_table_without_rows_or_columns_is_one_sentence(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "lab.csv").write_text(content)
    with pytest.raises(ConfigurationError, match=f"cannot be read: {words}"):
        dataset(tmp_path, RECORDED.replace("lab.npz", "lab.csv"))


def test_a_table_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    rows = "\n".join(f"{u},{y}" for u, y in zip(U, Y, strict=True))
    (tmp_path / "lab.csv").write_text(f"u,y\n{rows}\n", encoding="utf-8-sig")
    data = dataset(tmp_path, RECORDED.replace("lab.npz", "lab.csv").replace("rate: fs", "rate: 500"))
    np.testing.assert_array_equal(data.train[0].target, Y[None, 10:30])


def test_damage_anywhere_in_an_archive_is_one_sentence_or_does_not_matter(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "lab.npz", u=U, y=Y, fs=np.array(500.0))
    whole, random = (tmp_path / "lab.npz").read_bytes(), np.random.default_rng(2)
    damaged = 0
    for _ in range(200):
        spoilt = bytearray(whole)
        for place in random.integers(0, len(whole), 3):
            spoilt[place] ^= int(random.integers(1, 256))
        (tmp_path / "lab.npz").write_bytes(spoilt)
        try:
            data = dataset(tmp_path, RECORDED)
        except ConfigurationError as error:
            assert "\n" not in str(error)
            damaged += 1
        else:
            np.testing.assert_array_equal(data.train[0].target, Y[None, 10:30])
    assert damaged > 100


def test_an_archive_of_something_else_is_one_sentence(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "lab.npz", "w") as archive:
        archive.writestr("u", "hello")
    with pytest.raises(ConfigurationError, match=r"damaged, or not \.npz data"):
        dataset(tmp_path, RECORDED)
    with (tmp_path / "lab.npz").open("wb") as file:
        np.save(file, U)
    with pytest.raises(ConfigurationError, match=r"damaged, or not \.npz data"):
        dataset(tmp_path, RECORDED)


def test_a_missing_file_says_where_was_looked_and_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        dataset(tmp_path, RECORDED)
    for words in (str(tmp_path), "get it from the shelf", "LABRHEL_DATA"):
        assert words in caught.value.problem


def test_recordings_are_found_beside_the_configuration_first_then_in_the_named_folder(tmp_path: Path) -> None:
    home, named = tmp_path / "home", tmp_path / "named"
    for folder in (home, named, named / "data"):
        folder.mkdir()
    folders = search_path(home, {"LABRHEL_DATA": str(named)})
    for folder in reversed(folders):
        (folder / "lab.npz").touch()
        assert find_recording("lab.npz", folders, "") == folder / "lab.npz"
    assert folders == [home, named, named / "data"]
    assert search_path(home, {}) == search_path(home, {"LABRHEL_DATA": ""}) == [home]


def test_a_multisine_has_the_asked_amplitude_and_band_and_depends_on_the_sequence(tmp_path: Path) -> None:
    section = load_teacher(tmp_path).input
    wave = multisine(section, 2, 4000, 0.25, 0)
    assert wave.shape == (2, 4000)
    assert np.sqrt(np.mean(wave**2)) == pytest.approx(0.3, rel=1e-2)
    power = np.abs(np.fft.rfft(wave[0])) ** 2
    frequency = np.fft.rfftfreq(4000, 0.25)
    inside = (frequency > 0.095) & (frequency < 0.305)
    assert power[inside].sum() > 0.99 * power.sum()
    np.testing.assert_array_equal(wave, multisine(section, 2, 4000, 0.25, 0))
    assert not np.allclose(wave, multisine(section, 2, 4000, 0.25, 1))


def load_teacher(tmp_path: Path):
    section = document(tmp_path, TAUGHT).config.data
    assert section is not None
    assert section.teacher is not None
    return section.teacher


def test_a_teacher_answers_with_its_own_parameters_and_the_read_out(tmp_path: Path) -> None:
    from labrhel.model.leapfrog import leapfrog

    data = dataset(tmp_path, TAUGHT)
    sequence = data.train[1]
    step, samples = 0.125, sequence.samples
    drive = np.zeros((2, (samples - 1) * 2 + 1))
    drive[0] = sequence.inputs["u1"].on_grid(step, drive.shape[1])
    springs = np.array([[1.0 + 0.4, -0.4], [-0.4, 1.2 + 0.4]])
    path = leapfrog(lambda q: -springs @ q, np.ones(2), np.zeros((2, 2)), drive, step, np.zeros(2), np.zeros(2))
    np.testing.assert_allclose(sequence.target[0], 2.0 * path.q[1, ::2] + 0.5, atol=1e-12)
    assert len(data.train) == 2
    assert len(data.tests["test"]) == 1


def test_only_training_targets_are_noisy(tmp_path: Path) -> None:
    clean, noisy = (
        dataset(tmp_path, TAUGHT),
        dataset(tmp_path, TAUGHT.replace("samples: 80", "samples: 80\n    noise: 0.1")),
    )
    spread = noisy.train[0].target - clean.train[0].target
    assert spread.std() == pytest.approx(0.1, rel=0.3)
    np.testing.assert_array_equal(noisy.tests["test"][0].target, clean.tests["test"][0].target)


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ("{coupling: 0.4}", "{couplink: 0.4}", "data.teacher.parameters.couplink", "did you mean 'coupling'?"),
        ("{coupling: 0.4}", "{coupling: [0.4, 1]}", "data.teacher.parameters.coupling", "expected (1,)"),
        ("{coupling: 0.4}", "{friction: -0.4}", "data.teacher.parameters.friction", "must not be negative"),
        ("{coupling: 0.4}", "{stiffness: 900}", "data.teacher.spacing", "unstable"),
        ("band: [0.1, 0.3]", "band: [0.1, 2.0]", "data.teacher.input.band", "lower the band or the spacing"),
        ("{coupling: 0.4}", "{quadratic: 50}", "data.teacher", "diverges"),
    ],
)
def test_an_impossible_teacher_is_named(tmp_path: Path, old: str, new: str, key: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        dataset(tmp_path, TAUGHT.replace(old, new))
    assert caught.value.key == key
    assert words in caught.value.problem


def test_the_variance_is_that_of_the_samples_that_count_each_output_about_its_own_mean() -> None:
    target = np.array([[100.0, 1.0, 3.0], [100.0, 10.0, 10.0]])
    sequence = TrialSequence("s", {}, target, np.array([0.0, 1.0, 1.0]))
    assert weighted_variance([sequence]) == pytest.approx((1.0 + 0.0) / 2)


def test_complex_numbers_of_a_mat_file_are_refused_and_not_taken_for_their_real_parts(tmp_path: Path) -> None:
    """Its list of contents does not tell them from others."""
    scipy_io = pytest.importorskip("scipy.io")
    scipy_io.savemat(tmp_path / "a.mat", {"h": np.arange(3) + 1j, "y": np.arange(3.0)})
    recording = open_recording(tmp_path / "a.mat")
    with pytest.raises(ConfigurationError, match=r"'h' must hold real numbers .* it holds complex numbers"):
        recording.read([recording.series("h")], 0, 3)
    np.testing.assert_array_equal(recording.read([recording.series("y")], 0, 3)[0], np.arange(3.0))
