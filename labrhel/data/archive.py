"""The UEA archive of multivariate time series (Bagnall et al. 2018): `.ts` text files, and the same data as `.npz`.

A `.ts` file holds a header and one sample per line after `@data`: channels separated by colons, the values of a
channel by commas, the class label last.

    @problemName BasicMotions
    @timeStamps false
    @classLabel true Standing Running Walking Badminton
    @data
    0.1,0.2,0.3:1.1,1.2,1.3:Standing

An `.npz` file holds X_train and X_test (samples, channels, time), y_train and y_test (class numbers) and, optionally,
`labels`, their names.

Series may differ in length; in an `.npz` file the shorter ones end in NaN.  A `.ts` file may have a number in place of
the class (`@targetLabel true`, the regression archive): it is scaled to mean 0 and variance 1 over both sets, so that
an error is a share of the variance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labrhel.arrays import Array
from labrhel.config.fields import LARGEST_SIZE
from labrhel.data.formats.interface import LARGEST
from labrhel.data.recording import find_recording, read_arrays
from labrhel.data.samples import Samples, without_duplicates
from labrhel.errors import ConfigurationError
from labrhel.safety.plain_files import read_plain

_NOTHING = Samples((), ())


@dataclass(frozen=True, slots=True, eq=False)
class Archive:
    """Classified sequences, training and test set merged and duplicates dropped, and the names of the classes.

    `labels` are empty where the target is a number.  `train` and `test` are the sets as they were published.
    """

    samples: Samples
    labels: tuple[str, ...]
    train: Samples = _NOTHING
    test: Samples = _NOTHING

    @property
    def channels(self) -> int:
        """Channels of every sample."""
        return self.samples.inputs[0].shape[1]


def read_archive(name: str, folders: Sequence[Path]) -> Archive:
    """A problem of the archive: `NAME.npz`, or `NAME_TRAIN.ts` with `NAME_TEST.ts` beside it, named by the first.

    Raises ConfigurationError for a missing or damaged file.
    """
    file = find_recording(name, folders, "timeseriesclassification.com")
    if file.suffix == ".ts":
        if not file.stem.endswith("_TRAIN"):
            raise ConfigurationError(f"a problem of the archive is named by its NAME_TRAIN.ts, not by {file.name}")
        train, labels = read_ts(file)
        test, others = read_ts(file.with_name(file.name.replace("_TRAIN", "_TEST")))
        if labels != others:
            raise ConfigurationError(f"{file.name} and its test file name different classes; take both from one source")
        if train.inputs[0].shape[1] != test.inputs[0].shape[1]:
            raise ConfigurationError(f"{file.name} and its test file differ in channels; take both from one source")
        if not labels:
            train, test = _scaled(train, test, file)
    else:
        train, test, labels = _from_npz(read_arrays(file), file)
    return Archive(without_duplicates(train + test), labels, train, test)


def _scaled(train: Samples, test: Samples, file: Path) -> tuple[Samples, Samples]:
    values = np.stack(train.targets + test.targets)
    mean, size = values.mean(), values.std()
    if not size > 0:
        raise ConfigurationError(f"all targets of {file.name} and its test file are the same: nothing can be learned")

    def scaled(part: Samples) -> Samples:
        return Samples(part.inputs, tuple(((value - mean) / size).astype(np.float32) for value in part.targets))

    return scaled(train), scaled(test)


def read_ts(file: Path) -> tuple[Samples, tuple[str, ...]]:
    """Samples of one `.ts` file, and the names of the classes; none of these if the targets are numbers (1,).

    Raises ConfigurationError, with the line, for what this reader does not take: time stamps, missing values that the
    header does not announce, a class that it does not name, channels that differ in number or, in one sample, length.
    """
    try:
        # Comments come in any encoding; a class with a letter that is none of UTF-8 is the same in both files.
        lines = read_plain(file, LARGEST).decode("utf-8", "replace").splitlines()
    except OSError as error:
        raise ConfigurationError(f"the data file cannot be read: {error.strerror}", file=file) from None
    header: dict[str, list[str]] = {}
    inputs: list[Array] = []
    targets: list[Array] = []
    labels: tuple[str, ...] = ()
    in_data = False
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        try:
            if in_data:
                values, target = _sample(line, labels, fill=header.get("@missing", [""])[0].lower() == "true")
                if inputs and values.shape[1] != inputs[0].shape[1]:
                    raise ValueError(f"{values.shape[1]} channels where the first sample has {inputs[0].shape[1]}")
                inputs.append(values)
                targets.append(target)
            elif line.lower() == "@data":
                labels, in_data = _classes(header), True
            else:
                word, *rest = line.split()
                header[word.lower()] = rest
        except ValueError as error:
            raise ConfigurationError(str(error), file=file, line=number) from None
    if not inputs:
        raise ConfigurationError("there is no sample after @data; is this a .ts file?", file=file)
    return Samples(tuple(inputs), tuple(targets)), labels


def _classes(header: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    if header.get("@timestamps", ["false"])[0].lower() == "true":
        raise ValueError("samples with time stamps are not read; resample them to equal steps")
    if header.get("@targetlabel", ["false"])[0].lower() == "true":
        return ()
    flag, *labels = header.get("@classlabel", ["false"])
    if flag.lower() != "true" or not labels:
        raise ValueError("the header names no classes (@classLabel true NAME NAME ...), and no @targetLabel true")
    return tuple(labels)


def _sample(line: str, labels: tuple[str, ...], *, fill: bool) -> tuple[Array, Array]:
    *channels, label = line.split(":")
    target = np.array(labels.index(_class(label.strip(), labels))) if labels else np.array([float(label)])
    if not np.isfinite(target).all():
        raise ValueError(f"the target {label.strip()!r} is not a finite number")
    if "?" in line and not fill:
        raise ValueError("a value is missing (?) though the header does not say @missing true; fill it in")
    rows = [_channel(channel, fill=fill) for channel in channels]
    if len({len(row) for row in rows}) != 1:
        raise ValueError("the channels of a sample differ in length, or there are none")
    values = np.stack(rows, axis=1)
    if not np.isfinite(values).all():
        raise ValueError("a value is not a finite number; clean the data")
    return values, target


def _class(label: str, labels: tuple[str, ...]) -> str:
    """The class as the header spells it, which may write 1.0 for 1."""
    if label in labels:
        return label
    try:
        return next(known for known in labels if float(known) == float(label))
    except (ValueError, StopIteration):
        raise ValueError(f"the class {label!r} is not one of the header: {', '.join(labels)}") from None


def _channel(text: str, *, fill: bool) -> Array:
    """The values of a channel (samples,); missing ones on the straight line between those beside them."""
    cells = text.rstrip().removesuffix(",").split(",")
    if not fill:
        return np.array(cells, dtype=np.float32)
    values = np.array(["nan" if cell.strip() == "?" else cell for cell in cells], dtype=np.float32)
    there = np.isfinite(values)
    if not there.any():
        raise ValueError("all values of a channel are missing")
    return np.interp(np.arange(len(values)), np.flatnonzero(there), values[there]).astype(np.float32)


def _from_npz(arrays: Mapping[str, Array], file: Path) -> tuple[Samples, Samples, tuple[str, ...]]:
    missing = [name for name in ("X_train", "y_train", "X_test", "y_test") if name not in arrays]
    if missing:
        raise ConfigurationError(f"{file.name} has no array {missing[0]!r}; it needs X_train, y_train, X_test, y_test")
    parts = []
    for part in ("train", "test"):
        x, y = arrays[f"X_{part}"], arrays[f"y_{part}"]
        if x.ndim != 3 or y.shape != x.shape[:1] or y.dtype.kind not in "iu":
            raise ConfigurationError(
                f"{file.name}: X_{part} is (samples, channels, time), y_{part} a class number each"
            )
        if x.dtype.kind not in "iufb":
            raise ConfigurationError(f"{file.name}: X_{part} is of numbers, not of {x.dtype}")
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
            rows = [_without_end(row) for row in np.ascontiguousarray(np.swapaxes(x, 1, 2), dtype=np.float32)]
        if not all(len(row) and np.isfinite(row).all() for row in rows):
            raise ConfigurationError(
                f"{file.name}: X_{part} holds values that are not finite numbers, or beyond float32; clean the data: "
                "NaN may only stand behind a series that is shorter than others"
            )
        parts.append(Samples(tuple(rows), tuple(np.array(int(label)) for label in y)))
        require_classes(y, file)
    train, test = parts
    samples = train + test
    highest = max(int(target) for target in samples.targets)
    names = tuple(str(name) for name in arrays["labels"]) if "labels" in arrays else tuple(map(str, range(highest + 1)))
    if highest >= len(names) or min(int(target) for target in samples.targets) < 0:
        raise ConfigurationError(f"{file.name}: class numbers go from 0 to {len(names) - 1}, one per label")
    return train, test, names


def require_classes(classes: Array, file: Path) -> None:
    """Raise ConfigurationError for a class number beyond all reason, of which each would have a row of the read-out."""
    if classes.size and not -1 < int(classes.max()) < LARGEST_SIZE:
        raise ConfigurationError(
            f"{file.name}: there is a class {int(classes.max())}; classes are numbered from 0, {LARGEST_SIZE} at most"
        )


def _without_end(series: Array) -> Array:
    """A series (time, channels) without the NaN behind it."""
    there = np.flatnonzero(~np.isnan(series).all(axis=1))
    return series[: there[-1] + 1] if there.size else series[:0]
