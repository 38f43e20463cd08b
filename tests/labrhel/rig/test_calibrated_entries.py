"""Factors and additions of calibrated parameters, entry by entry, in both halves of a matrix that is named once."""

import numpy as np

from labrhel.rig.calibrated import as_they_are, entries, is_for
from labrhel.rig.calibration import CalibratedValue, CalibrationSet


def known(**numbers: float) -> CalibrationSet:
    return CalibrationSet({name: CalibratedValue(number, "1", 0.01, "fit") for name, number in numbers.items()})


SET = known(**{
    "stiffness[0].factor": 1.1, "stiffness[2].factor": 0.9, "stiffness[2].added": -0.05,
    "friction[0,1].factor": 2.0, "friction[1,2].added": 0.3, "friction[2,2].added": 0.01,
    "stiffness.factor": 7.0, "stiffnesses[1].factor": 7.0, "stiffness[1].noise": 7.0,
    "stiffness[3].factor": 7.0, "friction[0].factor": 7.0, "friction[3,0].added": 7.0, "friction[0,3].added": 7.0,
    "drag[].factor": 1.5,
})  # fmt: skip


def test_entries_of_a_vector_are_those_named_and_no_others() -> None:
    factor, added = entries(SET, "stiffness", (3,))
    assert factor.tolist() == [1.1, 1.0, 0.9]
    assert added.tolist() == [0.0, 0.0, -0.05]


def test_an_entry_of_a_matrix_stands_in_both_halves() -> None:
    factor, added = entries(SET, "friction", (3, 3))
    assert factor.tolist() == [[1, 2, 1], [2, 1, 1], [1, 1, 1]]
    assert added.tolist() == [[0, 0, 0], [0, 0, 0.3], [0, 0.3, 0.01]]


def test_a_single_number_has_an_entry_too() -> None:
    factor, added = entries(SET, "drag", ())
    assert (float(factor), float(added)) == (1.5, 0.0)


def test_a_parameter_is_its_setting_times_the_factor_plus_what_is_added() -> None:
    assert np.allclose(is_for(SET, "stiffness", np.array([2.0, 3.0, 4.0])), [2.2, 3.0, 3.55])
    setting = np.arange(9.0).reshape(3, 3)
    assert np.allclose(is_for(SET, "friction", setting), [[0, 2, 2], [6, 4, 5.3], [6, 7.3, 8.01]])


def test_only_named_parameters_that_are_calibrated_become_as_they_are() -> None:
    theta = {"stiffness": np.array([2, 3, 4]), "mass": np.ones(3), "drag": np.array(2.0)}
    found = as_they_are(SET, theta, ("stiffness", "mass"))
    assert np.allclose(found["stiffness"], [2.2, 3.0, 3.55])
    assert found["mass"] is theta["mass"] and found["drag"] is theta["drag"]
    assert list(found) == list(theta)
    assert theta["stiffness"].tolist() == [2, 3, 4]
