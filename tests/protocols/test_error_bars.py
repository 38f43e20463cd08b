"""Error bars that mean what they say, orders that cancel drift, and repeats that end when it is enough."""

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.error_bars import coverage, drift_bias, noisy
from labrhel.errors import ConfigurationError
from labrhel.learning.estimator import Order
from protocols.rhel import RHEL
from simbackend.imperfections.drift import Drift


def test_intervals_of_rigs_without_bias_cover_as_often_as_they_say() -> None:
    assert 0.92 <= coverage(24, linear=True) <= 0.975


def test_intervals_of_anharmonic_rigs_count_the_bias_too() -> None:
    assert coverage(12, linear=False) >= 0.92


@pytest.mark.parametrize(
    ("drift", "order", "repeats", "least"),
    [(Drift(rate=1e-6), Order.ABBA, 2, 20), (Drift(bend=1e-7), Order.ABBABAAB, 1, 100)],
)
def test_the_order_of_the_nudges_cancels_drift(drift: Drift, order: Order, repeats: int, least: float) -> None:
    for seed in range(3):
        assert drift_bias(seed, drift, Order.AB, 4) >= least * drift_bias(seed, drift, order, repeats)


def test_an_order_of_the_nudges_has_every_level_equally_often() -> None:
    def of(order: Order, levels: Sequence[int]) -> tuple[int, ...]:
        return order.of(tuple(levels))

    assert of(Order.AB, (1, -1)) == (1, -1)
    assert of(Order.ABBA, (1, -1)) == (1, -1, -1, 1)
    assert of(Order.ABBABAAB, (1, -1)) == (1, -1, -1, 1, -1, 1, 1, -1)
    assert of(Order.ABBA, (1, -1, 2, -2)) == (1, -1, 2, -2, -2, 2, -1, 1)


def test_repeats_go_on_until_the_precision_is_reached() -> None:
    rig = noisy(1, 0.02, linear=True)
    names = ("stiffness", "coupling")
    rough, fine = (rig.gradient(RHEL(precision=precision), names) for precision in (0.5, 5e-4))
    for gradient, precision in ((rough, 0.5), (fine, 5e-4)):
        assert gradient.standard_error is not None
        norms = [
            np.sqrt(sum(np.sum(np.square(part[name])) for name in names))
            for part in (gradient.standard_error, gradient.values)
        ]
        assert norms[0] <= precision * norms[1]
        assert not any("repeats reached" in words for words in gradient.warnings)
    assert fine.repeats > 2 * rough.repeats


def test_a_precision_that_is_not_reached_is_said() -> None:
    gradient = noisy(1, 5e-2, linear=True).gradient(RHEL(precision=1e-4, most_repeats=5), ("stiffness",))
    assert gradient.repeats == 5
    assert any("5 repeats reached a precision of" in words for words in gradient.warnings)


def test_one_repeat_has_no_interval() -> None:
    with pytest.raises(ConfigurationError, match="repeats to 2 or more"):
        noisy(1, 1e-3, linear=True).gradient(RHEL(), ("stiffness",)).interval()
