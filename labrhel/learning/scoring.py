"""How large an error is: beside the size of what it is an error of, and with what it is uncertain by.

    rms    = sqrt(sum_k w_k |y_k - t_k|^2 / (outputs sum_k w_k))            [target unit]
    zero   = the same of a read-out that is always zero: the rms of the target
    NRMSE  = sqrt(sum_k w_k |y_k - t_k|^2 / sum_k w_k |t_k - mean t|^2)     1: no better than the mean of the target

The uncertainty of NRMSE is that of a finite test: a jackknife over `BLOCKS` blocks of neighbouring samples, which keeps
together what is correlated.  Source: Efron & Stein, Ann. Stat. 9, 586 (1981).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array
from labrhel.learning.task import TrialSequence

BLOCKS = 10
GOOD = 0.9
"""NRMSE above which nothing worth the name has been learned: four fifths of the variance are left."""


@dataclass(frozen=True, slots=True)
class Score:
    """Errors of a read-out on a set of sequences; `nrmse` and its `uncertainty` are NaN for a constant target."""

    rms: float
    zero: float
    nrmse: float
    uncertainty: float


def score(sequences: Sequence[TrialSequence], outputs: Sequence[Array]) -> Score:
    """Score read-outs (outputs, samples), one for each sequence."""
    total = float(sum(item.weight.sum() for item in sequences))
    mean = np.sum([item.target @ item.weight for item in sequences], axis=0) / total
    missed, size, spread = [], [], []
    for item, output in zip(sequences, outputs, strict=True):
        counts, weight = item.weight > 0, item.weight
        missed.append((weight * ((output - item.target) ** 2).sum(axis=0))[counts])
        size.append((weight * (item.target**2).sum(axis=0))[counts])
        spread.append((weight * ((item.target - mean[:, None]) ** 2).sum(axis=0))[counts])
    entries = total * len(mean)
    rms, zero = (float(np.sqrt(np.concatenate(part).sum() / entries)) for part in (missed, size))
    wrong, there = (_blocks(np.concatenate(part)) for part in (missed, spread))
    if not there.sum() > 0:
        return Score(rms, zero, np.nan, np.nan)
    nrmse = float(np.sqrt(wrong.sum() / there.sum()))
    with np.errstate(divide="ignore", invalid="ignore"):
        without = np.sqrt((wrong.sum() - wrong) / (there.sum() - there))
    count = len(without)
    uncertainty = float(np.sqrt((count - 1) / count * np.sum((without - without.mean()) ** 2))) if count > 1 else np.inf
    return Score(rms, zero, nrmse, uncertainty)


def _blocks(values: Array) -> Array:
    return np.array([part.sum() for part in np.array_split(values, min(BLOCKS, len(values)))])
