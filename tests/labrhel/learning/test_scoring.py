"""Scores of a read-out: beside the target, and with the uncertainty of a finite test."""

import numpy as np
import pytest

from labrhel.learning.scoring import score
from labrhel.learning.task import TrialSequence
from labrhel.learning.train import rms_error


def sequences(targets: np.ndarray) -> list[TrialSequence]:
    weight = np.ones(targets.shape[2])
    weight[:5] = 0.0
    return [TrialSequence(f"s{index}", {}, target, weight) for index, target in enumerate(targets)]


RANDOM = np.random.default_rng(0)
TARGETS = 3.0 + RANDOM.normal(size=(2, 3, 405)) * np.array([[1.0], [2.0], [0.5]])


def test_the_mean_of_the_target_scores_one_and_zero_scores_its_rms() -> None:
    asked = sequences(TARGETS)
    mean = TARGETS[:, :, 5:].mean(axis=(0, 2))
    stuck = score(asked, [np.repeat(mean[:, None], 405, axis=1)] * 2)
    assert stuck.nrmse == pytest.approx(1.0)
    silent = score(asked, [np.zeros((3, 405))] * 2)
    assert silent.rms == pytest.approx(silent.zero) == pytest.approx(np.sqrt(np.mean(TARGETS[:, :, 5:] ** 2)))
    assert silent.nrmse > 1


def test_the_error_is_that_of_the_samples_that_count() -> None:
    asked, given = sequences(TARGETS), [item + 0.1 for item in TARGETS]
    found = score(asked, given)
    assert found.rms == pytest.approx(rms_error(asked, given)) == pytest.approx(0.1)
    spread = np.sqrt(np.mean((TARGETS[:, :, 5:] - TARGETS[:, :, 5:].mean(axis=(0, 2), keepdims=True)) ** 2))
    assert found.nrmse == pytest.approx(0.1 / spread)


def test_the_uncertainty_covers_what_other_tests_of_the_same_kind_find() -> None:
    found = []
    for seed in range(200):
        random = np.random.default_rng(seed)
        targets = random.normal(size=(1, 1, 205))
        found.append(score(sequences(targets), [targets[0] + 0.9 * random.normal(size=(1, 205))]))
    values, errors = np.array([item.nrmse for item in found]), np.array([item.uncertainty for item in found])
    assert errors.mean() == pytest.approx(values.std(), rel=0.2)
    assert np.mean(np.abs(values - 0.9) < 2 * errors) > 0.88


def test_a_target_that_stands_still_has_no_spread_to_compare_with() -> None:
    still = score(sequences(np.ones((1, 1, 50))), [np.zeros((1, 50))])
    assert still.rms == still.zero == 1.0
    assert np.isnan(still.nrmse)


def test_samples_count_by_their_weights() -> None:
    weight = np.repeat([0.0, 1.0, 3.0], [5, 150, 250])
    errors = np.linspace(0.0, 0.4, 405)
    asked = [TrialSequence(f"s{index}", {}, target, weight) for index, target in enumerate(TARGETS)]
    found = score(asked, [item + errors for item in TARGETS])
    entries = 2 * 3 * weight.sum()
    mean = (TARGETS * weight).sum(axis=(0, 2)) / (2 * weight.sum())
    missed = np.sqrt(2 * 3 * (weight * errors**2).sum() / entries)
    spread = np.sqrt((weight * (TARGETS - mean[:, None]) ** 2).sum() / entries)
    assert found.rms == pytest.approx(missed)
    assert found.zero == pytest.approx(np.sqrt((weight * TARGETS**2).sum() / entries))
    assert found.nrmse == pytest.approx(missed / spread)
