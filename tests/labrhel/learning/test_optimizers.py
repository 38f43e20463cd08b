from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der

from labrhel.errors import ConfigurationError
from labrhel.learning.optimizers import LBFGS, OPTIMIZERS, RUNAWAY, Adam, Momentum, Optimizer

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


SLOPES = np.array([[1.0, -20.0], [-0.5, 3.0], [2.0, 0.1], [0.0, -7.0], [1.5, 4.0]])


def textbook_adam(rate: float, beta1: float, beta2: float, floor: float) -> np.ndarray:
    """The points of Adam by its sums: m_t = (1 - b) sum b^(t-i) g_i, divided by 1 - b^t."""
    x, points = START.copy(), []
    for t in range(1, len(SLOPES) + 1):
        ages = np.arange(t)[::-1, None]
        mean = (1 - beta1) * (beta1**ages * SLOPES[:t]).sum(axis=0) / (1 - beta1**t)
        square = (1 - beta2) * (beta2**ages * SLOPES[:t] ** 2).sum(axis=0) / (1 - beta2**t)
        x = x - rate * mean / (np.sqrt(square) + floor)
        points.append(x)
    return np.array(points)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rate": 0.3},
        {"rate": 0.3, "beta1": 0.5},
        {"rate": 0.3, "beta2": 0.7},
        {"rate": 0.3, "beta1": 0.2, "beta2": 0.4, "floor": 0.5},
    ],
)
def test_every_step_of_adam_is_that_of_its_sums(options: dict[str, float]) -> None:
    optimizer, points = Adam(START, FREE, **options), []
    for slope in SLOPES:
        optimizer.tell(0.0, slope)
        points.append(optimizer.ask())
    expected = textbook_adam(**{"rate": 0.01, "beta1": 0.9, "beta2": 0.999, "floor": 1e-12, **options})
    assert np.allclose(points, expected, rtol=1e-12, atol=0)


def test_the_floor_of_adam_is_felt_by_gradients_of_its_size() -> None:
    optimizer = Adam(np.zeros(2), FREE, rate=1.0)
    optimizer.tell(0.0, np.array([1e-12, -3e-12]))
    assert np.allclose(optimizer.ask(), [-1 / 2, 3 / 4])


@pytest.mark.parametrize("make", [momentum, Adam])
def test_the_state_says_how_many_gradients_were_told(make: Callable[..., Optimizer]) -> None:
    optimizer = make(START, FREE)
    for count in range(3):
        assert optimizer.state()["told"] == count
        optimizer.tell(0.0, np.ones(2))


def test_lbfgs_remembers_twenty_steps_and_stops_at_a_change_of_1e_12() -> None:
    weights, asked = np.linspace(0.1, 3.0, 60), []

    def quartic(x: np.ndarray) -> tuple[float, np.ndarray]:
        asked.append(x.copy())
        return 1 + float(weights @ (x - 1) ** 4), 4 * weights * (x - 1) ** 3

    start = np.linspace(-2.0, 3.0, 60)
    options = {"maxcor": 20, "ftol": 1e-12, "gtol": 0.0}
    minimize(quartic, start, jac=True, method="L-BFGS-B", options=options)
    expected, optimizer = list(asked), LBFGS(start, (np.full(60, -np.inf), np.full(60, np.inf)))
    for point in expected:
        assert np.array_equal(optimizer.ask(), point)
        optimizer.tell(*quartic(point))
    assert optimizer.done


def test_adam_stays_where_it_is_if_nothing_pulls() -> None:
    optimizer = Adam(START, FREE)
    optimizer.tell(0.0, np.zeros(2))
    assert np.array_equal(optimizer.ask(), START)


@pytest.mark.parametrize("options", [{}, {"rate": 0.2}, {"momentum": 0.3}, {"rate": 0.2, "momentum": 0.0}])
def test_every_step_of_the_heavy_ball_is_that_of_its_sums(options: dict[str, float]) -> None:
    optimizer, rate, beta = Momentum(START, FREE, **options), options.get("rate", 0.01), options.get("momentum", 0.9)
    for t, slope in enumerate(SLOPES, start=1):
        before = optimizer.ask()
        optimizer.tell(0.0, slope)
        step = rate * (beta ** np.arange(t)[::-1, None] * SLOPES[:t]).sum(axis=0)
        assert np.allclose(optimizer.ask(), before - step, rtol=1e-12)


@pytest.mark.parametrize("make", [momentum, Adam, LBFGS])
def test_a_start_outside_the_bounds_begins_at_them(make: Callable[..., Optimizer]) -> None:
    optimizer = make(START, (np.array([-1.0, -2.0]), np.array([2.0, 0.5])))
    assert optimizer.ask().tolist() == [-1.0, 0.5]
    assert optimizer.best().tolist() == [-1.0, 0.5]


@pytest.mark.parametrize("make", [momentum, Adam, LBFGS])
def test_a_point_that_was_asked_for_is_a_copy(make: Callable[..., Optimizer]) -> None:
    optimizer = make(START, FREE)
    for _ in range(2):
        for point in (optimizer.ask(), optimizer.best()):
            point += 100.0  # noqa: PLW2901
        assert not (np.array([optimizer.ask(), optimizer.best()]) > 50.0).any()
        optimizer.tell(1.0, np.array([0.3, -0.2]))


def test_the_memory_and_the_tolerance_of_lbfgs_are_those_asked_for() -> None:
    asked: list[np.ndarray] = []

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        asked.append(x.copy())
        return float(rosen(x)), rosen_der(x)

    start, bounds = np.array([-1.2, 1.0, 0.7, -0.4]), (np.full(4, -5.0), np.array([0.9, 5.0, 5.0, 5.0]))
    options = {"maxcor": 2, "ftol": 1e-3, "gtol": 0.0}
    minimize(objective, start, jac=True, method="L-BFGS-B", bounds=list(zip(*bounds, strict=True)), options=options)
    optimizer = LBFGS(start, bounds, memory=2, tolerance=1e-3)
    assert np.array_equal(drive(optimizer, 1000), asked)


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


# -- trials that diverge, and how it ends ------------------------------------------------------------------------------


def cliff(x: np.ndarray) -> tuple[float, np.ndarray]:
    """A valley at 1 beside a cliff at 1.1, beyond which there is no loss at all."""
    if (x >= 1.1).any():
        return np.inf, np.zeros_like(x)
    return float(np.sum((x - 1) ** 2)), 2 * (x - 1)


def heavy(start: np.ndarray, bounds: tuple) -> Optimizer:
    return Momentum(start, bounds, rate=2.0, momentum=0.5)


def hasty(start: np.ndarray, bounds: tuple) -> Optimizer:
    return Adam(start, bounds, rate=2.5)


def leaping(start: np.ndarray, bounds: tuple) -> Optimizer:
    return LBFGS(start, bounds, first=8.0)


def test_lbfgs_tries_a_tenth_of_a_step_that_diverged_and_a_tenth_of_that() -> None:
    """The least of the parabola that stands for it, which scipy finds exactly."""
    optimizer, gradient = LBFGS(START, FREE), np.array([0.3, -0.4])
    optimizer.tell(2.0, gradient)
    way = optimizer.ask() - START
    assert np.allclose(way, [-0.6, 0.8])  # of unit length
    for part in (0.1, 0.01):
        optimizer.tell(np.inf, np.full(2, np.nan))
        assert np.allclose(optimizer.ask(), START + part * way, rtol=1e-9)


@pytest.mark.parametrize("make", [heavy, hasty, leaping])
def test_every_optimizer_backs_off_from_where_it_diverges_and_finds_the_valley(make: Callable[..., Optimizer]) -> None:
    optimizer = make(np.array([-1.0, 0.3]), FREE)
    diverged = 0
    for _ in range(120):
        if optimizer.done:
            break
        loss, slope = cliff(optimizer.ask())
        diverged += not np.isfinite(loss)
        optimizer.tell(loss, slope)
    assert diverged > 0
    assert np.allclose(optimizer.best(), 1.0, atol=0.02)


@pytest.mark.parametrize("make", [heavy, hasty, leaping])
def test_a_restored_optimizer_backs_off_as_it_would_have(make: Callable[..., Optimizer]) -> None:
    straight, half = make(np.array([-1.0, 0.3]), FREE), make(np.array([-1.0, 0.3]), FREE)
    for optimizer, steps in ((straight, 12), (half, 3)):
        for _ in range(steps):
            optimizer.tell(*cliff(optimizer.ask()))
    resumed = make(np.array([-1.0, 0.3]), FREE)
    resumed.restore(half.state())
    for _ in range(9):
        resumed.tell(*cliff(resumed.ask()))
    assert np.array_equal(resumed.ask(), straight.ask())


@pytest.mark.parametrize("make", [heavy, hasty])
def test_a_loss_that_has_run_away_is_a_trial_that_diverged(make: Callable[..., Optimizer]) -> None:
    optimizer = make(np.zeros(2), FREE)
    optimizer.tell(1.0, np.ones(2))
    there = optimizer.ask()
    optimizer.tell(1e12, np.full(2, 1e30))
    assert np.allclose(optimizer.ask(), there / 2)
    assert np.array_equal(optimizer.best(), np.zeros(2))


def test_first_order_states_from_before_they_could_back_off_are_taken_up() -> None:
    optimizer, older = Adam(START, FREE), Adam(START, FREE)
    optimizer.tell(1.0, np.array([1.0, -2.0]))
    older.restore({name: optimizer.state()[name] for name in ("told", "x", "m", "v")})
    for item in (optimizer, older):
        item.tell(1.0, np.array([0.5, 1.0]))
    assert np.array_equal(older.ask(), optimizer.ask())


@pytest.mark.parametrize("first", [0.25, 2.0])
def test_the_first_step_of_lbfgs_is_as_long_as_it_is_told(first: float) -> None:
    optimizer = LBFGS(START, FREE, first=first)
    drive(optimizer, 1)
    assert np.linalg.norm(optimizer.ask() - START) == pytest.approx(first)
    later = LBFGS(START, FREE)
    later.restore(optimizer.state())
    assert np.array_equal(later.ask(), optimizer.ask())


def test_lbfgs_that_has_converged_says_so() -> None:
    optimizer = LBFGS(START, FREE)
    drive(optimizer, 1000)
    assert optimizer.converged
    assert "changes the loss by less than 1e-12" in optimizer.why


def test_lbfgs_that_rounding_stops_has_converged() -> None:
    random = np.random.default_rng(1)
    optimizer = LBFGS(START, FREE)
    while not optimizer.done:
        x = optimizer.ask()
        optimizer.tell(1.0 + float(rosen(x)) + 1e-9 * random.normal(), rosen_der(x) + 1e-6 * random.normal(size=2))
    assert optimizer.converged
    assert np.allclose(optimizer.best(), 1.0, atol=0.05)


@pytest.mark.parametrize("wrong", ["sign", "noise", "less noise", "steps"])
def test_lbfgs_that_finds_no_lower_loss_has_not_converged(wrong: str) -> None:
    random = np.random.default_rng(2)
    optimizer = LBFGS(START, FREE)
    for _ in range(500):
        if optimizer.done:
            break
        x = optimizer.ask()
        noise = {"noise": 1.0, "less noise": 0.01}.get(wrong, 0.0)
        loss = np.floor(3 * rosen(x)) / 3 if wrong == "steps" else rosen(x) + noise * random.normal()
        optimizer.tell(float(loss), -rosen_der(x) if wrong == "sign" else rosen_der(x))
    assert optimizer.done
    assert not optimizer.converged
    assert "the line search finds no loss below" in optimizer.why


def test_lbfgs_before_its_first_step_has_a_state() -> None:
    optimizer = LBFGS(START, FREE)
    fresh = LBFGS(START, FREE)
    fresh.restore(optimizer.state())
    assert np.array_equal(fresh.ask(), START)
    assert optimizer.state()["points"].shape == (0, 2)


@pytest.mark.parametrize(("times", "steps"), [(1.0, [-1.0, -3.0]), (1.001, [-1.0, -0.5])])
def test_a_loss_has_run_away_beyond_ten_thousand_times_the_lowest_one(times: float, steps: list[float]) -> None:
    optimizer = Momentum(np.zeros(1), (np.full(1, -9.0), np.full(1, 9.0)), rate=1.0, momentum=0.0)
    for loss, slope, expected in ((3.0, 1.0, steps[0]), (3.0 * times * RUNAWAY, 2.0, steps[1])):
        optimizer.tell(loss, np.array([slope]))
        assert optimizer.ask()[0] == pytest.approx(expected)


def test_a_trial_that_diverged_halves_the_rate() -> None:
    optimizer = Momentum(np.zeros(2), FREE, rate=1.0, momentum=0.0)
    optimizer.tell(1.0, np.array([4.0, 0.0]))
    optimizer.tell(np.inf, np.zeros(2))
    assert np.allclose(optimizer.ask(), [-2.0, 0.0])
    optimizer.tell(0.5, np.array([4.0, 2.0]))
    assert np.allclose(optimizer.ask(), [-4.0, -1.0])


def test_the_heavy_ball_takes_steps_of_a_hundredth_and_nine_tenths_of_the_last_one() -> None:
    optimizer = Momentum(np.zeros(1), (np.full(1, -9.0), np.full(1, 9.0)))
    for expected in (-0.01, -0.01 - 0.019):
        optimizer.tell(1.0, np.ones(1))
        assert optimizer.ask()[0] == pytest.approx(expected)
    assert not optimizer.done and not optimizer.converged and optimizer.why == ""


@pytest.mark.parametrize(
    ("losses", "promised"),
    [
        ([3.0, 1.0, 2.0], "0.25"),  # from the best point to the one after it
        ([3.0, 2.0, 1.0], "0.75"),  # and where it is the last, to it
    ],
)
def test_lbfgs_is_judged_by_the_step_at_its_best_point(losses: list[float], promised: str) -> None:
    optimizer = LBFGS(np.zeros(1), (np.full(1, -9.0), np.full(1, 9.0)))
    gradients = {"0.25": [[-5.0], [-0.25], [1.0]], "0.75": [[-5.0], [-0.75], [1.0]]}[promised]
    optimizer.restore({"losses": losses, "points": [[0.0], [1.0], [2.0]], "gradients": gradients})
    has_converged, why = optimizer._verdict()
    assert not has_converged and f"the gradient promises {promised} less" in why


def test_lbfgs_of_an_older_record_takes_its_first_step_of_length_one() -> None:
    optimizer = LBFGS(START, FREE, first=4.0)
    optimizer.restore({"losses": [2.0], "points": [START], "gradients": [np.array([0.0, 3.0])]})
    assert np.allclose(optimizer.ask(), START - [0.0, 1.0])
