"""Gains that differ from shot to shot are taken off echoes by drive: what is left is what a steady rig shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labrhel.executor import execute
from labrhel.learning.estimator import Estimator, Order
from labrhel.model.interface import Run
from labrhel.model.motion import run
from labrhel.rig.capabilities import Reversal
from labrhel.shots.capture import Capture, State
from labrhel.shots.operations import Protocol, RunShots
from labrhel.shots.program import Role
from protocols.echoes.plan import EchoPlan
from protocols.echoes.port_gains import _gains, _Shots, at_common_gains
from protocols.forward.forward import ForwardBatch, read_forward
from protocols.rhel import RHEL
from simbackend.imperfections import Imperfections
from simbackend.imperfections.converters import ConverterErrors
from simbackend.imperfections.paths import PathErrors
from simbackend.rigs.wrong import WrongRig, wrong_rig
from simbackend.testing.small_rig import small_rig

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
    assert not _gains(np.array([[[1e200]], [[1.0]]]) * np.ones((2, 1, 5)), seen).any()  # nor where one of them has none
    assert not _gains(slopes, np.array([[[np.inf]], [[1.0]], [[1.0]]]) * seen).any()


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


# -- in closed form, of a linear rig that the model knows --------------------------------------------------------------

KNOWN = small_rig(cubic=0.0).declaring(reversals=BY_DRIVE)


def shaken(gains: np.ndarray, estimator: Estimator) -> tuple[EchoPlan, ForwardBatch, list[Capture], list[Capture]]:
    """Echoes of the small rig, and what they were with relative deviations (sequences, shots, ports) of the gains."""
    plan = RHEL(lock=1, estimator=estimator).plan(KNOWN.task, KNOWN.theta, ("stiffness", "initial_momentum"))

    def program() -> Protocol[tuple[ForwardBatch, list[Capture]]]:
        shots = [KNOWN.task.forward(item, KNOWN.theta, plan.geometry.channels, keep=True) for item in KNOWN.sequences]
        captures = yield RunShots(tuple(shots))
        batch = read_forward(KNOWN.task, plan.geometry, KNOWN.sequences, captures, KNOWN.theta)
        drives = plan.drives(batch.passes)
        return batch, list((yield RunShots(plan.programs(batch.passes, drives, EPS), order="fixed")))

    batch, steady = execute(program(), KNOWN.handler())
    drives, moved = plan.drives(batch.passes), []
    for number, capture in enumerate(steady):
        place, shot = divmod(number, len(steady) // 2)
        own = _Shots(plan, batch.passes[place], drives[place], capture)
        off = np.tensordot(gains[place, shot], own._ports, 1)
        moved.append(off_by(capture, respond_to(off), drives[place].prepared))
    return plan, batch, steady, moved


def respond_to(force: np.ndarray) -> Run:
    """What a force on the linear rig adds to any motion of it."""
    still = np.zeros((1, 3))
    silent = KNOWN.model.input_force(np.zeros((1, 1)), KNOWN.theta)
    assert not silent.any()
    return run(KNOWN.model, KNOWN.theta, force, 0.1, still, still)


def off_by(capture: Capture, added: Run, prepared: int) -> Capture:
    q, passes, begin = added.q[0], [], 0
    v = np.gradient(q, 0.1, axis=1)
    for item, steps in zip(capture.passes, (prepared, 39), strict=True):
        rows = {
            f"{kind}{i + 1}": part[i, begin : begin + steps] for kind, part in (("q", q), ("v", v)) for i in range(3)
        }
        traces = {name: replace(trace, values=trace.values + rows[name]) for name, trace in item.traces.items()}
        passes.append(replace(item, traces=traces))
        begin += steps
    end = capture.last.end_state
    assert end is not None
    ends = State(end.position + added.end_position, end.momentum + added.end_momentum)
    passes[-1] = replace(passes[-1], end_state=ends)
    return replace(capture, passes=tuple(passes))


@pytest.mark.parametrize("estimator", [Estimator.SYMMETRIC, Estimator.ONE_SIDED])
def test_gains_of_a_linear_rig_are_found_and_taken_off_of_positions_velocities_and_ends(estimator: Estimator) -> None:
    gains = 0.01 * np.random.default_rng(4).normal(size=(2, 2, 4))  # of f1, f2, f3 and u1
    plan, batch, steady, moved = shaken(gains, estimator)
    drives = plan.drives(batch.passes)
    levels = plan.order.of(tuple(plan.estimator.weights))
    for place in range(2):
        own = moved[2 * place : 2 * place + 2]
        shots = _Shots(plan, batch.passes[place], drives[place], own[0])
        assert np.allclose(shots.deviations(own, levels), gains[place], atol=2e-4)
    found, deviation = at_common_gains(plan, batch.passes, drives, moved, EPS)
    assert deviation == pytest.approx(np.sqrt(np.mean(np.var(gains, axis=1, ddof=1))), rel=0.02)
    for one, before, other in zip(found, moved, steady, strict=True):
        for name, trace in one.last.traces.items():
            off, was = (
                item - other.last.traces[name].values for item in (trace.values, before.last.traces[name].values)
            )
            assert np.abs(off[:, 1:-1]).max() < 0.05 * np.abs(was).max()
        assert one.last.end_state is not None and other.last.end_state is not None and before.last.end_state is not None
        for part in ("position", "momentum"):
            ends = [getattr(item.last.end_state, part) for item in (one, before, other)]
            assert np.abs(ends[0] - ends[2]).max() < 0.05 * np.abs(ends[1] - ends[2]).max()
        assert one.passes[:-1] == before.passes[:-1]


def test_what_the_ports_of_a_shot_push_together_takes_the_model_along_its_path_and_nudges_it() -> None:
    plan, batch, steady, _ = shaken(np.zeros((2, 2, 4)), Estimator.SYMMETRIC)
    for number, level in ((0, 1), (1, -1), (2, 1), (3, -1)):
        item, drive = batch.passes[number // 2], plan.drives(batch.passes)[number // 2]
        shots = _Shots(plan, item, drive, steady[number])
        ran = respond_to(shots._ports.sum(axis=0))
        nudged = np.zeros_like(drive.path)
        nudged[:, drive.prepared :] = level * EPS / 0.1 * item.error[:, ::-1]
        answer = respond_to(nudged)
        assert np.allclose(ran.q[0] - answer.q[0], drive.path, atol=1e-9)
        deviating, common = shots.moved(level * EPS, np.array([0.0, 0.0, 0.0, 0.02]))
        assert np.allclose(common.q[0] - answer.q[0], drive.path, atol=1e-9)
        assert np.allclose(deviating.q - common.q, respond_to(0.02 * shots._ports[3]).q, atol=1e-9)


def test_a_gain_is_shrunk_by_what_is_known_of_generators_where_readings_say_little() -> None:
    """Of a slope s and a reading y the likeliest gain is s y/(s^2 + 1/0.05^2)."""
    for size in (0.5, 20.0, 1e4):
        slopes = np.zeros((2, 1, 5))
        slopes[0, 0, 1], slopes[1, 0, 3] = size, -size
        seen = np.zeros((3, 1, 5))
        seen[:, 0, 1], seen[:, 0, 3] = [1.0, 2.0, 3.0], [0.0, 1.0, 0.0]
        found = _gains(slopes, seen)
        assert np.allclose(found, size / (size**2 + 400) * np.array([[1.0, 0.0], [2.0, -1.0], [3.0, 0.0]]))
