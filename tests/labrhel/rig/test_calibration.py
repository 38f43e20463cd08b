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
