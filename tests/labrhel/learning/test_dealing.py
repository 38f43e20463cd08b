"""Sequences dealt to several rigs, and gradients of shares put together: unbiased, and no noisier than they must be."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from labrhel.learning.dealing import combined, deal
from labrhel.learning.gradient import Gradient
from labrhel.learning.scatter import Scatter, Share
from labrhel.learning.task import TrialSequence


def sequence(number: int, samples: int = 4, weight: float = 1.0) -> TrialSequence:
    return TrialSequence(f"s{number}", {}, np.zeros((1, samples)), np.full(samples, weight))


def gradient(value: np.ndarray, error: np.ndarray | float | None = None, **more: object) -> Gradient:
    known = None if error is None else {"k": np.broadcast_to(np.asarray(error, float), value.shape)}
    made = Gradient({"k": value}, loss=1.0, rule="rhel", shots=3, passes=3, standard_error=known, repeats=2)
    return replace(made, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("count", "rigs"), [(8, 3), (1, 4), (5, 5), (7, 2)])
def test_every_sequence_is_dealt_once_and_shares_differ_by_one_at_most(count: int, rigs: int) -> None:
    for step in range(20):
        shares = deal(count, rigs, 5, step)
        assert sorted(place for share in shares for place in share) == list(range(count))
        sizes = [len(share) for share in shares]
        assert len(sizes) == rigs and max(sizes) - min(sizes) <= 1


def test_one_rig_gets_the_batch_as_it_is() -> None:
    assert deal(6, 1, 5, 17) == [[0, 1, 2, 3, 4, 5]]


def test_the_same_seed_and_step_deal_alike_and_others_do_not() -> None:
    assert deal(9, 3, 5, 7) == deal(9, 3, 5, 7)
    assert len({str(deal(9, 3, seed, step)) for seed in (5, 6) for step in range(4)}) == 8


def test_in_the_long_run_every_sequence_is_as_often_on_each_rig() -> None:
    counts = Counter(
        (rig, place) for step in range(900) for rig, share in enumerate(deal(5, 3, 1, step)) for place in share
    )
    found = np.array([counts[rig, place] for rig in range(3) for place in range(5)]) / 900
    assert np.abs(found - 1 / 3).max() < 5 * np.sqrt(2 / 9 / 900)


def test_shares_of_unequal_weight_add_up_to_the_gradient_of_the_batch() -> None:
    sequences = [sequence(0), sequence(1, samples=9), sequence(2, weight=0.5), sequence(3)]
    own = np.array([[1.0, -2.0], [0.5, 3.0], [-4.0, 1.0], [2.0, 2.0]])
    weights = np.array([4.0, 9.0, 2.0, 4.0])

    def share(rig: int, places: list[int]) -> Share:
        mean = weights[places] @ own[places] / weights[places].sum()
        return Share(rig, f"rig {rig}", [sequences[place] for place in places], gradient(mean))

    whole = combined([share(1, [0, 3]), share(2, [1]), share(3, [2])])
    np.testing.assert_allclose(whole.values["k"], weights @ own / weights.sum(), rtol=1e-14)
    assert (whole.shots, whole.loss) == (9, pytest.approx(1.0))


def test_errors_of_rigs_add_in_squares_and_bounds_as_they_are() -> None:
    parts = {
        "floor": {"k": np.array([0.3])},
        "calibration_error": {"k": np.array([0.1])},
        "bias_bound": {"k": np.array([0.2])},
    }
    shares = [
        Share(rig, f"rig {rig}", [sequence(rig)], gradient(np.ones(1), error, **parts))
        for rig, error in ((1, 0.3), (2, 0.4))
    ]
    whole = combined(shares)
    assert whole.standard_error is not None and whole.bias_bound is not None
    assert whole.standard_error["k"][0] == pytest.approx(0.25)
    assert whole.floor["k"][0] == pytest.approx(0.3 / np.sqrt(2))
    assert whole.calibration_error["k"][0] == pytest.approx(0.1 / np.sqrt(2))
    assert whole.bias_bound["k"][0] == pytest.approx(0.2)


def test_health_is_that_of_the_worst_rig_and_each_rig_has_columns_of_its_own() -> None:
    shares = [
        Share(1, "rig 1", [sequence(0)], gradient(np.ones(1), response_ratio=0.01, retrace_error=0.5, eps=2.0)),
        Share(3, "rig 3", [sequence(1)], gradient(np.ones(1), response_ratio=0.02, retrace_error=0.1, eps=1.0)),
    ]
    whole = combined(shares)
    assert (whole.response_ratio, whole.retrace_error, whole.eps) == (0.02, 0.5, 2.0)
    assert whole.measured["rig1_retrace_error"] == 0.5 and whole.measured["rig3_retrace_error"] == 0.1
    assert whole.measured["rig3_sequences"] == 1.0


def simulated(noise: list[float], apart: float, steps: int, *, weighed: bool) -> tuple[np.ndarray, np.ndarray, Scatter]:
    """How the gradient of a batch of 8 misses (steps, 3), measured by rigs so noisy, its stated error, the scatter."""
    draw = np.random.default_rng(4)
    own = np.array([1.0, -2.0, 0.5]) + apart * draw.standard_normal((8, 3))
    sequences, scatter = [sequence(number) for number in range(8)], Scatter()
    missed, stated = [], []
    for step in range(steps):
        shares = []
        for rig, places in enumerate(deal(8, len(noise), 3, step)):
            error = noise[rig] / np.sqrt(len(places))
            value = own[places].mean(axis=0) + error * draw.standard_normal(3)
            shares.append(Share(rig, f"rig {rig}", [sequences[place] for place in places], gradient(value, error)))
        whole = combined(shares, scatter if weighed else None)
        scatter.learn(shares)
        missed.append(whole.values["k"] - own.mean(axis=0))
        stated.append(whole.uncertainty["k"])
    return np.array(missed), np.array(stated), scatter


@pytest.mark.parametrize("apart", [0.0, 0.3, 3.0])
def test_weighing_by_errors_is_never_noisier_than_counting_alike_and_far_better_with_one_bad_rig(apart: float) -> None:
    noise = [0.1, 0.1, 0.1, 3.0]
    weighed, stated, _ = simulated(noise, apart, 400, weighed=True)
    plain, _, _ = simulated(noise, apart, 400, weighed=False)
    rms = float(np.sqrt((weighed[30:] ** 2).mean())), float(np.sqrt((plain[30:] ** 2).mean()))
    assert rms[0] < 1.03 * rms[1]
    if apart < 1:
        assert rms[0] < 0.5 * rms[1]
    assert np.sqrt((stated[30:] ** 2).mean()) == pytest.approx(rms[0], rel=0.2)


def test_weights_leave_the_mean_over_the_sequences_as_it_is() -> None:
    missed, _, _ = simulated([0.05, 2.0, 2.0], 1.0, 1000, weighed=True)
    error = missed.std(axis=0) / np.sqrt(len(missed))
    assert (np.abs(missed.mean(axis=0)) < 4 * error).all()


def test_where_sequences_differ_by_more_than_rigs_are_noisy_they_count_nearly_alike() -> None:
    *_, scatter = simulated([0.01, 0.02], 5.0, 60, weighed=True)
    assert list(scatter.factors("k", {0: 4, 1: 4}).values()) == pytest.approx([1.0, 1.0], abs=0.01)


def test_without_error_bars_nothing_is_learned_and_all_count_alike() -> None:
    scatter = Scatter()
    for _ in range(9):
        scatter.learn([Share(rig, "", [sequence(rig)], gradient(np.ones(2))) for rig in (1, 2)])
    assert scatter.steps == 0 and scatter.factors("k", {1: 1, 2: 1}) == {1: 1.0, 2: 1.0}


def test_the_scatter_goes_on_from_its_state_to_the_same_bits() -> None:
    *_, scatter = simulated([0.1, 1.0, 0.3], 0.5, 30, weighed=True)
    again = Scatter.taken_up(scatter.state())
    assert again.factors("k", {0: 3, 1: 3, 2: 2}) == scatter.factors("k", {0: 3, 1: 3, 2: 2})
    shares = [Share(rig, "", [sequence(rig)], gradient(np.full(3, rig * 1.0), 0.1)) for rig in (0, 1)]
    again.learn(shares)
    scatter.learn(shares)
    np.testing.assert_array_equal(again.between["k"], scatter.between["k"])
