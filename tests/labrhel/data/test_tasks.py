"""The made problems, held against what they say they ask."""

import numpy as np
import pytest

from labrhel.data.tasks import POLE, SYMBOLS, TASKS, WORD
from labrhel.errors import ConfigurationError


def made(name: str, count: int = 50, steps: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return TASKS[name](count, steps, np.random.default_rng(seed)).stacked()


def test_decay_is_a_leaky_integral_of_variance_one() -> None:
    u, y = made("decay", count=400, steps=200)
    scale = np.sqrt(1 - POLE**2)
    assert np.allclose(y[:, 1:], POLE * y[:, :-1] + scale * u[:, 1:])
    assert np.allclose(y[:, 0], scale * u[:, 0])
    assert np.var(y[:, 50:]) == pytest.approx(1, abs=0.03)


def test_adding_asks_for_the_sum_of_the_two_that_are_marked_and_for_nothing_before_the_end() -> None:
    u, y = made("adding")
    assert (u[:, :30, 1].sum(axis=1) == 1).all()
    assert (u[:, 30:, 1].sum(axis=1) == 1).all()
    assert np.allclose(y[:, -1, 0], (u[..., 0] * u[..., 1]).sum(axis=1))
    assert np.isnan(y[:, :-1]).all()


def test_copying_asks_for_the_word_after_the_mark_and_shows_nothing_in_between() -> None:
    u, y = made("copy_memory")
    assert np.array_equal(y[:, -WORD:], u[:, :WORD, :SYMBOLS])
    assert (y[:, -WORD:].sum(axis=2) == 1).all()
    assert np.isnan(y[:, :-WORD]).all()
    assert not u[:, WORD:, :SYMBOLS].any()
    assert u[..., SYMBOLS].sum() == len(u) == u[:, -WORD - 1, SYMBOLS].sum()


@pytest.mark.parametrize("name", TASKS)
def test_the_same_random_numbers_make_the_same_task(name: str) -> None:
    for mine, theirs in zip(made(name, seed=3), made(name, seed=3), strict=True):
        assert np.array_equal(mine, theirs, equal_nan=True)
    assert not np.array_equal(made(name, seed=3)[0], made(name, seed=4)[0])


@pytest.mark.parametrize(("name", "steps"), [("decay", 0), ("adding", 1), ("copy_memory", 20)])
def test_too_few_steps_are_refused_with_the_least_number(name: str, steps: int) -> None:
    with pytest.raises(ConfigurationError, match=f"{steps} steps in 50 .*too few; give at least {steps + 1} steps"):
        made(name, steps=steps)
