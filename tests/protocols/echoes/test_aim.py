"""The strength of a nudge is found from what came back, and what cannot be nudged well is said."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.honesty import NAMES, UNDECLARED, Sizes, undeclared_rig
from labrhel.errors import ProgramError
from labrhel.executor import execute
from labrhel.learning.gradient import Gradient
from labrhel.shots.capture import PassCapture
from labrhel.shots.operations import RunShots
from protocols.echoes.aim import GOOD, POOR, USELESS, Aim, Point, Sample, searched
from protocols.echoes.options import NOISELESS_RESPONSE
from protocols.rhel import RHEL
from simbackend.imperfections.noise import ForceNoise
from simbackend.rigs.reference import ReferenceTask


def first(rig: ReferenceTask, **options: Any) -> Gradient:
    return rig.gradient(RHEL(**options), NAMES)


SLOW = ("DAC 12 bits over +-10", "DAC 16 bits over +-10", "temperature 1e-6")
ROWS = [pytest.param(row, marks=[pytest.mark.slow] * (row in SLOW)) for row in UNDECLARED if row != "clean"]


@pytest.mark.parametrize("row", ROWS)
def test_what_no_channel_declares_is_found_and_nudged_over(row: str) -> None:
    rig = undeclared_rig(3, UNDECLARED[row])
    found = first(rig)
    error = rig.compare(found)[1]
    assert error < POOR or found.warnings
    assert found.measured["search_shots"] > 0 and error < 4 * max(found.measured["expected_error"], GOOD)
    assert found.aim is not None and found.aim > 3 * NOISELESS_RESPONSE


def test_a_nudge_that_the_converters_swallow_is_said_whatever_asked_for_it() -> None:
    swallowed = first(undeclared_rig(3, UNDECLARED["DAC 14 bits over +-10"]), response=NOISELESS_RESPONSE)
    assert any("converters of the drive ports" in words for words in swallowed.warnings)


def test_noise_that_nobody_declares_ruins_the_response_of_an_exact_rig() -> None:
    rig = undeclared_rig(3, UNDECLARED["gain jitter 0.1 %"])
    assert rig.compare(first(rig, response=NOISELESS_RESPONSE))[1] > 1


def test_a_rig_that_is_what_it_declares_takes_no_shot_for_it_and_is_exact() -> None:
    rig = undeclared_rig(3, {})
    found = first(rig)
    assert rig.compare(found)[1] < 1e-8
    assert found.shots == 3 and found.aim is None and found.pairs == 1 and "search_shots" not in found.measured


def test_the_next_gradient_starts_from_what_the_search_found_and_searches_no_more() -> None:
    rig = undeclared_rig(3, UNDECLARED["gain jitter 0.1 %"])
    before = first(rig)
    again = execute(RHEL().gradient(rig.request(NAMES, before.nudge)), rig.handler())
    assert before.aim is not None and again.response_ratio == pytest.approx(before.aim, rel=0.5)
    assert "search_shots" not in again.measured and again.repeats == before.pairs == again.pairs
    assert again.shots == 3 * before.pairs < before.shots
    assert rig.compare(again)[1] < POOR


@pytest.mark.parametrize("accumulates", [frozenset({"stiffness", "cubic", "coupling"}), frozenset[str]()])
def test_a_dry_run_which_answers_with_silence_is_not_searched(accumulates: frozenset[str]) -> None:
    rig = undeclared_rig(3, {}).declaring(accumulates=accumulates)
    inner = rig.handler()

    class Dry:
        """Every reading is zero."""

        def do(self, operation: Any) -> Any:
            answer = inner.do(operation)
            if not isinstance(operation, RunShots):
                return answer
            return [replace(item, passes=tuple(hushed(part) for part in item.passes)) for item in answer]

    def hushed(part: PassCapture) -> PassCapture:
        traces = {name: replace(trace, values=0 * trace.values) for name, trace in part.traces.items()}
        return replace(part, traces=traces, observables={name: 0 * sums for name, sums in part.observables.items()})

    found = execute(RHEL().gradient(rig.request(NAMES)), Dry())
    assert found.shots == 3 and "search_shots" not in found.measured


def test_a_doubt_that_grows_is_looked_into_again() -> None:
    quiet, loud = undeclared_rig(3, {}), undeclared_rig(2, UNDECLARED["force noise 1e-3"])
    before = first(quiet)
    after = execute(RHEL().gradient(loud.request(NAMES, before.nudge)), loud.handler())
    assert after.measured["search_shots"] > 0


def test_a_rig_that_drowns_every_nudge_is_refused_with_what_to_do() -> None:
    rig = undeclared_rig(3, {"force": ForceNoise(0.3, 0.0)})
    with pytest.raises(ProgramError, match=r"noise from echo to echo.*repeats: R averages it.*response: R takes it"):
        first(rig)
    assert first(rig, response=0.03).response_ratio is not None  # asked for by name, it is given


def test_a_wrong_model_that_repeats_itself_keeps_its_small_nudge() -> None:
    rig = undeclared_rig(3, {})
    wrong = {**rig.theta, "friction": 0.5 * np.asarray(rig.theta["friction"])}

    class Believing:
        """The host's friction is half of the rig's, which keeps its own."""

        def __init__(self) -> None:
            self._inner = rig.handler()

        def do(self, operation: Any) -> Any:
            if hasattr(operation, "parameters"):
                return {}
            return self._inner.do(operation)

    asked = rig.request(NAMES)
    found = execute(RHEL().gradient(replace(asked, theta=wrong)), Believing())
    assert found.retrace_error is not None and found.retrace_error > 0.01
    assert found.measured["search_shots"] == 3  # one more forward pass, and one more pair
    assert found.response_ratio is not None and found.response_ratio < 1e-3
    assert found.measured["expected_error"] < GOOD


def test_nearly_equal_nudges_that_agree_do_not_hide_a_bias() -> None:
    # Double wells, driven hard for a short time: 0.7 % between the two nudges stood for a bias of 6 %.
    sizes = Sizes(steps=700, cubic=(1.0, 1.0), folds=(0.01, 0.3), stiffness=(-1.0, -1.0), drive=1.0)
    rig = undeclared_rig(14, {}, sizes, n=6)
    found = first(rig)
    assert rig.compare(found)[1] < 0.02


# -- the arithmetic ----------------------------------------------------------------------------------------------------


def toy(noise: float, bias: float, seed: int = 0) -> Any:
    """Samples of a gradient (1, 1, ...) at nudges of which eps is the response: bias eps^2, noise/eps."""
    random = np.random.default_rng(seed)
    fired: list[float] = []

    def fire(asked: float, *, anew: bool) -> Any:
        fired.append(asked)
        slope = 1 + bias * asked**2 + noise / asked * random.standard_normal(200)
        return Sample(asked, asked, asked, 0.1 * asked, slope)
        yield

    return fire, fired


@pytest.mark.parametrize(("noise", "bias"), [(1e-4, 1.0), (1e-3, 1.0), (1e-4, 100.0), (1e-5, 1000.0)])
def test_a_search_ends_near_the_least_error(noise: float, bias: float) -> None:
    fire, fired = toy(noise, bias)
    start = execute(fire(1e-5, anew=False), None)  # type: ignore[arg-type]
    aim = execute(searched(fire, start, 0.03), None)  # type: ignore[arg-type]
    least = min(np.hypot(bias * x**2, noise / x) for x in np.geomspace(1e-5, 0.3, 400))
    assert np.hypot(bias * aim.asked**2, noise / aim.asked) < max(2 * least, GOOD)
    assert aim.noise == pytest.approx(noise / aim.asked, rel=0.3)
    assert aim.bias == pytest.approx(bias * aim.asked**2, rel=0.5, abs=0.3 * aim.noise)
    assert len(fired) <= 1 + 1 + 4 * 3 + 8


def test_noise_that_hides_the_gradient_is_more_than_its_size() -> None:
    random = np.random.default_rng(0)
    samples = [Sample(1.0, 1.0, 1.0, 1.0, 30 * random.standard_normal(100)) for _ in range(2)]
    assert Point.of(samples).noise > USELESS


def samples_of(*slopes: float, asked: float = 1.0, distortion: tuple[float, ...] = (0.0, 0.0)) -> list[Sample]:
    pairs = zip(slopes, distortion, strict=True)
    return [Sample(asked, asked, 0.1, 0.02 + 0.01 * place, np.array([value, 2.0]), off)
            for place, (value, off) in enumerate(pairs)]  # fmt: skip


def test_a_doubt_is_the_miss_over_the_response_and_without_bound_where_nothing_answered() -> None:
    assert Sample(1.0, 1.0, 0.4, 0.1, np.ones(1)).doubt == 0.25
    assert Sample(1.0, 1.0, 0.0, 0.1, np.ones(1)).doubt == np.inf
    assert Sample(1.0, 1.0, 0.4, 0.1, np.ones(1)).distortion == 0.0


def test_a_point_has_the_mean_of_its_samples_and_their_spread_over_its_size() -> None:
    point = Point.of(samples_of(9.0, 11.0, distortion=(0.03, 0.05)))
    # Of 9 and 11 the variance of one is 2, that of their mean 1, which is in the square of the mean and no signal.
    assert np.array_equal(point.slope, [10.0, 2.0])
    assert point.size == pytest.approx(np.sqrt(104 - 1))
    assert point.noise == pytest.approx(np.sqrt(2 / 103))
    assert point.response == pytest.approx(0.1) and point.distortion == pytest.approx(0.04)
    assert point.error == pytest.approx(np.hypot(point.noise, 0.04))
    aim = point.aim(0.02)
    assert (aim.asked, aim.bias, aim.samples) == (1.0, 0.02, point.samples)
    assert (aim.response, aim.noise, aim.distortion) == (point.response, point.noise, point.distortion)
    assert aim.doubt == pytest.approx(0.3)  # the larger of the two
    small = Point.of([replace(item, slope=1e-6 * item.slope) for item in samples_of(9.0, 11.0)])
    assert small.noise == pytest.approx(point.noise)


def test_samples_that_are_all_noise_have_no_size() -> None:
    opposite = [
        replace(item, slope=sign * np.ones(2)) for item, sign in zip(samples_of(1.0, 1.0), (1, -1), strict=True)
    ]
    point = Point.of(opposite)
    assert point.size == 0.0 and point.noise == np.inf and point.error == np.inf
    assert point.best(0.1) == np.inf
    assert point.bias(samples_of(5.0, 5.0)[0]) == (0.0, True)


def test_a_bias_is_what_a_third_of_a_doubling_changes_and_grows_as_its_square() -> None:
    """Of g = g0 + c x^2 the nudges x and h x show c x^2 (h^2 - 1)."""
    slope, curve = np.array([3.0, 4.0]), np.array([0.05, -0.02])
    pair = [Sample(x, x, 0.1, 0.0, slope + curve * 0.7**2) for x in (0.7, 0.7)]
    point = Point.of(pair)
    for high in (1.4, 2.1):
        found, is_lawful = point.bias(Sample(high, high, 0.1, 0.0, slope + curve * high**2))
        assert found == pytest.approx(np.linalg.norm(curve) * 0.7**2 / point.size)
        assert is_lawful


def test_of_nudges_that_are_not_quite_equal_a_bias_is_that_of_their_mean() -> None:
    slope = np.array([3.0, 4.0])
    point = Point.of([Sample(x, x, 0.1, 0.0, slope) for x in (1.0, 1.1)])
    found, _ = point.bias(Sample(2.0, 2.0, 0.1, 0.0, 1.1 * slope))
    assert found == pytest.approx(0.1 / ((2.0 / 1.05) ** 2 - 1))


def test_a_change_within_the_spread_is_no_bias() -> None:
    pair = samples_of(9.0, 11.0)  # a variance of 2: of their mean 1, of one at twice the nudge a quarter of 2
    point = Point.of(pair)
    within, _ = point.bias(Sample(2.0, 2.0, 0.1, 0.0, np.array([10.0 + np.sqrt(1.5), 2.0])))
    assert within == pytest.approx(0.0, abs=1e-6)
    beyond, _ = point.bias(Sample(2.0, 2.0, 0.1, 0.0, np.array([10.0 + np.sqrt(1.5 + 9), 2.0])))
    assert beyond == pytest.approx(3 / 3 / np.sqrt(103))


@pytest.mark.parametrize(
    ("change", "is_lawful"),
    # Relative bias change/3/10 against a tenth; a spread of 0.15, twice of which the change must exceed.
    [(2.9, True), (3.2, False)],
)
def test_a_bias_beyond_a_tenth_is_not_believed_to_follow_its_law(change: float, *, is_lawful: bool) -> None:
    point = Point.of(
        [replace(item, slope=np.array([value])) for item, value in zip(samples_of(1, 1), (9.9, 10.1), strict=True)]
    )
    assert point.bias(Sample(2.0, 2.0, 0.1, 0.0, np.array([10.0 + change])))[1] is is_lawful


def test_a_large_bias_within_the_noise_counts_as_lawful() -> None:
    # Variance of one 4, spread of the change sqrt(4 (1/2 + 1/4)) = 1.73: of a change of twice that the bias is 0.1.
    low = 10.0 - np.sqrt(2)
    point = Point.of([replace(item, slope=np.array([value])) for item, value in
                      zip(samples_of(1, 1), (low, low + 2 * np.sqrt(2)), strict=True)])  # fmt: skip
    for change, is_lawful in ((3.4, True), (3.6, False)):
        found, lawful = point.bias(Sample(2.0, 2.0, 0.1, 0.0, np.array([10.0 + change])))
        assert lawful is is_lawful and found > 0.097


def test_the_best_nudge_balances_noise_and_bias() -> None:
    """The least of (b x^2)^2 + (n/x)^2, found by hand and by search."""
    point = Point.of(samples_of(9.0, 11.0))
    for bias in (0.02, 0.5):
        x = np.geomspace(0.1, 10, 4001)
        least = x[np.argmin((bias * x**2) ** 2 + (point.noise / x) ** 2)]
        assert point.best(bias) == pytest.approx(least, rel=1e-3)
    # Without a bias that is seen, a twentieth of the noise is taken for it.
    assert point.best(0.0) == pytest.approx((1 / (2 * 0.05**2)) ** (1 / 6))
    quiet = Point.of(samples_of(10.0, 10.0))
    assert quiet.best(0.0) == pytest.approx(0.0, abs=1e-9) and quiet.best(0.5) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("noise", "pairs"), [(0.0, 1), (0.015, 1), (0.02, 2), (0.03, 4), (0.045, 9), (0.07, 22), (0.08, 24), (np.inf, 24)]
)
def test_so_many_sets_of_echoes_bring_the_noise_to_three_tenths_of_a_twentieth(noise: float, pairs: int) -> None:
    made = Aim(1.0, 0.1, noise, 0.0, 0.0, 0.1, ())
    assert made.pairs == pairs
    if 0.015 < noise < 0.07:
        assert noise / np.sqrt(pairs) <= 0.015 * (1 + 1e-9) < noise / np.sqrt(pairs - 1)


def test_the_error_of_an_aim_is_that_of_a_mean_and_its_worst_part_is_named() -> None:
    made = Aim(1.0, 0.1, 0.03, 0.02, 0.01, 0.1, ())
    assert made.pairs == 4
    assert made.error == pytest.approx(np.sqrt(0.015**2 + 0.02**2 + 0.01**2))
    assert made.worst == "the strength of the nudge"
    assert replace(made, bias=0.014).worst == "noise from echo to echo"
    assert replace(made, distortion=0.021).worst == "the converters of the drive ports"


# -- the search --------------------------------------------------------------------------------------------------------


class Scripted:
    """Fires what a law says of a nudge, and writes down which nudges were asked for, and with a pass of their own.

    `noise`, `bias` and `response` of a nudge, the first two relative to a gradient (1, 1); its first entry goes up and
    down so that two samples of a pair have just that spread.
    """

    def __init__(self, noise: Any, bias: Any, response: Any, doubt: float, distortion: Any) -> None:
        self._noise, self._bias, self._response, self._doubt = noise, bias, response, doubt
        self._distortion = distortion
        self.fired: list[tuple[float, bool]] = []

    def sample(self, asked: float) -> Sample:
        # Number 0 and 1 are a pair, and of each three that follow the first and the last.
        sign = -1 if (len(self.fired) + 1) // 2 % 2 else 1
        noise = self._noise(asked)
        off = sign * np.sqrt(2 * noise**2 / (2 + noise**2)) if noise < np.inf else sign * np.inf
        slope = np.array([1 + off, 1.0]) * (1 + self._bias(asked)) if noise < np.inf else sign * np.ones(2)
        response = self._response(asked)
        return Sample(asked, asked, response, self._doubt * response, slope, self._distortion(asked))

    def __call__(self, asked: float, *, anew: bool) -> Any:
        self.fired.append((asked, anew))
        return self.sample(asked)
        yield


def nothing(_: float) -> float:
    return 0.0


def found_by(
    noise: Any = nothing,
    bias: Any = nothing,
    response: Any = float,
    doubt: float = 0.05,
    start: float = 0.03,
    distortion: Any = nothing,
) -> tuple[Aim, list[tuple[float, bool]]]:
    """Where a search ends that begins with a sample at 0.001, and what it fired."""
    fire = Scripted(noise, bias, response, doubt, distortion)
    return execute(searched(fire, fire.sample(1e-3), start), None), fire.fired  # type: ignore[arg-type]


def rounds(fired: list[tuple[float, bool]], count: int | None = None) -> list[float]:
    """The nudge of each round: a sample there, one at its double, and one a tenth higher with a pass of its own."""
    every = fired[1:] if count is None else fired[1 : 1 + 3 * count]
    assert len(every) % 3 == 0
    for place in range(0, len(every), 3):
        asked = every[place][0]
        assert [item[0] for item in every[place : place + 3]] == pytest.approx([asked, 2 * asked, 1.1 * asked])
        assert [item[1] for item in every[place : place + 3]] == [False, False, True]
    return [item[0] for item in every[::3]]


def test_samples_that_agree_end_a_search_at_its_first_nudge() -> None:
    aim, fired = found_by()
    assert fired == [(pytest.approx(1.1e-3), True)]
    assert (aim.asked, aim.bias, aim.noise) == (1e-3, 0.0, 0.0)
    assert [item.asked for item in aim.samples] == pytest.approx([1e-3, 1.1e-3])


def test_a_search_goes_on_where_neither_the_doubt_nor_two_nudges_exclude_a_bias() -> None:
    # Of a bias b they show 0.21 b: a noise n hides one of sqrt(2) n/0.21.
    # (As 0.01 0.21/sqrt(2) = 0.0015 hides a bias of 0.01.)
    assert len(found_by(lambda asked: 0.0016, doubt=0.15)[1]) > 1
    assert len(found_by(lambda asked: 0.0014, doubt=0.15)[1]) == 1
    assert len(found_by(lambda asked: 0.003, doubt=0.09)[1]) == 1  # a doubt of 0.09 stands for a bias of 0.008
    assert len(found_by(lambda asked: 0.012, doubt=0.01)[1]) > 1


def test_a_noise_that_is_known_says_where_it_will_be_small_and_the_model_where_it_is_not() -> None:
    slight, much = (lambda asked: 0.03 if asked < 2e-3 else 0.0), (lambda asked: 0.051 if asked < 2e-3 else 0.0)
    assert rounds(found_by(slight, start=1.0)[1]) == pytest.approx([1e-2])  # three thousandths are aimed at
    assert rounds(found_by(slight, start=5e-3)[1]) == pytest.approx([5e-3])
    assert rounds(found_by(much, start=0.5)[1]) == pytest.approx([0.5])
    silent = found_by(slight, response=lambda asked: asked if asked > 0.01 else 0.0)[1]
    assert rounds(silent) == pytest.approx([0.03])


BETTER = (1 / (2 * 0.05**2)) ** (1 / 6)
"""Where there is noise and no bias is seen a nudge that is so much stronger is better."""


def test_there_are_four_rounds_at_most_each_at_what_the_last_one_found_best() -> None:
    aim, fired = found_by(lambda asked: 0.06, response=lambda asked: 1e-3 * asked)
    assert rounds(fired, 4) == pytest.approx([0.03 * BETTER**power for power in range(4)])
    assert len(aim.samples) >= aim.pairs and len(fired) == 1 + 4 * 3 + len(aim.samples) - 2


def test_no_nudge_is_stronger_than_a_response_of_three_tenths() -> None:
    fired = found_by(lambda asked: 0.06, start=0.05)[1]
    last = 0.3 / 1.05  # the mean of two samples, one of which is a tenth stronger
    assert rounds(fired, 3) == pytest.approx([0.05, 0.05 * BETTER, last])
    assert all(anew for _, anew in fired[10:])  # there is no fourth


def test_where_noise_hides_the_gradient_the_next_round_is_ten_times_as_strong() -> None:
    for response in (lambda asked: 1e-9 * asked, nothing):
        fired = found_by(lambda asked: np.inf, response=response)[1]
        assert rounds(fired, 4) == pytest.approx([0.03, 0.3, 3.0, 30.0])


def test_a_bias_beyond_its_law_is_left_by_a_factor_of_three() -> None:
    noise = lambda asked: 0.06 if asked < 2e-3 else 0.0  # noqa: E731
    aim, fired = found_by(noise, lambda asked: 0.3 * (asked / 0.03) ** 2)
    assert rounds(fired)[:2] == pytest.approx([0.03, 0.01])
    assert aim.asked <= 0.01


def test_a_bias_that_is_all_is_left_by_a_factor_of_ten_and_no_response_is_below_the_weakest() -> None:
    noise = lambda asked: 0.06 if asked < 2e-3 else 0.0  # noqa: E731
    law = lambda asked: 0.2 if asked > 0.05 else 0.05 if asked > 0.02 else 0.0  # noqa: E731
    assert rounds(found_by(noise, law)[1]) == pytest.approx([0.03, 0.003])
    weak = found_by(noise, law, response=lambda asked: 1e-3 * asked)[1]
    assert rounds(weak)[:2] == pytest.approx([0.03, 0.01 / 1.05])


def test_a_search_ends_where_the_error_is_small_although_another_nudge_had_less() -> None:
    aim, fired = found_by(lambda asked: 0.06 if asked < 2e-3 else 0.009)
    assert rounds(fired) == pytest.approx([0.03]) and aim.error < GOOD and len(aim.samples) == 2


def test_a_search_ends_near_its_best_nudge_although_the_error_is_not_small() -> None:
    # Noise and bias in the proportion that is least: sqrt(2) to 1.
    noise, bias = lambda asked: 0.05 * 0.03 / asked, lambda asked: 0.05 / np.sqrt(2) / 1.1 * (asked / 0.03) ** 2
    aim, fired = found_by(noise, bias)
    assert rounds(fired, 1) == pytest.approx([0.03]) and not any(asked == 0.06 for asked, _ in fired[4:])
    assert aim.error > GOOD and aim.asked == pytest.approx(0.03)


def test_the_round_with_the_least_error_is_where_a_search_ends() -> None:
    """The second of four: the law is one that no balance of noise and bias foresees."""
    second = 0.03 * BETTER
    noise = lambda asked: 0.02 if 0.9 * second < asked < 2.2 * second else 0.06  # noqa: E731
    aim, fired = found_by(noise, response=lambda asked: 1e-3 * asked)
    assert aim.asked == pytest.approx(second) and aim.noise == pytest.approx(0.02, rel=0.5)
    assert all(item == (pytest.approx(second), True) for item in fired[13:])


def test_a_spread_is_believed_of_three_samples_where_it_matters() -> None:
    aim, fired = found_by(lambda asked: 0.06 if asked < 2e-3 else 0.014)
    assert (
        aim.pairs == 1 and aim.noise > GOOD and len(aim.samples) == 3 and fired[-1] == (pytest.approx(aim.asked), True)
    )
    assert aim.samples[0].asked == aim.asked and aim.samples[1].asked == pytest.approx(1.1 * aim.asked)


def test_samples_are_added_until_there_are_as_many_as_their_own_spread_asks_for() -> None:
    aim, _ = found_by(lambda asked: 0.06 if asked < 2e-3 else 0.04)
    assert len(aim.samples) >= aim.pairs > 3
    assert Point.of(aim.samples[:-1]).aim(aim.bias).pairs > len(aim.samples) - 1
    assert aim.noise == pytest.approx(Point.of(aim.samples).noise)


def test_an_error_of_just_a_hundredth_is_good_and_of_just_a_twentieth_useless() -> None:
    assert len(found_by(distortion=lambda asked: GOOD)[1]) == 1
    useless = lambda asked: USELESS if asked < 2e-3 else GOOD  # noqa: E731
    assert rounds(found_by(distortion=useless)[1]) == pytest.approx([0.03])
