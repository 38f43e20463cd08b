"""Images read pixel by pixel, row after row, as sequences: what does each show?

    digits       1797 handwritten digits of 8 x 8 pixels, which come with scikit-learn (`pip install 'labrhel[digits]'`)
    NAME.npz     x_train, y_train, x_test, y_test as Keras hands out MNIST: images (count, rows, columns), integers

Pixels are scaled to [0, 1] by the largest of the set.  Source of the task: Le, Jaitly & Hinton (2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from labrhel.arrays import Array
from labrhel.data.archive import Archive, require_classes
from labrhel.data.recording import find_recording, read_arrays
from labrhel.data.samples import Samples, without_duplicates
from labrhel.errors import ConfigurationError

BUNDLED = "digits"
_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def read_images(name: str, folders: Sequence[Path]) -> Archive:
    """The set of that name; each sample is (rows * columns, 1), float32.

    Raises ConfigurationError for a missing or damaged file, and where scikit-learn is not installed.
    """
    if name == BUNDLED:
        x, y = _bundled()
        train, test = _samples(x, y, 1.0 / x.max()), Samples((), ())
        count = int(y.max()) + 1
    else:
        file = find_recording(name, folders, "")
        arrays = read_arrays(file)
        missing = [key for key in _ARRAYS if key not in arrays]
        if missing:
            raise ConfigurationError(f"{file.name} has no array {missing[0]!r}; it needs {', '.join(_ARRAYS)}")
        x, y, other_x, other_y = (np.asarray(arrays[key]) for key in _ARRAYS)
        for images, classes in ((x, y), (other_x, other_y)):
            _check(images, classes, file)
        largest = float(max(x.max(), other_x.max()))
        if not largest > 0:
            raise ConfigurationError(f"all images of {file.name} are black; get them again")
        train, test = _samples(x, y, 1 / largest), _samples(other_x, other_y, 1 / largest)
        count = int(max(y.max(), other_y.max())) + 1
    return Archive(without_duplicates(train + test), tuple(map(str, range(count))), train, test)


def _bundled() -> tuple[Array, Array]:
    try:
        from sklearn.datasets import load_digits  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ConfigurationError(
            "digits come with scikit-learn, which is not installed: pip install 'labrhel[digits]'; or name a file of "
            "images, such as mnist.npz"
        ) from None
    found = load_digits()
    return np.asarray(found.images), np.asarray(found.target)


def _check(images: Array, classes: Array, file: Path) -> None:
    if images.ndim != 3 or 0 in images.shape or classes.shape != images.shape[:1] or classes.dtype.kind not in "iu":
        raise ConfigurationError(f"{file.name}: x_ are images (count, rows, columns), y_ an integer for each")
    require_classes(classes, file)
    if images.dtype.kind not in "iuf" or not np.isfinite(images).all() or images.min() < 0 or classes.min() < 0:
        raise ConfigurationError(f"{file.name}: pixels are finite numbers, and like the classes 0 or more")


def _samples(images: Array, classes: Array, scale: float) -> Samples:
    rows = (images.reshape(len(images), -1, 1) * scale).astype(np.float32)
    return Samples(tuple(rows), tuple(np.array(int(value)) for value in classes))
