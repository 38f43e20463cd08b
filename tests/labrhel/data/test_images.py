"""Images read pixel by pixel."""

import sys
from pathlib import Path

import numpy as np
import pytest

from labrhel.data.images import read_images
from labrhel.errors import ConfigurationError


def written(folder: Path, **changes: np.ndarray) -> str:
    """A file as MNIST is handed out, with two rows of three pixels in each image."""
    random = np.random.default_rng(0)
    arrays = {
        "x_train": random.integers(0, 256, (6, 2, 3)).astype(np.uint8),
        "y_train": np.arange(6).astype(np.uint8) % 3,
        "x_test": random.integers(0, 255, (3, 2, 3)).astype(np.uint8),
        "y_test": np.array([2, 1, 0], np.uint8),
    }
    arrays["x_train"][0, 0, 1] = 255
    np.savez(folder / "images.npz", **{**arrays, **changes})
    return "images.npz"


def test_an_image_becomes_its_pixels_row_after_row_between_0_and_1(tmp_path: Path) -> None:
    archive = read_images(written(tmp_path), [tmp_path])
    with np.load(tmp_path / "images.npz") as arrays:
        expected = arrays["x_train"][0].ravel() / 255
    assert archive.samples.inputs[0].shape == (6, 1)
    np.testing.assert_allclose(archive.samples.inputs[0][:, 0], expected, rtol=1e-6)
    assert archive.labels == ("0", "1", "2")
    assert (len(archive.train), len(archive.test)) == (6, 3)
    assert [int(target) for target in archive.test.targets] == [2, 1, 0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x_train": np.zeros((6, 6), np.uint8)}, "x_ are images"),
        ({"y_test": np.array([0.5, 1, 2])}, "x_ are images"),
        ({"y_test": np.array([0, 1], np.uint8)}, "x_ are images"),
        ({"x_test": np.full((3, 2, 3), -1.0)}, "0 or more"),
        ({"x_train": np.zeros((6, 2, 3)), "x_test": np.zeros((3, 2, 3))}, "black"),
    ],
)
def test_what_is_no_set_of_images_is_refused(tmp_path: Path, changes: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read_images(written(tmp_path, **changes), [tmp_path])


def test_a_file_without_one_of_the_arrays_says_which(tmp_path: Path) -> None:
    np.savez(tmp_path / "half.npz", x_train=np.ones((1, 2, 2)))
    with pytest.raises(ConfigurationError, match=r"half\.npz has no array 'y_train'; it needs x_train, y_train"):
        read_images("half.npz", [tmp_path])


def test_the_bundled_digits_are_64_pixels_long() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is an extra: pip install 'labrhel[digits]'")
    archive = read_images("digits", [])
    assert archive.samples.inputs[0].shape == (64, 1)
    assert len(archive.labels) == 10
    assert (archive.samples.stacked()[0].min(), archive.samples.stacked()[0].max()) == (0, 1)


def test_digits_without_scikit_learn_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'labrhel\[digits\]'"):
        read_images("digits", [])
