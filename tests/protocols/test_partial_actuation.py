"""Lossy oscillators that no port reaches: refused, or echoed with a bias that is predicted."""

import numpy as np
import pytest

from labrhel.learning.needs import objections
from protocols.rhel import RHEL
from simbackend.rigs.wrong import WrongRig, deaf_rig

NAMES = ("stiffness", "cubic", "coupling", "input", "friction")


def flat(rig: WrongRig, parts: object) -> np.ndarray:
    assert isinstance(parts, dict)
    return np.concatenate([np.ravel(parts[name]) for name in NAMES])


def test_a_lossy_oscillator_without_a_port_is_refused_unless_it_is_asked_for() -> None:
    reference = deaf_rig(1, 1.0).reference
    asked = (reference.task, reference.sequences, reference.theta, NAMES)
    assert "no drive port reaches oscillator 1, 6" in objections(RHEL().needs, *asked)[0]
    assert not objections(RHEL(partial=True).needs, *asked)


@pytest.mark.parametrize("folds", [0.1, 1.0, 4.0])
def test_the_predicted_bias_is_the_bias(folds: float) -> None:
    for seed in (1, 3, 5):
        rig = deaf_rig(seed, folds)
        gradient, exact = rig.gradient(RHEL(partial=True), NAMES), rig.exact()
        error = np.linalg.norm(flat(rig, gradient.values) - flat(rig, exact))
        predicted = np.linalg.norm(flat(rig, gradient.bias_bound))
        assert predicted == pytest.approx(error, rel=0.02)
        relative = predicted / np.linalg.norm(flat(rig, gradient.values))
        assert gradient.measured["predicted_bias"] == pytest.approx(relative)
        assert any("without a drive port bias this gradient" in words for words in gradient.warnings)


def test_with_all_ports_nothing_is_predicted() -> None:
    gradient = deaf_rig(1, 1.0, deaf=()).gradient(RHEL(partial=True), NAMES)
    assert gradient.measured["predicted_bias"] < 1e-6
    assert not gradient.warnings
