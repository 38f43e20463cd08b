"""How echoes are planned: which parameters are read where, what is played, in which order, and how strongly."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labrhel.errors import ConfigurationError
from labrhel.executor import execute
from labrhel.learning.estimator import Estimator, Order
from labrhel.learning.gradient import NudgeRecord
from labrhel.rig.capabilities import Converter, Kind, Reversal
from labrhel.shots.capture import Capture, PassCapture, Trace
from labrhel.shots.operations import Protocol, RunShots
from labrhel.shots.program import GivenState, Role
from protocols.echoes.plan import _EXACT, EchoPlan, Wanted, first_eps, reached, representable
from protocols.forward.forward import ForwardBatch, read_forward
from protocols.inference.inverse_dynamics import InverseDynamics
from protocols.rhel import RHEL
from simbackend.rigs.partly_read import showing
from simbackend.rigs.reference import ReferenceTask
from simbackend.testing.small_rig import FRICTION, small_rig

BY_DRIVE = frozenset({Reversal.BY_DRIVE})


def plan_of(rig: ReferenceTask, *names: str, **options: Any) -> EchoPlan:
    return RHEL(**options).plan(rig.task, rig.theta, names or ("stiffness",))


def forward(rig: ReferenceTask, plan: EchoPlan) -> ForwardBatch:
    def protocol() -> Protocol[ForwardBatch]:
        programs = tuple(rig.task.forward(item, rig.theta, plan.geometry.channels, keep=True) for item in rig.sequences)
        captures = yield RunShots(programs)
        return read_forward(rig.task, plan.geometry, rig.sequences, captures, rig.theta)

    return execute(protocol(), rig.handler())


# -- which parameters are read where -----------------------------------------------------------------------------------


def test_parameters_are_sorted_by_where_their_gradient_is_read() -> None:
    rig = small_rig().declaring(accumulates=frozenset({"stiffness", "input"}))
    names = ("mass", "readout", "input", "friction", "initial_position", "stiffness", "initial_momentum", "coupling")
    wanted = Wanted.of(rig.task, names, rig.theta, driven=True)
    assert wanted.summed == ("input", "stiffness")
    assert wanted.traced == ("mass", "coupling")
    assert wanted.friction == ("friction",)
    assert wanted.state == ("initial_position", "initial_momentum")
    assert wanted.direct == ("readout",)


@pytest.mark.parametrize(
    ("names", "driven", "momentum", "drags"),
    [
        (("mass",), True, [0.0, 0.1, 0.0], True),
        (("mass",), False, [0.0, 0.1, 0.0], False),
        (("mass",), True, [0.0, 0.0, 0.0], False),
        (("stiffness",), True, [0.0, 0.1, 0.0], False),
    ],
)
def test_a_mass_drags_where_the_echo_is_driven_and_the_pass_began_in_motion(
    names: tuple[str, ...],
    driven: bool,  # noqa: FBT001
    momentum: list[float],
    drags: bool,  # noqa: FBT001
) -> None:
    rig = small_rig()
    theta = {**rig.theta, "initial_momentum": np.array(momentum)}
    assert Wanted.of(rig.task, names, theta, driven=driven).drags_mass is drags


def test_a_parameter_that_nobody_has_is_refused() -> None:
    rig = small_rig()
    with pytest.raises(ConfigurationError, match="there is no parameter 'masses' to differentiate by"):
        Wanted.of(rig.task, ("mass", "masses"), rig.theta, driven=True)


# -- programs ----------------------------------------------------------------------------------------------------------


def played(rig: ReferenceTask, drives: Any, role: Role) -> dict[str, np.ndarray]:
    return {item.port: item.waveform.on_grid(rig.task.step, 39) for item in drives if item.role is role}


def test_an_echo_plays_the_input_backwards_the_error_as_a_force_and_what_friction_took() -> None:
    rig = small_rig()
    plan = plan_of(rig, estimator=Estimator.FOUR_POINT, order=Order.ABBA)
    batch = forward(rig, plan)
    programs = plan.programs(batch.passes, plan.drives(batch.passes), 0.01)
    levels = [1, -1, 2, -2, -2, 2, -1, 1]
    assert len(programs) == 2 * len(levels)
    for place, item in enumerate(batch.passes):
        for level, program in zip(levels, programs[8 * place : 8 * place + 8], strict=True):
            first, echo = program.passes
            assert first == item.program.passes[0] and first.keep and not first.acquire.reads
            assert echo.echo and echo.steps == 39 and echo.acquire.channels == plan.geometry.channels
            inputs = played(rig, echo.drives, Role.INPUT)
            assert np.allclose(inputs["u1"], item.u[0, ::-1], atol=1e-12)
            nudge = played(rig, echo.drives, Role.NUDGE)
            assert set(nudge) == {"f1", "f3"}  # the oscillators that are read out
            for port, row in (("f1", 0), ("f3", 2)):
                assert np.allclose(nudge[port], level * 0.01 / 0.1 * item.error[row, ::-1])
            given = np.stack([played(rig, echo.drives, Role.COMPENSATION)[f"f{i}"] for i in (1, 2, 3)])
            assert np.allclose(given, -2 * FRICTION @ item.v[:, ::-1])


def test_echoes_that_nothing_nudges_are_one_a_sequence_and_play_no_nudge() -> None:
    rig = small_rig()
    plan = plan_of(rig)
    batch = forward(rig, plan)
    still = plan.still_programs(batch.passes, plan.drives(batch.passes))
    assert len(still) == 2
    assert all(not played(rig, program.passes[1].drives, Role.NUDGE) for program in still)


@pytest.mark.parametrize(
    ("names", "reads"), [(("stiffness",), False), (("initial_position",), True), (("mass",), True)]
)
def test_the_end_of_an_echo_is_read_where_a_parameter_needs_it(names: tuple[str, ...], reads: bool) -> None:  # noqa: FBT001
    rig = small_rig()
    plan = plan_of(rig, *names)
    batch = forward(rig, plan)
    for program in plan.programs(batch.passes, plan.drives(batch.passes), 0.01):
        assert program.passes[1].acquire.end_state is reads


@pytest.mark.parametrize("lock", [0, 3])
def test_an_echo_by_drive_begins_at_rest_with_a_preparation_that_is_read_for_the_lock_alone(lock: int) -> None:
    rig = small_rig().declaring(reversals=BY_DRIVE)
    plan = plan_of(rig, lock=lock)
    batch = forward(rig, plan)
    drives = plan.drives(batch.passes)
    for item, drive, program in zip(batch.passes, drives, plan.still_programs(batch.passes, drives), strict=True):
        first, echo = program.passes
        assert first.steps == drive.prepared > 0 and not echo.echo and echo.steps == 39
        assert first.acquire.channels == (plan.geometry.channels if lock else ())
        rows = {part.port: part.waveform.on_grid(0.1, first.steps) for part in first.drives}
        assert all(part.role is Role.PREPARATION for part in first.drives)
        pilot = np.zeros(first.steps)
        if lock:
            # Half of what the echo begins with, mirrored at its beginning and grown from nothing.
            length = min(39, first.steps)
            pilot[first.steps - length :] = 0.5 * item.u[0, 39 - length :]
            pilot *= np.linspace(0, 1, first.steps)
            assert np.allclose(rows["u1"], pilot)
        else:
            assert "u1" not in rows
        forces = np.stack([rows[f"f{i}"] for i in (1, 2, 3)])
        pushed = np.array([[1.0], [0.3], [-0.5]]) * pilot
        assert np.allclose(forces + pushed, drive.preparation_force, atol=1e-9)


@pytest.mark.parametrize("kicks", [20, 39, 60])
def test_a_pilot_is_half_of_what_the_echo_begins_with_mirrored_at_its_beginning_and_grown_from_nothing(
    kicks: int,
) -> None:
    rig = small_rig()
    plan = plan_of(rig)
    item = forward(rig, plan).passes[1]
    before = np.zeros(kicks)
    for back in range(1, min(kicks, 39) + 1):  # so many kicks before the echo, it plays what the echo plays after
        before[-back] = 0.5 * item.u[0, 39 - back]
    found = plan._pilot(item, kicks)
    assert np.allclose(found, before * np.linspace(0, 1, kicks)) and found.shape == (1, kicks)


# -- captures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(Order))
def test_captures_are_sorted_by_sequence_turn_and_level(order: Order) -> None:
    plan = plan_of(small_rig(), order=order)
    levels = order.of((1, -1))
    captures = [Capture((place, level), (), 1) for place in range(2) for level in levels]  # type: ignore[arg-type]
    turns = plan.turns(captures)
    assert [len(found) for found in turns] == [len(levels) // 2] * 2
    for place, found in enumerate(turns):
        for turn in found:
            assert sorted(turn) == [-1, 1]
            assert all(capture.shot == (place, level) for level, capture in turn.items())


def echoes(rig: ReferenceTask, plan: EchoPlan, batch: ForwardBatch, eps: float) -> list[Capture]:
    def protocol() -> Protocol[list[Capture]]:
        return (yield RunShots(plan.programs(batch.passes, plan.drives(batch.passes), eps)))

    return execute(protocol(), rig.handler())


def test_the_achieved_nudge_is_that_asked_for_where_nothing_rounds_it() -> None:
    rig = small_rig()
    plan = plan_of(rig, order=Order.ABBA)
    batch = forward(rig, plan)
    assert plan.achieved_scale(batch.passes, echoes(rig, plan, batch, 0.01), 0.01) == pytest.approx(1.0)
    assert plan.achieved_scale(batch.passes, echoes(rig, plan, batch, 0.02), 0.01) == pytest.approx(2.0)


def test_the_achieved_nudge_of_a_coarse_converter_is_its_projection_on_the_error() -> None:
    rig = small_rig()
    ports = tuple(
        replace(port, converter=Converter(8, -1.0, 1.0)) if port.kind is Kind.FORCE else port
        for port in rig.task.capabilities.ports
    )
    coarse = rig.declaring(ports=ports)
    plan = plan_of(coarse)
    batch = forward(coarse, plan)
    captures = echoes(coarse, plan, batch, 0.02)
    overlap = norm = 0.0
    for place, item in enumerate(batch.passes):
        up, down = captures[2 * place : 2 * place + 2]
        forces = [np.stack([shot.shot.achieved(f"f{i}") for i in (1, 2, 3)]) for shot in (up, down)]
        asked = item.error[:, ::-1] / 0.1
        overlap += float(np.sum((forces[0] - forces[1]) / (2 * 0.02) * asked))
        norm += float(np.sum(asked**2))
    found = plan.achieved_scale(batch.passes, captures, 0.02)
    assert found == pytest.approx(overlap / norm)
    assert found != pytest.approx(1.0, abs=1e-6)
    # What is left beside the error is orthogonal to it, and told by its size.
    nudges = plan.achieved(batch.passes, captures, 0.02)
    beside = []
    for place, item in enumerate(batch.passes):
        up, down = (
            np.stack([shot.shot.achieved(f"f{i}") for i in (1, 2, 3)]) for shot in captures[2 * place : 2 * place + 2]
        )
        beside.append((up - down) / (2 * 0.02) * 0.1 / found - item.error[:, ::-1])
        assert np.allclose(nudges.added[place], beside[-1], atol=1e-12)
    errors = [item.error for item in batch.passes]
    sizes = [np.linalg.norm(np.concatenate([np.ravel(part) for part in parts])) for parts in (beside, errors)]
    assert nudges.distortion == pytest.approx(sizes[0] / sizes[1]) and nudges.distortion > 1e-3


def test_where_nothing_of_the_nudge_arrived_or_all_of_it_backwards_the_one_asked_for_is_believed() -> None:
    rig = small_rig()
    plan = plan_of(rig)
    batch = forward(rig, plan)
    captures = echoes(rig, plan, batch, 0.01)
    swapped = [captures[place] for place in (1, 0, 3, 2)]
    equal = [captures[place] for place in (0, 0, 2, 2)]
    assert plan.achieved_scale(batch.passes, swapped, 0.01) == 1.0
    assert plan.achieved_scale(batch.passes, equal, 0.01) == 1.0
    half = [captures[place] for place in (0, 1, 2, 2)]
    norms = [float(np.sum(item.error**2)) for item in batch.passes]
    assert plan.achieved_scale(batch.passes, half, 0.01) == pytest.approx(norms[0] / sum(norms))


def test_a_reading_averages_turns_and_sums_responses_and_misses() -> None:
    rig = small_rig(1e-3)
    once, thrice = plan_of(rig, "stiffness", "friction"), plan_of(rig, "stiffness", "friction", order=Order.ABBA)
    batch = forward(rig, once)
    captures = echoes(rig, thrice, batch, 0.05)
    whole = thrice.read(batch.passes, captures, 0.05)
    first = [captures[0], captures[1], captures[4], captures[5]]
    second = [captures[3], captures[2], captures[7], captures[6]]
    halves = [once.read(batch.passes, part, 0.05) for part in (first, second)]
    for name in ("stiffness", "friction"):
        assert np.allclose(whole.terms[name], (halves[0].terms[name] + halves[1].terms[name]) / 2)
    for place in range(2):
        assert np.allclose(whole.miss[place], (halves[0].miss[place] + halves[1].miss[place]) / 2)
    assert whole.missed == pytest.approx(sum(float(np.sum(item**2)) for item in whole.miss))
    assert 0 < whole.response < (halves[0].response + halves[1].response) / 2 * 1.01


# -- strength ----------------------------------------------------------------------------------------------------------


def test_a_nudge_follows_the_last_one_in_proportion() -> None:
    rig = small_rig()
    batch = forward(rig, plan_of(rig))
    last = NudgeRecord(0.02, 0.004)
    assert first_eps(rig.task, batch, rig.theta, 0.01, last) == pytest.approx(0.05)


@pytest.mark.parametrize("previous", [None, NudgeRecord(0.02, 0.0)])
def test_a_first_nudge_balances_the_momentum_of_the_slowest_kick(previous: NudgeRecord | None) -> None:
    rig = small_rig()
    batch = forward(rig, plan_of(rig))
    impulse = max(np.sqrt(np.mean(item.error**2)) for item in batch.passes)
    moved = max(np.sqrt(np.mean(item.q**2)) for item in batch.passes)
    fastest = rig.model.largest_step(rig.theta)
    assert fastest < 3.9
    expected = 0.1 * 0.01 * moved * (1.0 + 0.7 + 1.3) / 3 / fastest / impulse
    assert first_eps(rig.task, batch, rig.theta, 0.01, previous) == pytest.approx(expected)
    free = {**rig.theta, "stiffness": np.zeros(3), "coupling": np.zeros(3), "cubic": np.zeros(3)}
    slow = 0.1 * 0.01 * moved * (1.0 + 0.7 + 1.3) / 3 / 3.9 / impulse
    assert first_eps(rig.task, batch, free, 0.01, previous) == pytest.approx(slow)


def test_of_passes_that_differ_in_length_the_longest_says_how_far_a_free_rig_goes() -> None:
    rig = small_rig()
    batch = forward(rig, plan_of(rig))
    long, short = batch.passes
    short = replace(short, q=short.q[:, :7], v=short.v[:, :7], error=short.error[:, :7])
    free = {**rig.theta, "stiffness": np.zeros(3), "coupling": np.zeros(3), "cubic": np.zeros(3)}
    for passes in ((long, short), (short, long)):
        uneven = replace(batch, passes=passes)
        impulse = max(np.sqrt(np.mean(item.error**2)) for item in passes)
        moved = max(np.sqrt(np.mean(item.q**2)) for item in passes)
        slow = 0.1 * 0.01 * moved * (1.0 + 0.7 + 1.3) / 3 / 3.9 / impulse
        assert first_eps(rig.task, uneven, free, 0.01, None) == pytest.approx(slow)


def test_without_an_error_any_nudge_does() -> None:
    rig = small_rig()
    batch = forward(rig, plan_of(rig))
    still = replace(batch, passes=tuple(replace(item, error=0 * item.error) for item in batch.passes))
    assert first_eps(rig.task, still, rig.theta, 0.01, None) == 1.0


@pytest.mark.parametrize(("eps", "near"), [(1e-300, 1e-100), (1e300, 1e100), (0.3, 0.3), (1e-100, 1e-100)])
def test_a_nudge_is_kept_where_its_square_is_a_number(eps: float, near: float) -> None:
    assert representable(eps) == near


@pytest.mark.parametrize("name", ["initial_position", "initial_momentum", "mass", "friction", "stiffness", "input"])
def test_a_parameter_that_is_asked_for_alone_has_the_gradient_that_it_has_among_all(name: str) -> None:
    rig = small_rig()
    everything = ("initial_position", "initial_momentum", "mass", "friction", "stiffness", "input")
    alone, among = (rig.gradient(RHEL(eps=1e-4), names) for names in ((name,), everything))
    assert list(alone.values) == [name]
    assert np.allclose(alone.values[name], among.values[name], rtol=1e-9, atol=1e-12)
    assert np.allclose(alone.values[name], rig.exact()[1][name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("estimator", list(Estimator))
def test_observables_from_traces_are_exact_with_every_estimator(estimator: Estimator) -> None:
    rig = small_rig(friction=np.zeros((3, 3))).declaring(accumulates=frozenset())
    eps = 1e-6 if estimator is Estimator.ONE_SIDED else 1e-3
    names = ("stiffness", "cubic", "input", "mass")
    found, exact = rig.gradient(RHEL(eps=eps, estimator=estimator), names), rig.exact()[1]
    for name in names:
        assert np.allclose(found.values[name], exact[name], rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize("size", [1.0, 1e-6])
def test_answers_are_taken_at_a_ten_thousandth_of_the_motion_where_they_are_larger(size: float) -> None:
    plan, random = plan_of(small_rig()), np.random.default_rng(3)
    mean, answer = size * random.normal(size=(2, 3, 39))

    def rms(values: np.ndarray) -> float:
        return float(np.sqrt(np.mean(values**2)))

    for part in (0.5, 0.01):
        echoes = {1: mean + part * answer, -1: mean - part * answer}
        assert plan._small_share(echoes) * part * rms(answer) == pytest.approx(1e-4 * rms(echoes[1]))
        stronger = {**echoes, 2: mean + 2 * part * answer, -2: mean - 2 * part * answer}
        assert plan._small_share(stronger) * 2 * part * rms(answer) == pytest.approx(1e-4 * rms(stronger[2]))
    assert plan._small_share({1: mean + 5e-5 * answer, -1: mean - 5e-5 * answer}) == 1.0  # they are small as they are
    assert plan._small_share({1: mean + answer, 0: mean}) == 1.0
    assert plan._small_share({1: 0 * mean, -1: 0 * mean}) == 1.0
    assert plan._small_share({1: 0 * mean, -1: mean}) == 1.0


def test_terms_that_bend_are_right_at_a_strong_nudge_also_where_an_oscillator_stands_still() -> None:
    rig = small_rig(
        cubic=0.0, coupling=[0.0, 0.2, 0.0], friction=np.diag([0.2, 0.1, 0.15]), input=[[1.0], [0.0], [-0.5]],
        initial_position=[0.4, 0.0, 0.2], initial_momentum=[0.1, 0.0, -0.1],
    ).declaring(accumulates=frozenset())  # fmt: skip
    found, exact = rig.gradient(RHEL(response=0.3), ("cubic", "stiffness")), rig.exact()[1]
    assert (found.response_ratio or 0.0) > 0.1 and found.values["cubic"][1] == 0.0
    for name, value in found.values.items():
        assert np.linalg.norm(value - exact[name]) < 1e-5 * np.linalg.norm(exact[name]), name


# -- echoes that begin in a state --------------------------------------------------------------------------------------


def test_an_echo_that_begins_in_a_state_has_the_kick_of_the_last_sample_in_its_momentum_half_a_step_on() -> None:
    rig = small_rig()
    plan = replace(plan_of(rig), starts=True)
    batch = forward(rig, plan)
    programs = iter(plan.programs(batch.passes, plan.drives(batch.passes), 0.01))
    for item in batch.passes:
        q, p = reached(rig.task, rig.theta, item)
        assert item.error[:, -1].any()
        for level in plan.order.of(tuple(plan.estimator.weights)):
            program, kick = next(programs), level * 0.01 * item.error[:, -1]
            start = program.prepare
            assert isinstance(start, GivenState)
            assert np.allclose(start.momentum.values, kick - p, atol=1e-14)
            drifted = start.position.values + 0.05 * start.momentum.values / np.array([1.0, 0.7, 1.3])
            assert np.allclose(drifted, q - 0.05 * p / np.array([1.0, 0.7, 1.3]), atol=1e-14)
            (echo,) = program.passes
            assert echo.steps == 39 and not played(rig, echo.drives, Role.NUDGE) and not echo.echo
    still = plan.still_programs(batch.passes, plan.drives(batch.passes))
    assert np.allclose(still[1].prepare.momentum.values, -reached(rig.task, rig.theta, batch.passes[1])[1])  # type: ignore[union-attr]


# -- what is not read --------------------------------------------------------------------------------------------------


def test_what_an_echo_misses_unseen_is_what_the_model_makes_of_what_is_seen_of_two_records() -> None:
    rig = small_rig(friction=np.diag([0.2, 0.0, 0.15]))
    whole, part = (replace(rig, task=replace(rig.task, capabilities=showing(rig.task.capabilities, shown)))
                   for shown in ((0, 1, 2), (0, 2)))  # fmt: skip
    plan, seen = plan_of(part, unread="smoothed"), plan_of(whole)
    path = forward(whole, seen).passes[0].q
    off = 0.01 * np.cumsum(np.random.default_rng(1).normal(size=(3, 39)), axis=1)
    there = {f"q{i + 1}": row for i, row in enumerate(path + off)}

    def missed(of: EchoPlan) -> np.ndarray:
        traces = {name: Trace(there[name][None], "", 0.0, 0.1) for name in of.geometry.channels}
        return of.missed(Capture(None, (PassCapture(traces),), 1), path)  # type: ignore[arg-type]

    assert np.allclose(missed(seen), off, atol=1e-12)
    found = missed(plan)
    assert np.allclose(found[[0, 2]], off[[0, 2]], atol=1e-12)
    told = plan.geometry.information(_EXACT * float(np.sqrt(np.mean(path**2)))) / 2
    shown = off * [[1.0], [0.0], [1.0]]
    expected, _ = InverseDynamics(rig.model, rig.theta, 0.1).completed(shown, path, told)
    assert np.allclose(found[1], expected[1], rtol=1e-9, atol=0.0) and found[1].any()


def test_readings_without_noise_are_known_to_a_small_part_of_the_motion_or_of_one() -> None:
    rig = small_rig()
    plan = plan_of(rig)
    passes = forward(rig, plan).passes
    size = np.sqrt(np.mean([np.mean(item.q**2) for item in passes]))
    assert np.array_equal(plan.information(passes), plan.geometry.information(_EXACT * float(size)))
    still = [replace(item, q=0 * item.q) for item in passes]
    assert np.array_equal(plan.information(still), plan.geometry.information(1.0))
    assert not np.array_equal(plan.information(still), plan.geometry.information(2.0))
