"""Closed forms of the estimators: which polynomials they differentiate exactly, and what the next power leaves."""

import numpy as np
import pytest

from labrhel.learning.estimator import Estimator, Order

EPS = 0.3
SLOPE = np.array([[2.0, -0.7], [0.4, 5.0]])


def values(estimator: Estimator, power: int) -> dict[int, np.ndarray]:
    """SLOPE * x^power at every nudge level, x = level * EPS."""
    return {level: SLOPE * (level * EPS) ** power for level in estimator.weights}


@pytest.mark.parametrize(
    ("estimator", "left"),
    [
        (Estimator.ONE_SIDED, {0: 0, 1: 1, 2: EPS}),
        (Estimator.SYMMETRIC, {0: 0, 1: 1, 2: 0, 3: EPS**2}),
        (Estimator.FOUR_POINT, {0: 0, 1: 1, 2: 0, 3: 0, 4: 0, 5: -4 * EPS**4}),
    ],
)
def test_the_derivative_of_every_power_is_exact_up_to_the_order_and_known_beyond(
    estimator: Estimator, left: dict[int, float]
) -> None:
    for power, factor in left.items():
        found = estimator.derivative(values(estimator, power), EPS)
        assert np.allclose(found, factor * SLOPE, rtol=1e-13, atol=1e-13)
    assert max(left) == estimator.order + 1


@pytest.mark.parametrize("estimator", list(Estimator))
def test_weights_and_pairs_say_the_same(estimator: Estimator) -> None:
    random = np.random.default_rng(1)
    echoes = {level: random.normal(size=3) for level in estimator.weights}
    derivative = estimator.derivative(echoes, EPS)
    assert np.allclose(sum(weight * echoes[level] for level, weight in estimator.weights.items()) / EPS, derivative)
    pairs = [weight * (echoes[a] - echoes[b]) / ((a - b) * EPS) for a, b, weight in estimator.pairs]
    assert np.allclose(sum(pairs), derivative)


def test_opposite_levels_are_subtracted_before_anything_is_lost() -> None:
    large = {1: np.array(1e16 + 2), -1: np.array(1e16)}
    assert Estimator.SYMMETRIC.derivative(large, 1.0) == 1.0


def test_the_turns_of_an_order_are_fired_as_it_spells_them() -> None:
    assert Order.AB.of((1, 0)) == (1, 0)
    assert Order.ABBA.of((1, 0)) == (1, 0, 0, 1)
    assert Order.ABBABAAB.of((1, 0)) == (1, 0, 0, 1, 0, 1, 1, 0)


@pytest.mark.parametrize(("order", "cancelled"), [(Order.AB, 0), (Order.ABBA, 1), (Order.ABBABAAB, 2)])
@pytest.mark.parametrize("estimator", [Estimator.ONE_SIDED, Estimator.SYMMETRIC])
def test_an_order_cancels_a_drift_up_to_its_power_and_no_more(
    order: Order, cancelled: int, estimator: Estimator
) -> None:
    levels = order.of(tuple(estimator.weights))
    for power in range(cancelled + 2):
        drift = [estimator.weights[level] * shot**power for shot, level in enumerate(levels)]
        assert (abs(sum(drift)) < 1e-12) == (power <= cancelled)
