"""Curves of any length in few points, in which what stands out is kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labrhel.view.curves import MOST, Curves


def test_a_short_curve_is_itself() -> None:
    curves = Curves()
    curves.add(["loss"], np.arange(5.0), np.arange(5.0)[:, None] ** 2)
    steps, values = curves.points("loss")
    assert steps.tolist() == [0, 1, 2, 3, 4]
    assert values.tolist() == [0, 1, 4, 9, 16]
    assert curves.last("loss") == (4, 16.0)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 30_000), st.integers(150, 5000), st.integers(0, 2**32 - 1))
def test_no_more_points_than_are_drawn_and_every_extreme_among_them(count: int, block: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    values = random.standard_normal(count)
    curves = Curves()
    for begin in range(0, count, block):
        part = values[begin : begin + block]
        curves.add(["a"], np.arange(begin, begin + len(part), dtype=float), part[:, None])
    steps, drawn = curves.points("a")
    assert len(steps) == len(drawn) <= MOST
    assert (np.diff(steps) > 0).all()
    assert (drawn.min(), drawn.max()) == (values.min(), values.max())
    assert np.isin(drawn, values).all()
    width = max(1.0, float(np.diff(steps).max())) if len(steps) > 1 else 1.0
    assert all(np.abs(steps - at).min() <= 2 * width for at in (0, count - 1))


def test_how_a_curve_came_in_does_not_change_what_is_drawn() -> None:
    values = np.random.default_rng(1).standard_normal((2101, 2))
    at_once, one_by_one = Curves(), Curves()
    at_once.add(["a", "b"], np.arange(2101.0), values)
    for step in range(2101):
        one_by_one.add(["a", "b"], np.array([float(step)]), values[step : step + 1])
    for name in ("a", "b"):
        assert [part.tolist() for part in at_once.points(name)] == [part.tolist() for part in one_by_one.points(name)]


def test_a_step_that_is_done_again_replaces_what_it_left() -> None:
    curves = Curves()
    curves.add(["a"], np.array([0.0, 1, 2, 1, 2, 3]), np.array([[1.0], [2], [3], [20], [30], [40]]))
    assert curves.points("a")[1].tolist() == [1, 20, 30, 40]
    assert curves.last("a") == (3, 40.0)


@pytest.mark.parametrize("count", [5, 5000])
def test_what_a_step_did_not_publish_is_no_point(count: int) -> None:
    values = np.full((count, 2), np.nan)
    values[:, 0] = 1.0
    values[3, 1] = 7.0
    curves = Curves()
    curves.add(["a", "rare"], np.arange(float(count)), values)
    assert set(curves.points("rare")[1].tolist()) == {7.0}
    assert curves.last("rare") == (3, 7.0)
