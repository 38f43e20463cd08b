"""Labelled sequences for stacks: inputs with one target each, and how they are split.

The split of the RHEL paper (and of the work it compares itself with): training and test sets merged, duplicates
dropped, then 70/15/15 at random.  Sequences are kept as they are, views included, and stacked batch by batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import ConfigurationError

SHARES = (0.7, 0.15, 0.15)
"""Training, validation and test in the paper."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Inputs, each (time, channels), with their targets: class numbers, or arrays (readings, outputs)."""

    inputs: tuple[Array, ...]
    targets: tuple[Array, ...]

    def __len__(self) -> int:
        return len(self.inputs)

    def __add__(self, other: Samples) -> Samples:
        return Samples(self.inputs + other.inputs, self.targets + other.targets)

    def pick(self, indices: Sequence[int] | Array) -> Samples:
        """The samples of these indices, in this order."""
        return Samples(tuple(self.inputs[i] for i in indices), tuple(self.targets[i] for i in indices))

    def digest(self) -> str:
        """SHA-256 of all numbers and their shapes: whether two sets are the same."""
        found = hashlib.sha256()
        for values in (*self.inputs, *self.targets):
            found.update(f"{values.dtype.str}{values.shape}".encode())
            found.update(np.ascontiguousarray(values).data)
        return found.hexdigest()

    def stacked(self) -> tuple[Array, Array]:
        """Inputs (samples, time, channels), shorter ones with NaN behind them, and targets (samples, ...)."""
        longest = max(map(len, self.inputs))
        if min(map(len, self.inputs)) == longest:
            return np.stack(self.inputs), np.stack(self.targets)
        padded = np.full((len(self), longest, self.inputs[0].shape[1]), np.nan, self.inputs[0].dtype)
        for row, values in zip(padded, self.inputs, strict=True):
            row[: len(values)] = values
        return padded, np.stack(self.targets)

    def batches(self, size: int, generator: np.random.Generator | None = None) -> Iterator[tuple[Array, Array]]:
        """All samples in batches of `size`, the last one smaller; in random order if there is a generator."""
        order = np.arange(len(self)) if generator is None else generator.permutation(len(self))
        for start in range(0, len(self), size):
            yield self.pick(order[start : start + size]).stacked()


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """What is learned from, what decides when to stop, and what is reported."""

    train: Samples
    validation: Samples
    test: Samples


def without_duplicates(samples: Samples) -> Samples:
    """The samples whose input did not occur before; order kept."""
    first: dict[bytes, int] = {}
    for index, values in enumerate(samples.inputs):
        first.setdefault(values.tobytes(), index)
    return samples.pick(list(first.values()))


def given_split(train: Samples, test: Samples, seed: int) -> Split:
    """The training and test sets as they were published; of the former a random part, by the seed, to stop by.

    Raises ConfigurationError if one part would be empty.
    """
    parts = random_split(train, seed, (SHARES[0] / (SHARES[0] + SHARES[1]), SHARES[1] / (SHARES[0] + SHARES[1]), 0.0))
    if not len(test):
        raise ConfigurationError("there is no test set of its own; leave out split: given")
    return Split(parts.train, parts.validation, test)


def random_split(samples: Samples, seed: int, shares: tuple[float, float, float] = SHARES) -> Split:
    """A random split by `shares`; the same seed gives the same split.

    Raises ConfigurationError if one part would be empty.
    """
    order = np.random.default_rng(seed).permutation(len(samples))
    ends = np.round(np.cumsum(shares) * len(samples)).astype(int)
    train, validation, test = order[: ends[0]], order[ends[0] : ends[1]], order[ends[1] : ends[2]]
    if any(share and not len(part) for share, part in zip(shares, (train, validation, test), strict=True)):
        raise ConfigurationError(f"{len(samples)} samples are too few for a split by {shares}; each part needs one")
    return Split(samples.pick(train), samples.pick(validation), samples.pick(test))
