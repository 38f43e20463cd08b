"""Where levels that stand still hold the oscillators of a virtual bench."""

import numpy as np
import pytest

from labrhel.errors import InstrumentError
from simbackend.imperfections import Imperfections
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.virtual_bench.world.leads import Drive
from simbackend.virtual_bench.world.motion import Oscillators


def resting(pull: float) -> np.ndarray:
    """A softening oscillator, k = 2 and a = 1, beside a harmonic one, both pulled by their force ports."""
    model = OscillatorNetwork(
        2, coupling="all", nominal={"stiffness": [2.0, 3.0], "quadratic": [1.0, 0.0], "coupling": 0.5}
    )
    oscillators = Oscillators(model, Imperfections(), [Drive("awg.ch1", "f1")], [])
    return oscillators.place_of_rest(oscillators.propagator(0.0), np.array([0.0, pull, 0.4]), 0.0)


@pytest.mark.parametrize("pull", [0.7, -0.5])
def test_forces_of_springs_and_ports_cancel_there(pull: float) -> None:
    x, y = resting(pull)
    assert pull - 2 * x - x**2 + 0.5 * (y - x) == pytest.approx(0.0, abs=1e-12)
    assert 0.4 - 3 * y + 0.5 * (x - y) == pytest.approx(0.0, abs=1e-12)
    assert x * pull > 0  # the place beside zero, not the one beyond the hill


def test_a_pull_over_the_hill_leaves_no_such_place_and_says_so() -> None:
    with pytest.raises(InstrumentError, match="nothing holds the oscillators"):
        resting(-5.0)
