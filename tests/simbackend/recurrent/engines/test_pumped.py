"""Echoes that pump lost energy back: they retrace, and are wrong by as much as the unit forgets."""

import os

import numpy as np
import pytest

from simbackend.recurrent.engines.echoes import EchoEngine
from simbackend.recurrent.engines.pumped import PumpedEngine
from simbackend.testing.units import ENGINES, case, overall

# More kernels of the other take ten seconds to compile: `make targets` tries both.
KINDS = ["damped", "damped_nonlinear"] if os.environ.get("LABRHEL_UNITS") else ["damped_nonlinear"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_pumped_echo_retraces_the_path_and_yet_its_gradient_is_wrong_by_the_e_folds_of_the_pass(kind: str) -> None:
    errors = []
    for friction in (1e-4, 1e-3, 1e-2, 1.0):
        unit = case(kind, friction=friction)
        exact = unit.gradient(ENGINES["bptt"](unit.model))
        found = unit.gradient(PumpedEngine(unit.model))
        assert found.retrace_error < 1e-8
        assert overall(unit.gradient(EchoEngine(unit.model)), exact) < 1e-6
        np.testing.assert_array_equal(found.parameters["g"], 0)
        rest = [
            (found.parameters[name], exact.parameters[name]) for name in unit.theta if name not in ("g", "C")
        ]  # C is read off the path, which is right
        errors.append(max(np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in rest))
    assert errors[1] / errors[0] == pytest.approx(10, rel=0.1)
    assert errors[2] / errors[1] == pytest.approx(10, rel=0.5)
    assert errors[3] > 0.5


def test_what_is_nudged_off_the_path_grows_where_the_adjoint_decays() -> None:
    unit = case("damped", steps=300, friction=2.0)
    assert unit.gradient(EchoEngine(unit.model)).growth < 2
    assert unit.gradient(PumpedEngine(unit.model)).growth > 1e6


def test_without_friction_nothing_is_pumped() -> None:
    unit = case("nonlinear")
    plain, pumped = unit.gradient(EchoEngine(unit.model)), unit.gradient(PumpedEngine(unit.model))
    for name, value in plain.parameters.items():
        np.testing.assert_array_equal(pumped.parameters[name], value)
