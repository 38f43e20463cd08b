"""Gradients in the periodic steady state of linear damped rigs, against the adjoint of a long pass."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labrhel.errors import ConfigurationError, ProgramError
from labrhel.executor import execute
from labrhel.frozen import FrozenArray
from labrhel.learning.checking import compare
from labrhel.learning.needs import objections
from labrhel.rig.capabilities import Reversal
from protocols.adjoint_only import AdjointOnly
from protocols.periodic.period import Periodic
from protocols.recorded_correlation import RecordedCorrelation
from protocols.rhel import RHEL
from simbackend.rigs.periodic import PERIOD, periodic_rig, two_periods
from simbackend.rigs.reference import ReferenceTask

NAMES = ("stiffness", "coupling", "mass", "friction", "input", "readout", "readout_offset")
adjoint_only: Any = AdjointOnly
recorded_correlation: Any = RecordedCorrelation
STEADY = Periodic(PERIOD, discard=16, periods=4)


@pytest.mark.parametrize("rule", [AdjointOnly(periodic=STEADY), RecordedCorrelation(periodic=STEADY)])
@pytest.mark.parametrize("seed", range(3))
def test_every_parameter_has_the_gradient_of_a_pass_long_enough_to_be_steady(rule: Any, seed: int) -> None:
    long = periodic_rig(seed)
    found = two_periods(long).gradient(rule, NAMES)
    exact = long.exact()
    for name in NAMES:
        assert compare(np.ravel(found.values[name]), np.ravel(exact[1][name]))[1] < 1e-8, name
    assert found.loss == pytest.approx(exact[0], rel=1e-9)
    assert not found.warnings


def test_positions_alone_do_as_well() -> None:
    long = periodic_rig()
    offered = long.task.capabilities
    slow = {"velocity_matrix": FrozenArray(np.zeros((0, 3))), "channels": offered.channels[:3]}
    found = two_periods(long).declaring(**slow).gradient(adjoint_only(periodic=STEADY), NAMES)
    assert long.compare(found)[1] < 1e-8


@pytest.mark.parametrize("reversal", [Reversal.MOMENTUM_FLIP, Reversal.BY_DRIVE])
def test_an_echo_may_begin_in_any_state(reversal: Reversal) -> None:
    long = periodic_rig()
    task = two_periods(long).declaring(reversals=frozenset({reversal}))
    assert long.compare(task.gradient(recorded_correlation(periodic=STEADY), NAMES))[1] < 1e-8


def test_noise_falls_with_the_square_root_of_the_periods() -> None:
    spreads = []
    for periods in (2, 8, 32):
        noisy = two_periods(periodic_rig(noise=0.01))
        rule: Any = AdjointOnly(periodic=replace(STEADY, periods=periods))
        slopes = [noisy.gradient(rule, ["stiffness"]).values["stiffness"] for _ in range(40)]
        spreads.append(np.sqrt(np.sum(np.var(slopes, axis=0))))
    assert spreads[0] / spreads[1] == pytest.approx(2, rel=0.2)
    assert spreads[1] / spreads[2] == pytest.approx(2, rel=0.2)


def test_a_motion_that_is_not_steady_is_said_and_one_that_cannot_be_is_refused() -> None:
    long = two_periods(periodic_rig(friction=0.05))
    with pytest.raises(
        ProgramError, match=r"of the slowest transient is left, so nothing is steady: discard: \d+ leaves"
    ):
        long.gradient(adjoint_only(periodic=replace(STEADY, discard=2)), NAMES)
    with pytest.raises(ProgramError, match="it loses no energy"):
        two_periods(periodic_rig(friction=0.0)).gradient(adjoint_only(periodic=STEADY), NAMES)
    found = long.gradient(adjoint_only(periodic=replace(STEADY, discard=14)), [*NAMES, "initial_position"])
    assert any("the motion changes by" in words for words in found.warnings)
    assert any("does not know how it began" in words for words in found.warnings)
    assert not found.values["initial_position"].any()


def test_periods_that_slip_and_inputs_that_do_not_repeat_are_refused_in_a_sentence() -> None:
    task = two_periods(periodic_rig())

    def fails(words: str, rule: Any, task: ReferenceTask = task) -> None:
        with pytest.raises(ProgramError, match=words):
            task.gradient(rule, NAMES)

    fails(
        r"a period of 8\.01 is 40\.05 samples of 0\.2, and must be a whole number",
        adjoint_only(periodic=Periodic(8.01)),
    )
    fails(r"input u1 of tones does not repeat after 7", adjoint_only(periodic=Periodic(7.0)))
    fails(r"tones has 80 samples, and a period has 80", adjoint_only(periodic=Periodic(16.0)))
    with pytest.raises(ConfigurationError, match="period must be a positive time"):
        Periodic(-1.0)
    with pytest.raises(ConfigurationError, match="periods 1 or more, not 3 and 0"):
        Periodic(1.0, 3, 0)


def test_a_nonlinear_rig_is_refused_and_a_mapping_is_read() -> None:
    task, rule = two_periods(periodic_rig(cubic=0.3)), AdjointOnly(periodic={"period": 8.0, "discard": 4, "periods": 2})  # type: ignore[arg-type]
    assert rule.periodic == Periodic(8.0, 4, 2)
    assert objections(rule.needs, task.task, task.sequences, task.theta, NAMES) == ("the rig is not linear",)
    assert not hasattr(RHEL(), "periodic")


def test_the_next_gradient_starts_from_the_nudge_of_this_one() -> None:
    task = two_periods(periodic_rig())
    rule: Any = AdjointOnly(periodic=STEADY)
    first = task.gradient(rule, NAMES)
    again = execute(rule.gradient(task.request(NAMES, first.nudge)), task.handler())
    assert again.shots == 3
    assert again.response_ratio == pytest.approx(1.0, rel=1e-6)
