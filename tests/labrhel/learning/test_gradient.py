"""Confidence intervals by closed forms of Student's t that no library is asked for."""

import numpy as np
import pytest

from labrhel.errors import ConfigurationError
from labrhel.learning.gradient import Gradient, NudgeRecord


def gradient(repeats: int, **fields: object) -> Gradient:
    values = {"stiffness": np.array([2.0, -3.0]), "mass": np.array(0.5)}
    errors = {"stiffness": np.array([0.1, 0.4]), "mass": np.array(0.02)}
    facts = {"standard_error": errors, "repeats": repeats, "eps": 1e-3, "response_ratio": 0.05, "retrace_error": 0.002}
    return Gradient(values, 0.7, "rhel", 6, 9, **facts | fields)  # type: ignore[arg-type]


def quantile(level: float, repeats: int) -> float:
    """Student's t, two-sided: one degree of freedom is Cauchy's law, two and four have roots in closed form."""
    if repeats == 2:
        return float(np.tan(np.pi * level / 2))
    if repeats == 3:
        return float(level * np.sqrt(2 / (1 - level**2)))
    shifted = 4 * ((1 + level) / 2) * ((1 - level) / 2)
    return float(2 * np.sqrt(np.cos(np.arccos(np.sqrt(shifted)) / 3) / np.sqrt(shifted) - 1))


@pytest.mark.parametrize("repeats", [2, 3, 5])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_an_interval_is_students_with_one_degree_of_freedom_less_than_repeats(repeats: int, level: float) -> None:
    found = gradient(repeats).interval(level)
    for name, error in (("stiffness", np.array([0.1, 0.4])), ("mass", np.array(0.02))):
        low, high = found[name]
        assert np.allclose((high - low) / 2, quantile(level, repeats) * error, rtol=1e-9)
        assert np.allclose((high + low) / 2, gradient(repeats).values[name])


def test_the_bias_bound_widens_the_interval_on_both_sides_and_95_percent_is_the_default() -> None:
    bias = {"stiffness": np.array([0.3, 0.0]), "mass": np.array(0.05)}
    plain, wider = gradient(3).interval(0.95), gradient(3, bias_bound=bias).interval()
    for name, bound in bias.items():
        assert np.allclose(wider[name][1] - plain[name][1], bound)
        assert np.allclose(plain[name][0] - wider[name][0], bound)


def test_a_gradient_of_one_repeat_has_no_interval() -> None:
    with pytest.raises(ConfigurationError, match=r"set protocol\.repeats to 2 or more"):
        gradient(1, standard_error=None).interval()


def test_the_next_gradient_is_told_all_that_this_one_learned_about_its_nudge() -> None:
    moved, drive = {"mass": np.array(0.1)}, {"one": np.ones((2, 3))}
    found = gradient(1, deviations=moved, corrections=drive, retrace_error=0.2).nudge
    assert found == NudgeRecord(1e-3, 0.05, moved, drive, missed=0.2)


def test_a_gradient_with_half_of_a_nudge_has_none_and_tells_what_it_knows() -> None:
    whole = gradient(1)
    assert whole.health == "eps 0.001, r 0.05, retrace 0.002, "
    assert gradient(1, eps=None).nudge is gradient(1, response_ratio=None).nudge is None
    assert gradient(1, eps=None).health == "r 0.05, retrace 0.002, "


def test_a_gradient_says_nothing_that_it_was_not_told() -> None:
    bare = Gradient({}, 0.7, "rhel", 6, 9)
    assert (bare.eps, bare.response_ratio, bare.retrace_error, bare.nudge, bare.health) == (None, None, None, None, "")
    assert (bare.calibration, bare.standard_error, bare.bias_bound, bare.warnings) == ("", None, None, ())
    assert bare.repeats == 1 and not bare.measured and not bare.deviations and not bare.corrections
    assert not bare.floor and bare.aim is None and (bare.doubt, bare.pairs) == (0.0, 1)
    assert bare.uncertainty == {} and bare.interval.__defaults__ == (0.95,)
    assert NudgeRecord(1.0, 2.0) == NudgeRecord(1.0, 2.0, {}, {}, None, 0.0, 1)


def test_an_interval_with_a_floor_has_the_freedom_of_welch_and_satterthwaite() -> None:
    from scipy.stats import t

    found = gradient(4, standard_error={"mass": np.array(0.3), "stiffness": np.zeros(2)},
                     floor={"mass": np.array(0.4), "stiffness": np.array([0.0, 0.2])})  # fmt: skip
    with np.errstate(all="raise"):
        low, high = found.interval(0.9)["mass"]
        still = found.interval(0.9)["stiffness"]
    assert (high - low) / 2 == pytest.approx(0.5 * t.ppf(0.95, 3 / 0.6**4))
    assert (still[1] - still[0]) / 2 == pytest.approx([0.0, 0.2 * t.ppf(0.95, 3e12)])


def test_the_uncertainty_is_of_what_is_known_of_repeats_and_floor_in_the_shape_of_the_value() -> None:
    found = gradient(
        2, standard_error={"stiffness": np.array([0.3, 0.0])}, floor={"stiffness": np.array(0.4)}
    ).uncertainty
    assert list(found) == ["stiffness"] and found["stiffness"].tolist() == [0.5, 0.4]
    found = gradient(1, standard_error=None, floor={"mass": np.array(0.25)}).uncertainty
    assert list(found) == ["mass"] and found["mass"] == 0.25 and found["mass"].shape == ()


def test_a_gradient_is_shown_by_its_sizes_its_cost_and_its_warnings() -> None:
    plain, warned = gradient(2), gradient(2, warnings=("a < b", "c"))
    assert repr(plain) == "<Gradient by rhel: loss 0.7, 6 shots; |dL/dstiffness| = 3.606, |dL/dmass| = 0.5>"
    assert repr(warned).endswith("; 2 warnings>")
    html = warned._repr_html_()
    for words in (
        "gradient by rhel: loss 0.7, 6 shots, 9 passes",
        "3.606",
        "0.4123",
        "warning: a &lt; b",
        "warning: c",
    ):
        assert words in html
    assert "0.02" not in gradient(1, standard_error=None)._repr_html_() and "0.02" in html
