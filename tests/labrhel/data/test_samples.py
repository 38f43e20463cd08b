import numpy as np
import pytest

from labrhel.data.samples import Samples, random_split, without_duplicates
from labrhel.errors import ConfigurationError


def numbered(count: int) -> Samples:
    return Samples(
        tuple(np.full((4, 2), i, np.float32) for i in range(count)), tuple(np.array(i % 3) for i in range(count))
    )


def contents(samples: Samples) -> list[float]:
    return [float(values[0, 0]) for values in samples.inputs]


def test_a_split_has_every_sample_once_and_the_shares_of_the_paper() -> None:
    split = random_split(numbered(80), seed=3)
    assert [len(split.train), len(split.validation), len(split.test)] == [56, 12, 12]
    together = contents(split.train) + contents(split.validation) + contents(split.test)
    assert sorted(together) == list(range(80))


def test_the_seed_decides_the_split() -> None:
    assert contents(random_split(numbered(40), 1).test) == contents(random_split(numbered(40), 1).test)
    assert contents(random_split(numbered(40), 1).test) != contents(random_split(numbered(40), 2).test)


def test_samples_and_their_targets_stay_together() -> None:
    split = random_split(numbered(30), seed=0)
    assert all(int(target) == int(values[0, 0]) % 3 for values, target in zip(*_pair(split.test), strict=True))


def _pair(samples: Samples) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    return samples.inputs, samples.targets


def test_too_few_samples_for_a_split_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="3 samples are too few"):
        random_split(numbered(3), seed=0)


def test_duplicates_are_dropped_and_the_first_is_kept() -> None:
    samples = numbered(5)
    assert contents(without_duplicates(samples + samples.pick([3, 1]))) == [0, 1, 2, 3, 4]


def test_batches_hold_every_sample_once_in_an_order_that_the_generator_decides() -> None:
    batches = list(numbered(10).batches(4, np.random.default_rng(0)))
    assert [len(x) for x, _ in batches] == [4, 4, 2]
    order = [float(row[0, 0]) for x, _ in batches for row in x]
    assert sorted(order) == list(range(10))
    assert order != list(range(10))
