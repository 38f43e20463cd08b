"""A set of calibrated values: what it knows, what it does not, and what has run out."""

from dataclasses import asdict

import pytest

from labrhel.rig.calibration import CalibratedValue, CalibrationSet, set_of


def value(number: float, until: float | None = None) -> CalibratedValue:
    return CalibratedValue(number, "V", 0.01, "fit", valid_until=until)


SET = CalibrationSet({
    "q1.gain": value(1.25, 100.0),
    "q1.delay": value(3e-6, 50.0),
    "stiffness[2].factor": value(0.9),
    "friction[0,1].added": value(0.02, 100.5),
    "retrace": value(0.1),
    "f1[0].noise": value(0.3),
    "mass.factor": value(2.0),
})  # fmt: skip


def test_a_number_is_the_measured_one_or_that_of_the_ideal_rig() -> None:
    assert SET.number("q1", "gain") == 1.25
    assert SET.number("q1", "delay") == 3e-6
    for known in (SET, CalibrationSet()):
        assert known.number("q2", "gain") == 1.0
        assert known.number("q2", "delay") == known.number("q2", "offset") == 0.0
    with pytest.raises(KeyError):
        SET.number("q1", "colour")


def test_parameters_are_those_with_a_factor_or_something_added_in_an_entry() -> None:
    assert SET.parameters() == {"stiffness", "friction"}


def test_a_value_runs_out_after_the_last_second_of_its_validity() -> None:
    assert SET.expired(50.0) == []
    assert SET.expired(50.5) == ["q1.delay"]
    assert SET.expired(101.0) == ["q1.gain", "q1.delay", "friction[0,1].added"]


def test_a_set_comes_back_from_plain_data_under_the_same_digest() -> None:
    plain = {name: asdict(item) for name, item in SET.values.items()}
    assert set_of(plain) == SET
    assert set_of(plain).digest == SET.digest != CalibrationSet().digest


def test_two_values_share_an_error_whichever_of_them_says_so() -> None:
    fitted = CalibratedValue(1.1, "1", 0.01, "fit", correlations={"q2.gain": -0.5})
    known = CalibrationSet({"q1.gain": fitted, "q2.gain": value(1.0), "q3.gain": value(1.0)})
    assert known.correlation("q1.gain", "q2.gain") == known.correlation("q2.gain", "q1.gain") == -0.5
    assert known.correlation("q1.gain", "q3.gain") == known.correlation("q9.gain", "q3.gain") == 0.0
    assert known.correlation("q3.gain", "q3.gain") == 1.0


def test_correlations_are_part_of_what_a_calibration_is_and_sets_without_them_keep_their_id() -> None:
    plain = CalibratedValue(1.25, "V", 0.01, "fit", node="paths")
    assert CalibrationSet({"q1.gain": plain}).digest == "72ec292d23287423228a561ea211dfa8"
    others = [CalibratedValue(1.25, "V", 0.01, "fit", node="paths", correlations={"q2.gain": r}) for r in (0.5, 0.4)]
    assert len({item.digest for item in (plain, *others)}) == 3
    assert set_of({"q1.gain": asdict(others[0])}) == CalibrationSet({"q1.gain": others[0]})
