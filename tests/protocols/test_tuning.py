"""The tuned nudge is about as good as the best one, over four decades of noise.

LABRHEL_TUNED sets the number of rigs for each noise (2; `make targets` takes 3).
"""

import os

import numpy as np
import pytest

from benchmarks.error_bars import noisy
from labrhel.arrays import Arrays
from labrhel.errors import ConfigurationError
from labrhel.executor import execute
from labrhel.learning.estimator import Estimator
from protocols.rhel import RHEL
from protocols.tuning import MOST_SHOTS, tuned
from simbackend.rigs.reference import ReferenceTask

NAMES = ("stiffness", "coupling", "cubic")
RIGS = int(os.environ.get("LABRHEL_TUNED", "2"))


def rms_error(reference: ReferenceTask, eps: float, exact: Arrays, count: int = 10) -> float:
    """Of gradients at this nudge: noise and bias together."""
    found = [reference.gradient(RHEL(eps=eps), NAMES).values for _ in range(count)]
    errors = [np.concatenate([np.ravel(values[name] - exact[name]) for name in NAMES]) for values in found]
    return float(np.sqrt(np.mean(np.sum(np.square(errors), axis=1))))


@pytest.mark.parametrize("noise", [1e-4, 1e-3, 1e-2, 1e-1])
def test_the_tuned_nudge_is_about_as_good_as_the_best(noise: float) -> None:
    ratios = []
    for seed in range(1, RIGS + 1):
        rig = noisy(seed, noise, linear=False)
        exact = rig.exact()[1]
        found = execute(tuned(RHEL(), rig.request(NAMES)), rig.handler())
        assert found.shots <= MOST_SHOTS
        errors = [rms_error(rig, found.eps * factor, exact) for factor in (0.2, 0.5, 1.0, 2.0, 5.0)]
        ratios.append(errors[2] / min(errors))
        size = float(np.sqrt(sum(np.sum(np.square(exact[name])) for name in NAMES)))
        assert 1 / 3 < found.error / (errors[2] / size) < 3  # what it says of the error it will have
    assert max(ratios) < 1.5


def test_more_repeats_allow_a_weaker_nudge() -> None:
    rig = noisy(1, 1e-2, linear=False)
    few, many = (
        execute(tuned(RHEL(), rig.request(NAMES), repeats), noisy(1, 1e-2, linear=False).handler())
        for repeats in (1, 64)
    )
    assert many.eps < few.eps
    assert many.error < few.error


def test_it_is_for_the_symmetric_estimator() -> None:
    rig = noisy(1, 1e-2, linear=False)
    rule = RHEL(Estimator.FOUR_POINT)
    with pytest.raises(ConfigurationError, match="symmetric"):
        execute(tuned(rule, rig.request(NAMES)), rig.handler())
