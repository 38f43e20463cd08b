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
from protocols.echoes.aim import GOOD, POOR, USELESS, Point, Sample, searched
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
