import numpy as np
import pytest

from labrhel.data.made import classes, heart_rate
from labrhel.data.ppg_dalia import READING, Windows, split_windows
from labrhel.errors import ConfigurationError


def test_made_classes_have_the_shape_that_was_asked_for_and_take_turns() -> None:
    samples = classes(7, 40, 5, 3, np.random.default_rng(0))
    assert {values.shape for values in samples.inputs} == {(40, 5)}
    assert {values.dtype for values in samples.inputs} == {np.dtype(np.float32)}
    assert [int(target) for target in samples.targets] == [0, 1, 2, 0, 1, 2, 0]


def test_made_classes_can_be_told_apart_by_their_tones() -> None:
    samples = classes(60, 200, 4, 2, np.random.default_rng(0))
    power = np.abs(np.fft.rfft(np.stack(samples.inputs), axis=1)) ** 2
    kinds = np.array([int(target) for target in samples.targets])
    mean = np.stack([power[:30][kinds[:30] == kind].mean(axis=0) for kind in (0, 1)])
    guess = [int(np.argmax([np.sum(one * spectrum / spectrum.sum()) for spectrum in mean])) for one in power[30:]]
    assert np.mean(np.array(guess) == kinds[30:]) > 0.9


def test_a_made_heart_rate_is_split_into_windows_like_a_real_one() -> None:
    subjects = heart_rate(2, 60, np.random.default_rng(0))
    assert subjects.inputs[0].shape == (60 * READING, 6)
    assert (subjects.targets[0].min(), subjects.targets[0].max()) == (-1, 1)
    split = split_windows(subjects, Windows(4, 2), 0)
    assert split.train.inputs[0].shape == (4 * READING, 6)
    assert min(map(len, (split.train, split.validation, split.test))) > 0


def test_the_same_numbers_are_made_again_from_the_same_seed() -> None:
    first, again, other = (classes(4, 20, 2, 2, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first.digest() == again.digest() != other.digest()


@pytest.mark.parametrize(("count", "steps", "kinds"), [(2, 40, 3), (3, 3, 2)])
def test_too_little_to_show_the_classes_is_refused(count: int, steps: int, kinds: int) -> None:
    with pytest.raises(ConfigurationError, match="cannot show"):
        classes(count, steps, 2, kinds, np.random.default_rng(0))
