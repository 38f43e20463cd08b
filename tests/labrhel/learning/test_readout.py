import numpy as np
import pytest

from labrhel.learning.readout import Readout, SquaredError


def test_error_and_direct_terms_are_the_derivatives_of_the_loss() -> None:
    random = np.random.default_rng(0)
    gain, offset = random.normal(size=(2, 3)), random.normal(size=2)
    x, target, weight = random.normal(size=(3, 7)), random.normal(size=(2, 7)), random.uniform(size=7)
    loss = SquaredError(3.7)

    def value(gain: np.ndarray, offset: np.ndarray, x: np.ndarray) -> float:
        return loss.value(Readout(gain, offset).outputs(x), target, weight)

    readout = Readout(gain, offset)
    rho = loss.slope(readout.outputs(x), target, weight)
    analytic = {**readout.gradients(x, rho), "x": readout.error(rho)}
    arguments = {"readout": gain, "readout_offset": offset, "x": x}
    for name, array in arguments.items():
        for index in np.ndindex(array.shape):
            step = np.zeros_like(array)
            step[index] = 1e-6
            moved = [value(*({**arguments, name: array + sign * step}[key] for key in arguments)) for sign in (1, -1)]
            assert analytic[name][index] == pytest.approx((moved[0] - moved[1]) / 2e-6, abs=1e-8)


def test_a_sample_of_weight_zero_has_no_say() -> None:
    loss, weight = SquaredError(1.0), np.array([1.0, 0.0])
    assert loss.value(np.array([[1.0, 99.0]]), np.zeros((1, 2)), weight) == 1.0
    assert loss.slope(np.array([[1.0, 99.0]]), np.zeros((1, 2)), weight)[0, 1] == 0.0
