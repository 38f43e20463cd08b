"""What training and tests are given: sequences, and the time between their samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array
from labrhel.learning.task import TrialSequence
from labrhel.shots.waveform import Interpolation, Waveform


@dataclass(frozen=True, slots=True)
class Dataset:
    """Training sequences, named test sets, and the `spacing` of their samples [model time]."""

    train: tuple[TrialSequence, ...]
    tests: Mapping[str, tuple[TrialSequence, ...]]
    spacing: float


def sequence_of(
    name: str,
    ports: Sequence[str],
    inputs: Array,
    target: Array,
    spacing: float,
    interpolation: Interpolation,
    skip: int,
) -> TrialSequence:
    """One sequence from inputs (ports, samples) and target (outputs, samples); the first `skip` do not count.

    Raises ConfigurationError for a sequence with no sample that counts, or a sample that is not a number.
    """
    weight = np.ones(target.shape[1])
    weight[:skip] = 0.0
    waves = {
        port: Waveform.of(values, spacing, interpolation=interpolation)
        for port, values in zip(ports, inputs, strict=True)
    }
    return TrialSequence(name, waves, np.ascontiguousarray(target), weight)


def weighted_variance(sequences: Sequence[TrialSequence]) -> float:
    """Variance of the targets over the samples that count, each output about its own mean [target unit^2]."""
    weights = np.concatenate([sequence.weight for sequence in sequences])
    targets = np.concatenate([sequence.target for sequence in sequences], axis=1)
    mean = np.average(targets, axis=1, weights=weights)
    with np.errstate(over="ignore", invalid="ignore"):  # an overflow shows in the result
        return float(np.mean(np.average((targets - mean[:, None]) ** 2, axis=1, weights=weights)))
