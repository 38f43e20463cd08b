"""Error bars hold what repeats cannot show, and readings that clip or terms that bend are not silently wrong."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.honesty import LINEAR_NAMES, Sizes, covered, undeclared_rig
from protocols.adjoint_only import AdjointOnly
from protocols.echoes.floors import steps_of
from protocols.recorded_correlation import RecordedCorrelation
from protocols.rhel import RHEL
from simbackend.imperfections.converters import ConverterErrors
from simbackend.rigs.reference import ReferenceTask

LINEAR = Sizes(cubic=(0.0, 0.0), steps=300)


def coded(bits: int = 8, reach: float = 8.0, **more: Any) -> ReferenceTask:
    return undeclared_rig(1, {"adc": ConverterErrors(bits, reach), **more}, LINEAR)


def test_repeats_of_the_same_codes_do_not_make_an_error_bar_of_zero() -> None:
    rig = coded()
    found, exact = rig.gradient(RHEL(repeats=4), LINEAR_NAMES), rig.exact()[1]
    for name in LINEAR_NAMES:
        assert (found.floor[name] > 0).all()
        assert (found.uncertainty[name] >= found.floor[name]).all()
        # A draw of rounding errors is as large as the real one, within what a few entries can tell.
        off = np.sqrt(np.mean((found.values[name] - exact[name]) ** 2))
        assert 0.2 * off < np.sqrt(np.mean(found.uncertainty[name] ** 2)) < 10 * off


def test_a_precision_below_the_floor_is_not_reached_by_repeats_and_said() -> None:
    found = coded().gradient(RHEL(precision=1e-5, most_repeats=4), LINEAR_NAMES)
    assert found.repeats == 4
    assert any("repeats reached a precision of" in words for words in found.warnings)


@pytest.mark.parametrize(("noise", "is_floor"), [(0.0, True), (0.3, True), (0.6, False)])
def test_noise_of_half_a_step_dithers_a_converter_and_less_does_not(noise: float, *, is_floor: bool) -> None:
    lsb = 16.0 / 2**8
    assert bool(steps_of(coded(noise=noise * lsb).task.capabilities)) is is_floor


@pytest.mark.slow
@pytest.mark.parametrize("row", ["by drive", "8-bit ADC without dither", "12-bit DAC"])
def test_intervals_cover_the_exact_gradient(row: str) -> None:
    shares = [covered(seed, row)[0] for seed in range(4)]
    assert np.mean(shares) > 0.85  # the benchmark counts 200 rigs


# -- clipping ----------------------------------------------------------------------------------------------------------


def test_a_forward_pass_that_clips_is_said_with_the_channel_and_what_to_do() -> None:
    found = coded(reach=1.0).gradient(RHEL(response=0.05), LINEAR_NAMES)
    (words,) = [text for text in found.warnings if text.startswith("the forward pass goes beyond the range")]
    assert "samples" in words and "raise the range of the channel, or lower the input" in words


@pytest.mark.parametrize("rule", [AdjointOnly(response=30.0), RecordedCorrelation(response=30.0)])
def test_an_answer_that_clips_is_aimed_again_with_half_the_nudge(rule: Any) -> None:
    rig = coded(bits=16)
    found = rig.gradient(rule, LINEAR_NAMES)
    assert found.response_ratio is not None and found.response_ratio < 0.6 * rule.response
    assert found.shots > 3
    mild = rig.gradient(replace(rule, response=0.5), LINEAR_NAMES)
    assert not mild.warnings and rig.compare(mild)[1] < 0.02
    assert 0.5 / 3 < (mild.response_ratio or 0.0) < 0.5 * 3


# -- terms that bend ---------------------------------------------------------------------------------------------------


def test_anharmonic_terms_of_a_linear_rig_are_right_at_a_strong_nudge() -> None:
    rig = undeclared_rig(0, {}, LINEAR).declaring(accumulates=frozenset())
    found, exact = rig.gradient(RHEL(response=0.3), ("cubic", "quartic", "quadratic", "stiffness")), rig.exact()[1]
    assert (found.response_ratio or 0) > 0.1
    for name, value in found.values.items():
        assert np.linalg.norm(value - exact[name]) < 1e-5 * np.linalg.norm(exact[name]), name
