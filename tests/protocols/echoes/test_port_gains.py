"""Gains that differ from shot to shot are taken off echoes by drive: what is left is what a steady rig shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labrhel.executor import execute
from labrhel.learning.estimator import Estimator, Order
from labrhel.rig.capabilities import Reversal
from labrhel.shots.capture import Capture
from labrhel.shots.operations import Protocol, RunShots
from labrhel.shots.program import Role
from protocols.echoes.plan import EchoPlan
from protocols.echoes.port_gains import _gains, at_common_gains
from protocols.forward.forward import ForwardBatch, read_forward
from protocols.rhel import RHEL
from simbackend.imperfections import Imperfections
from simbackend.imperfections.converters import ConverterErrors
from simbackend.imperfections.paths import PathErrors
from simbackend.rigs.wrong import WrongRig, wrong_rig

BY_DRIVE = frozenset({Reversal.BY_DRIVE})
JITTER = 0.005
JITTERY = Imperfections(seed=3, ports=PathErrors(jitter=JITTER))
ON_CONVERTERS = replace(JITTERY, adc=ConverterErrors(12, 4.0))
EPS = 0.01


def known_rig(seed: int, imperfections: Imperfections) -> WrongRig:
    return wrong_rig(seed, friction=0.0, stiffness=0.0, offers=BY_DRIVE, imperfections=imperfections)


def plan_of(rig: WrongRig, rule: RHEL) -> EchoPlan:
    return rule.plan(rig.reference.task, rig.reference.theta, ("stiffness", "initial_momentum"))


def forward_of(rig: WrongRig, plan: EchoPlan) -> ForwardBatch:
    reference = rig.reference

    def program() -> Protocol[ForwardBatch]:
        shot = reference.task.forward(reference.sequences[0], reference.theta, plan.geometry.channels, keep=True)
        captures = yield RunShots((shot,))
        return read_forward(reference.task, plan.geometry, reference.sequences, captures, reference.theta)

    return execute(program(), reference.handler())


def echoes_of(rig: WrongRig, plan: EchoPlan, batch: ForwardBatch, eps: float = EPS) -> list[Capture]:
    def program() -> Protocol[list[Capture]]:
        return list((yield RunShots(plan.programs(batch.passes, plan.drives(batch.passes), eps), order="fixed")))

    return execute(program(), rig.reference.handler())


def apart(plan: EchoPlan, some: list[Capture], others: list[Capture]) -> np.ndarray:
    """Rms distance of the echoes and of their ends, of every shot."""
    found = []
    for one, other in zip(some, others, strict=True):
        q, there = (plan.geometry.state(item.last, plan.task.step)[0] for item in (one, other))
        assert one.last.end_state is not None
        assert other.last.end_state is not None
        p, end = (np.asarray(item.momentum) for item in (one.last.end_state, other.last.end_state))
        found.append(np.sqrt(np.mean((q - there) ** 2) + np.mean((p - end) ** 2)))
    return np.array(found)


@pytest.mark.parametrize("seed", [1, 5, 6])
@pytest.mark.parametrize("estimator", list(Estimator))
@pytest.mark.parametrize("imperfections", [JITTERY, ON_CONVERTERS], ids=["exact readings", "12 bits"])
def test_what_is_left_is_what_a_steady_rig_shows(seed: int, estimator: Estimator, imperfections: Imperfections) -> None:
    steady, jittery = known_rig(seed, Imperfections(seed=3)), known_rig(seed, imperfections)
    plan = plan_of(jittery, RHEL(lock=1, estimator=estimator, order=Order.ABBA))
    batch = forward_of(steady, plan)
    exact, read = (echoes_of(rig, plan, batch) for rig in (steady, jittery))
    corrected, deviation = at_common_gains(plan, batch.passes, plan.drives(batch.passes), read, EPS)
    before, after = apart(plan, read, exact), apart(plan, corrected, exact)
    assert after.max() < before.max() / 5
    assert np.sqrt(np.mean(after**2)) < np.sqrt(np.mean(before**2)) / 8
    assert deviation == pytest.approx(JITTER, rel=0.35)


def test_a_steady_rig_is_left_alone() -> None:
    steady = known_rig(1, Imperfections(seed=3))
    plan = plan_of(steady, RHEL(lock=1))
    batch = forward_of(steady, plan)
    read = echoes_of(steady, plan, batch, 1e-5)
    corrected, deviation = at_common_gains(plan, batch.passes, plan.drives(batch.passes), read, 1e-5)
    assert deviation < 1e-8
    assert apart(plan, corrected, read).max() < 1e-8


@pytest.mark.parametrize("seed", [8, 13, 59])
def test_a_rig_that_amplifies_every_mistake_is_left_alone(seed: int) -> None:
    very = replace(JITTERY, ports=PathErrors(jitter=0.02))  # their motion is chaotic over a pass
    jittery = known_rig(seed, very)
    plan = plan_of(jittery, RHEL(lock=1))
    batch = forward_of(known_rig(seed, Imperfections(seed=3)), plan)
    read = echoes_of(jittery, plan, batch)
    corrected, deviation = at_common_gains(plan, batch.passes, plan.drives(batch.passes), read, EPS)
    assert deviation == 0.0
    assert corrected == read


def test_a_motion_without_bound_shows_no_gains() -> None:
    slopes, seen = np.ones((2, 1, 5)), np.ones((3, 1, 5))
    assert not _gains(1e200 * slopes, seen).any()
    assert not _gains(np.inf * slopes, seen).any()
    assert _gains(slopes, seen).any()


def test_inputs_are_heard_in_the_preparation_and_the_drive_takes_them_back() -> None:
    rig = known_rig(1, Imperfections(seed=3))
    plan = plan_of(rig, RHEL(lock=1))
    batch = forward_of(rig, plan)
    drives = plan.drives(batch.passes)
    heard = plan.still_programs(batch.passes, drives)[0].passes[0].drives
    assert {"u1", "u2"} <= {drive.port for drive in heard}
    assert {drive.role for drive in heard} == {Role.PREPARATION}
    silent = replace(plan, reads_preparation=False).still_programs(batch.passes, drives)[0].passes[0].drives
    assert not {"u1", "u2"} & {drive.port for drive in silent}

    def ends(programs: EchoPlan) -> Protocol[list[Capture]]:
        return list((yield RunShots(programs.still_programs(batch.passes, drives))))

    with_pilot, without = (
        execute(ends(replace(plan, reads_preparation=heard)), rig.reference.handler()) for heard in (True, False)
    )
    assert apart(plan, with_pilot, without).max() < 1e-9


@pytest.mark.parametrize("seed", [1, 2, 6])
def test_the_gradient_gets_the_better_of_the_jitter(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = RHEL(lock=6, repeats=4, order=Order.ABBA, response=0.05)
    rig = wrong_rig(seed, offers=BY_DRIVE, imperfections=ON_CONVERTERS)
    gradient = rig.gradient(rule)
    with monkeypatch.context() as patched:
        patched.setattr(
            "protocols.echoes.measurement.at_common_gains",
            lambda plan, passes, drives, captures, eps: (captures, 0.0),
        )
        plain = wrong_rig(seed, offers=BY_DRIVE, imperfections=ON_CONVERTERS).gradient(rule)
    assert rig.compare(gradient, JITTER)[1] < 0.75 * rig.compare(plain, JITTER)[1]
    assert gradient.measured["port_jitter"] == pytest.approx(JITTER, rel=0.6)
    assert "port_jitter" not in plain.measured
