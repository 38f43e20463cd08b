"""The drive that brings the nominal model from rest into a wanted state."""

import numpy as np
import pytest

from labrhel.model.leapfrog import leapfrog
from labrhel.model.preparation import preparation
from simbackend.rigs.reference import STEP, lossy_rig


def test_the_force_takes_the_rig_to_the_state_that_was_asked_for() -> None:
    reference = lossy_rig(np.random.default_rng(1))
    model, theta = reference.model, reference.theta
    position, momentum = np.linspace(-0.5, 0.5, model.size), np.linspace(0.3, -0.4, model.size)
    force = preparation(model, theta, position, momentum, STEP, 200).force
    offset = model.input_force(np.zeros((2, 1)), theta)
    still = np.zeros(model.size)
    ran = leapfrog(
        lambda q: model.force(q, theta), model.mass(theta), model.friction(theta), force + offset, STEP, still, still
    )
    assert ran.end_position == pytest.approx(position, abs=1e-12)
    assert ran.end_momentum == pytest.approx(momentum, abs=1e-12)
