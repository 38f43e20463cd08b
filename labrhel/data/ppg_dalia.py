"""PPG-DaLiA (Reiss et al. 2019): heart rate from a wrist sensor, 15 subjects, one pickle `S<i>/S<i>.pkl` each.

Used as in the work the RHEL paper compares itself with (Walker et al. 2024):
- channels: acceleration (3, 32 Hz), pulse wave (64 Hz), skin conductance and temperature (4 Hz each), all held to
  64 Hz, each signal scaled to [-1, 1] per subject;
- targets: the heart rate every 2 s = 128 samples.  It is an average over 8 s, so the first value also stands for the
  three readings before it; scaled to [-1, 1] per subject;
- split: each subject's record is cut into three stretches of 70, 15 and 15 % whose order is drawn at random; windows
  of 49,920 samples (390 readings), a new one every 4,992 samples, are taken inside each stretch.
Cuts fall on whole readings here, so that input and target stay aligned in every window.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.data.apart import UnreadableError, read_apart
from labrhel.data.samples import SHARES, Samples, Split
from labrhel.errors import ConfigurationError

READING = 128
"""Samples per reading of the heart rate."""

SOURCE = "archive.ics.uci.edu, dataset 495"
"""Where the data can be had."""

_HELD = {"ACC": 2, "BVP": 1, "EDA": 16, "TEMP": 16}  # repeats to reach 64 Hz
_CHANNELS = 6
_EARLIER = 3  # readings that end before the first window of 8 s does: at 2, 4 and 6 s


@dataclass(frozen=True, slots=True)
class Windows:
    """Length of the windows and distance of their starts, in readings."""

    length: int = 390
    every: int = 39


def read_ppg_dalia(folder: Path) -> Samples:
    """One sample a subject, its whole record, from a folder with `S<i>/S<i>.pkl` for one subject or more.

    Raises ConfigurationError for a folder without subjects and for a damaged file.
    """
    files = sorted(folder.glob("S*/S*.pkl"), key=lambda file: (len(file.stem), file.stem))
    if not files:
        raise ConfigurationError(f"there is no S1/S1.pkl or other subject in {folder}; get PPG-DaLiA from {SOURCE}")
    inputs, targets = zip(*map(read_subject, files), strict=True)
    return Samples(inputs, targets)


def split_windows(subjects: Samples, windows: Windows, seed: int) -> Split:
    """The three sets of windows; inputs are views of the subjects', not copies.

    Raises ConfigurationError for a record that is too short for the windows.
    """
    generator = np.random.default_rng(seed)
    parts = [Samples((), ()) for _ in SHARES]
    for inputs, targets in zip(subjects.inputs, subjects.targets, strict=True):
        for index, first, last in _stretches(len(targets), generator.permutation(len(SHARES))):
            found = _cut(inputs[first * READING : last * READING], targets[first:last], windows)
            if not len(found):
                raise ConfigurationError(
                    f"a record of {len(targets)} readings has a stretch of {last - first}, which is shorter than a "
                    f"window of {windows.length}; shorten the windows"
                )
            parts[index] += found
    return Split(*parts)


def read_subject(file: Path) -> tuple[Array, Array]:
    """Inputs (samples, 6) and targets (readings, 1) of a subject, float32, scaled to [-1, 1], from the same start.

    Raises ConfigurationError for what is no subject.
    """
    try:
        found = read_apart("ppg_dalia", file)
    except (OSError, UnreadableError) as error:
        words = error.strerror if isinstance(error, OSError) else str(error) or "it is damaged"
        raise ConfigurationError(f"{file} is not a subject of PPG-DaLiA ({words}); unpack it again") from None
    return found["inputs"], found["targets"]


def aligned_of(file: Path) -> tuple[Array, Array]:
    """The same, read in this process: in one apart, since pickles of arrays can end the process that reads them."""
    try:
        with file.open("rb") as stream:
            return _aligned(_ArraysOnly(stream, encoding="latin1").load())
    except MemoryError:
        raise
    except Exception as error:  # damaged bytes make pickle and numpy raise nearly anything
        raise UnreadableError(" ".join(f"{type(error).__name__}: {error}".split())) from None


def _aligned(content: Any) -> tuple[Array, Array]:
    wrist, rate = content["signal"]["wrist"], np.asarray(content["label"], np.float32)
    signals = [np.repeat(_scaled(wrist[name]), times, axis=0) for name, times in _HELD.items()]
    readings = np.concatenate([np.repeat(rate[:1], _EARLIER), rate])
    count = min(len(readings), min(len(signal) for signal in signals) // READING)
    inputs = np.concatenate([signal[: count * READING] for signal in signals], axis=1)
    if inputs.shape[1] != _CHANNELS:
        raise ValueError(f"it has {inputs.shape[1]} channels instead of {_CHANNELS}")
    return inputs, _scaled(readings[:count, None])


class _ArraysOnly(pickle.Unpickler):
    """A pickle may name any function to call; these files need numpy's arrays and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "numpy" and name in (
            "_reconstruct",
            "ndarray",
            "dtype",
            "scalar",
            "_frombuffer",
        ):
            return super().find_class(module, name)
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no recording needs")


def _scaled(values: Any) -> Array:
    array = np.asarray(values, np.float32)
    low, high = array.min(), array.max()
    if not high > low:
        raise ValueError("a signal is constant or not a number")
    return 2 * (array - low) / (high - low) - 1


def _stretches(readings: int, order: Sequence[int] | Array) -> list[tuple[int, int, int]]:
    """(part, first, last) in readings: the parts of SHARES, laid out in this order."""
    ends = np.round(np.cumsum([SHARES[part] for part in order]) * readings).astype(int)
    starts = [0, *ends[:-1]]
    return [(int(part), int(start), int(end)) for part, start, end in zip(order, starts, ends, strict=True)]


def _cut(inputs: Array, targets: Array, windows: Windows) -> Samples:
    starts = range(0, len(targets) - windows.length + 1, windows.every)
    return Samples(
        tuple(inputs[start * READING : (start + windows.length) * READING] for start in starts),
        tuple(targets[start : start + windows.length] for start in starts),
    )
