from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der

from labrhel.errors import ConfigurationError
from labrhel.learning.optimizers import LBFGS, OPTIMIZERS, Adam, Momentum, Optimizer

FREE = (np.full(2, -np.inf), np.full(2, np.inf))
START = np.array([-1.2, 1.0])


def drive(optimizer: Optimizer, steps: int) -> list[np.ndarray]:
    """Ask and tell on the Rosenbrock function; the points asked for."""
    points = []
    for _ in range(steps):
        if optimizer.done:
            break
        points.append(optimizer.ask())
        optimizer.tell(float(rosen(points[-1])), rosen_der(points[-1]))
    return points


def momentum(start: np.ndarray, bounds: tuple) -> Optimizer:
    return Momentum(start, bounds, rate=1e-4)


@pytest.mark.parametrize("make", [momentum, Adam, LBFGS])
def test_an_optimizer_restored_from_its_state_goes_on_to_the_same_bits(make: Callable[..., Optimizer]) -> None:
    straight = drive(make(START, FREE), 25)
    first, second = make(START, FREE), make(START, FREE)
    drive(first, 11)
    second.restore(first.state())
    assert np.array_equal(straight[11:], drive(second, 14))


@pytest.mark.parametrize("make", [momentum, Adam, LBFGS])
def test_no_point_asked_for_lies_outside_the_bounds(make: Callable[..., Optimizer]) -> None:
    low, high = np.array([-1.0, -0.5]), np.array([0.3, 0.8])
    points = np.array(drive(make(START, (low, high)), 30))
    assert (points >= low).all()
    assert (points <= high).all()


@pytest.mark.parametrize("make", [momentum, Adam, LBFGS])
def test_the_state_is_a_copy_that_later_steps_do_not_change(make: Callable[..., Optimizer]) -> None:
    optimizer = make(START, FREE)
    drive(optimizer, 3)
    state = optimizer.state()
    before = {name: np.array(value) for name, value in state.items()}
    drive(optimizer, 3)
    assert all(np.array_equal(before[name], state[name]) for name in before)


def test_momentum_zero_is_gradient_descent() -> None:
    optimizer = Momentum(START, FREE, rate=0.1, momentum=0.0)
    optimizer.tell(0.0, np.array([1.0, -2.0]))
    assert np.allclose(optimizer.ask(), START - 0.1 * np.array([1.0, -2.0]))


def test_the_heavy_ball_remembers_the_gradients_before() -> None:
    optimizer = Momentum(np.zeros(2), FREE, rate=0.1, momentum=0.5)
    for _ in range(3):
        optimizer.tell(0.0, np.ones(2))
    assert np.allclose(optimizer.ask(), -0.1 * (1 + 1.5 + 1.75))


def test_the_first_step_of_adam_is_the_rate_in_each_coordinate_whatever_the_size_of_the_gradient() -> None:
    optimizer = Adam(np.zeros(2), FREE, rate=0.1)
    optimizer.tell(0.0, np.array([1e-6, -1e6]))
    assert np.allclose(optimizer.ask(), [-0.1, 0.1], rtol=1e-5)


def test_lbfgs_takes_the_points_that_scipy_takes() -> None:
    asked: list[np.ndarray] = []

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        asked.append(x.copy())
        return float(rosen(x)), rosen_der(x)

    options = {"maxcor": 20, "ftol": 1e-12, "gtol": 0.0}
    minimize(objective, START, jac=True, method="L-BFGS-B", options=options)
    optimizer = LBFGS(START, FREE)
    assert np.array_equal(drive(optimizer, 1000), asked)
    assert optimizer.done
    assert np.allclose(optimizer.best(), 1.0, atol=1e-5)


def test_lbfgs_says_when_it_has_converged_and_then_asks_for_its_best_point() -> None:
    optimizer = LBFGS(START, FREE)
    drive(optimizer, 1000)
    assert np.array_equal(optimizer.ask(), optimizer.best())
    restored = LBFGS(START, FREE)
    restored.restore(optimizer.state())
    assert restored.done


def test_the_best_point_of_lbfgs_is_the_one_with_the_lowest_loss_not_the_last() -> None:
    optimizer = LBFGS(START, FREE)
    points = drive(optimizer, 7)
    assert np.array_equal(optimizer.best(), min(points, key=rosen))


def test_a_fresh_optimizer_knows_no_better_point_than_its_start() -> None:
    for make in OPTIMIZERS.values():
        assert np.array_equal(make(START, FREE).best(), START)


@pytest.mark.parametrize("rate", [0.0, -1.0, np.nan])
def test_a_rate_that_is_not_positive_is_refused(rate: float) -> None:
    for make in (Momentum, Adam):
        with pytest.raises(ConfigurationError, match="learning rate"):
            make(START, FREE, rate=rate)
