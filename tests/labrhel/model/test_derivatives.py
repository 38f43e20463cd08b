"""Derivatives of functions that take complex numbers, and of functions that do not."""

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest

from labrhel.model.derivatives import along, jacobian

AT = np.array([0.7, -1.3, 2.1])
DIRECTION = np.array([1.0, -2.0, 0.5])


def errors(function: Callable[[np.ndarray], np.ndarray], slope: np.ndarray, scale: float = 1.0) -> float:
    found = along(function, scale * AT, DIRECTION)
    return float(np.linalg.norm(found - slope * DIRECTION) / np.linalg.norm(slope * DIRECTION))


def test_an_analytic_function_is_differentiated_to_rounding() -> None:
    assert errors(lambda x: np.sin(x) * np.exp(x), (np.sin(AT) + np.cos(AT)) * np.exp(AT)) < 1e-15
    assert errors(lambda x: np.where(x > 0, x**2, x**3), np.where(AT > 0, 2 * AT, 3 * AT**2)) < 1e-15


def in_parts(x: np.ndarray) -> np.ndarray:
    total = np.zeros(len(x))  # real: it drops the imaginary part, with no more than a warning
    total[:] = np.sin(x)
    return total


def one_by_one(x: np.ndarray) -> np.ndarray:
    return np.array([math.sin(value) for value in x])


@pytest.mark.parametrize("function", [in_parts, one_by_one])
def test_one_that_takes_no_complex_numbers_falls_back_to_central_differences(
    function: Callable[[np.ndarray], np.ndarray],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 1e-15 < errors(function, np.cos(AT)) < 1e-8


def test_one_that_is_not_analytic_falls_back_as_well() -> None:
    assert errors(lambda x: x * np.abs(x), 2 * np.abs(AT)) < 1e-8


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_steps_follow_the_size_of_the_positions(scale: float) -> None:
    assert errors(lambda x: x**3, 3 * (scale * AT) ** 2, scale) < 1e-15
    assert errors(lambda x: np.abs(x) ** 3, 3 * np.sign(AT) * (scale * AT) ** 2, scale) < 1e-8


def test_a_slope_that_vanishes_is_found_to_vanish() -> None:
    assert not along(lambda x: np.sin(x[1:]), AT, np.array([1.0, 0.0, 0.0])).any()
    assert not along(np.sin, AT, np.zeros(3)).any()


def test_the_jacobian_of_a_trace_is_that_of_each_column() -> None:
    trace = np.random.default_rng(0).normal(size=(3, 5))

    def function(q: np.ndarray) -> np.ndarray:
        return np.stack([q[0] * q[1], np.sin(q[2]), q[0] ** 2])

    whole = jacobian(function, trace)
    assert whole.shape == (3, 3, 5)
    for k, (a, b, c) in enumerate(trace.T):
        assert np.allclose(whole[:, :, k], [[b, a, 0], [0, 0, np.cos(c)], [2 * a, 0, 0]], atol=1e-15)
