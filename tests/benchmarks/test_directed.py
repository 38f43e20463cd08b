"""The figures of directed couplings, on few rigs."""

import numpy as np

from benchmarks.directed import left, row


def test_pairs_of_echoes_bring_the_digits_that_are_promised() -> None:
    found = [row(seed, 0.2, 20.0, 0.05) for seed in (1, 2)]
    errors = np.median([item.errors for item in found], axis=0)
    assert errors[0] > 0.05
    assert min(item.model for item in found) > 0.05
    assert errors[4] <= 1e-3
    assert errors[6] <= 1e-5
    for item in found:
        for pairs in (2, 3, 4):
            assert 1 / 4 < item.said[pairs] / item.errors[pairs] < 4


def test_a_rig_left_to_itself_is_within_a_percent_or_says_so() -> None:
    found = left(3, 1.0, 20.0)
    assert found.error <= 0.01 or found.said > 0.01
    assert found.pairs > 1
