"""Echoes of a few sequences and a twin of all: right on average however wrong the twin, and cheaper.

LABRHEL_DRAWS sets the number of draws to average over (6; `make targets` takes 12).
"""

import os
from dataclasses import replace

import numpy as np
import pytest

from labrhel.errors import ConfigurationError
from labrhel.learning.checking import compare
from labrhel.shots.waveform import Waveform
from protocols.control_variate import EchoesAndTwin
from protocols.rhel import RHEL
from simbackend.rigs.reference import STEP, STEPS, ReferenceTask, lossy_rig
from simbackend.rigs.wrong import saturating_rig

NAMES = ("stiffness", "coupling", "readout")
COUNT = 6
DRAWS = int(os.environ.get("LABRHEL_DRAWS", "6"))


def batch(reference: ReferenceTask) -> ReferenceTask:
    """Six sequences of different inputs and weights."""
    (first,) = reference.sequences
    random = np.random.default_rng(0)
    time = STEP * np.arange(STEPS)
    found = []
    for index in range(COUNT):
        inputs = {
            name: Waveform.of(0.5 * np.sin(random.uniform(0.6, 1.6) * time + index), STEP) for name in first.inputs
        }
        found.append(replace(first, name=f"s{index}", inputs=inputs, weight=first.weight * (1 + index)))
    return replace(reference, sequences=tuple(found))


def flat(values: object, names: tuple[str, ...] = NAMES) -> np.ndarray:
    assert isinstance(values, dict)
    return np.concatenate([np.ravel(values[name]) for name in names])


def test_with_a_twin_that_is_the_rig_a_few_echoes_give_the_whole_gradient() -> None:
    reference = batch(lossy_rig(np.random.default_rng(3)))
    gradient, exact = reference.gradient(EchoesAndTwin(share=0.3), NAMES), reference.exact()[1]
    assert compare(flat(gradient.values), flat(exact))[1] < 1e-8
    assert gradient.repeats == 2
    assert gradient.shots < reference.gradient(RHEL(), NAMES).shots


def test_whatever_the_twin_says_the_mean_over_the_draws_is_that_of_all_echoes() -> None:
    reference = batch(saturating_rig(3).reference)
    rule = EchoesAndTwin(share=1 / 3, lock=6)
    every = reference.gradient(replace(rule, share=1.0), NAMES)
    alone = reference.gradient(RHEL(lock=6), NAMES)
    assert compare(flat(every.values), flat(alone.values))[1] < 5e-3  # all echoed: the twin cancels
    assert every.standard_error is not None
    assert not flat(every.standard_error).any()
    draws = [reference.gradient(replace(rule, seed=seed), NAMES) for seed in range(DRAWS)]
    off = [compare(flat(item.values), flat(every.values))[1] for item in draws]
    mean = np.mean([flat(item.values) for item in draws], axis=0)
    assert compare(mean, flat(every.values))[1] < 0.7 * np.median(off)
    assert min(off) > 1e-4  # the twin of this rig is wrong, and each draw shows it
    rig = ("stiffness", "coupling")
    errors = np.array([flat(item.standard_error, rig) for item in draws])
    misses = np.array([flat(item.values, rig) - flat(every.values, rig) for item in draws])
    assert 0.3 < np.sqrt(np.mean(misses**2) / np.mean(errors**2)) < 3


def test_the_draw_is_a_function_of_seed_and_parameters() -> None:
    reference = batch(saturating_rig(3).reference)
    first, again, other = (reference.gradient(EchoesAndTwin(seed=seed), ("stiffness",)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.values["stiffness"], again.values["stiffness"])
    assert (first.values["stiffness"] != other.values["stiffness"]).any()


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_a_share_is_a_part(share: float) -> None:
    with pytest.raises(ConfigurationError, match="share is a part"):
        EchoesAndTwin(share=share)
