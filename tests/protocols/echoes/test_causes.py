"""A warning names what causes a miss, from tests on the readings at hand, and says how much of it that is."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from benchmarks.honesty import CALLED, NAMES, SEEDED, Sizes, named, undeclared_rig
from benchmarks.odd_rigs import odd
from labrhel.executor import execute
from labrhel.learning.estimator import Estimator, Order
from labrhel.rig.capabilities import Converter, Reversal
from protocols.echoes.blocks import Block
from protocols.echoes.causes import (
    Cause,
    _answers,
    _explained,
    _Explanations,
    _Forces,
    _LowPass,
    _random,
    _seen,
    _steps,
    _white,
    cause_of_miss,
)  # fmt: skip
from protocols.echoes.measurement import Measurement
from protocols.echoes.plan import EchoPlan
from protocols.inference.record import low_pass
from protocols.rhel import RHEL
from simbackend.imperfections import HiddenFriction, Imperfections
from simbackend.imperfections.mismatch import Mismatch
from simbackend.imperfections.noise import ForceNoise
from simbackend.rigs.reference import ReferenceTask
from simbackend.testing.small_rig import small_rig


@pytest.mark.parametrize("drag", [0.1, 0.15])
def test_drag_is_not_called_friction_where_it_stops_most_of_the_motion(drag: float) -> None:
    rig = odd(undeclared_rig(1, {}), drag, 0.0, Imperfections(seed=1, mismatch=Mismatch(0.1)))
    run = Measurement(RHEL(response=0.01), rig.request(NAMES))
    execute(run.first_block(), rig.handler())
    assert run.blocks[0].retrace_error > 0.5
    assert cause_of_miss(run.plan, run.blocks).name == "drag"


@pytest.mark.parametrize("seed", [1, 2])
def test_noise_that_nobody_declared_hides_no_springs_that_are_other_ones(seed: int) -> None:
    """With those of the model the miss by friction looks like a delay, or like nothing."""
    wrong = {"mismatch": Mismatch(0.1), "friction": HiddenFriction(uniform=0.02), "noise": 3e-3}
    rig = undeclared_rig(seed, wrong)
    run = Measurement(RHEL(response=0.01), rig.request(NAMES))
    execute(run.first_block(), rig.handler())
    found = cause_of_miss(run.plan, run.blocks)
    assert found.name == "friction" and found.share > 0.9


@pytest.mark.parametrize(("mismatch", "fitted"), [(0.0, False), (0.1, True)])
def test_springs_are_fitted_only_where_the_model_does_not_run_along_the_record(
    mismatch: float, *, fitted: bool
) -> None:
    """On a rig that misses in every step, a fit each time takes longer than the shots."""
    rig = undeclared_rig(1, {"mismatch": Mismatch(mismatch), "friction": HiddenFriction(uniform=0.002)})
    run = Measurement(RHEL(response=0.01), rig.request(NAMES))
    execute(run.first_block(), rig.handler())
    seen = _seen(run.plan, run.blocks[0].batch.passes)
    assert all(np.array_equal(seen[name], value) for name, value in run.plan.theta.items()) is not fitted


def test_a_rig_that_flips_nothing_is_told_what_its_start_is_prepared_by() -> None:
    rig = undeclared_rig(0, {"mismatch": Mismatch(0.1)}).declaring(reversals=frozenset({Reversal.BY_DRIVE}))
    found = rig.gradient(RHEL(response=0.01), NAMES)
    (words,) = [words for words in found.warnings if "misses the forward path" in words]
    assert "a start that what it is prepared by gets wrong" in words and "flip" not in words


@pytest.mark.parametrize("name", SEEDED)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_seeded_cause_is_named(name: str, seed: int) -> None:
    assert named(seed, name) == CALLED.get(name, name)


def test_forces_that_move_the_echoes_apart_are_not_called_jitter_for_it() -> None:
    """They bend the motion as a strong nudge does; after that gains of one shot explain next to nothing."""
    rig = undeclared_rig(9, {"force": ForceNoise(1e-2, 0.0)})
    run, handler = Measurement(RHEL(response=0.1), rig.request(NAMES)), rig.handler()
    execute(run.first_block(), handler)
    for _ in range(2):
        execute(run.another_block(), handler)
    assert cause_of_miss(run.plan, run.blocks).name in ("noisy", "nudge")  # which is strong here


def test_what_no_hypothesis_explains_is_said_not_to_be_known() -> None:
    assert "is not known: labrhel audit" in str(Cause("friction", 0.4))
    assert str(Cause("friction", 0.93)).startswith("93 % of that is friction")


def test_a_gradient_names_the_cause_in_its_warning() -> None:
    found = undeclared_rig(0, {"friction": HiddenFriction(uniform=0.02)}).gradient(RHEL(response=0.01), NAMES)
    assert any("of that is friction that the model does not have" in words for words in found.warnings)


# -- what is white, what is different in each repeat, what is a grid ---------------------------------------------------


@cache
def measured(cubic: float = 0.3) -> Measurement:
    """The small rig, whose second oscillator no input pushes alone."""
    rig = small_rig(cubic=cubic)
    run = Measurement(RHEL(eps=1e-2), rig.request(("stiffness",)))
    execute(run.first_block(), rig.handler())
    return run


def with_miss(*miss: np.ndarray) -> Block:
    (block,) = measured().blocks
    return replace(block, reading=replace(block.reading, miss=miss))


def test_white_noise_is_all_white_and_a_smooth_miss_is_not() -> None:
    random, time = np.random.default_rng(0), np.arange(2000)
    noise = random.normal(size=(3, 2000))
    assert _white(noise) == pytest.approx(np.sum(noise**2), rel=0.05)
    assert _white(np.sin(time / 6)[None]) < 0.5**12 * 1000  # six kicks a radian
    assert _white(time[None, :50] ** 5) == pytest.approx(0.0, abs=1e-6)  # a sixth difference of a fifth power
    # Of +1, -1, +1, ... the sixth difference is 64 everywhere.
    assert _white(np.array([[1.0, -1.0] * 20])) == pytest.approx(64**2 / 924 * 40)


def test_a_miss_of_twelve_kicks_is_too_short_to_be_called_white() -> None:
    assert _white(np.array([[1.0, -1.0] * 6])) == 0.0
    assert _white(np.array([[1.0, -1.0] * 6 + [1.0]])) == pytest.approx(64**2 / 924 * 13)


def test_what_is_different_in_each_block_is_its_variance_summed() -> None:
    one, other = with_miss(np.full((3, 4), 1.0), np.zeros((3, 5))), with_miss(np.full((3, 4), 3.0), np.zeros((3, 5)))
    assert _random([one]) == 0.0
    assert _random([one, one]) == 0.0
    assert _random([one, other]) == pytest.approx(12 * 2.0)  # of 1 and 3 the variance is 2
    assert _random([one, one, other]) == pytest.approx(12 * 4 / 3)


def steps(*rows: Any, declared: float = 0.0) -> np.ndarray:
    """Of a pass with these positions, on a rig of so many oscillators."""
    run = measured()
    q = np.stack([np.asarray(row, float) for row in rows])
    item = replace(run.blocks[0].batch.passes[0], q=q)
    plan = run.plan
    if declared:
        first, second, *others = plan.task.capabilities.channels
        ranges = [Converter(8, -span / 2, span / 2) for span in (255 * declared, 127 * declared)]
        channels = (replace(first, converter=ranges[0]), replace(second, converter=ranges[1]), *others)
        plan = replace(plan, task=replace(plan.task, capabilities=replace(plan.task.capabilities, channels=channels)))
    return _steps(plan, [item])


FREE = np.random.default_rng(3).normal(size=40)
GRID = 0.05 * np.array([0, 2, 5, 6, 5, 2, 0, -3] * 5)


def test_positions_on_a_grid_show_its_step_whatever_their_size() -> None:
    assert np.allclose(steps(GRID, FREE, 0 * FREE), [0.05, 0.0, 0.0])
    for size in (1e-6, 1e6):
        assert np.allclose(steps(FREE, size * GRID, size * GRID), [0.0, 0.05 * size, 0.05 * size], rtol=1e-9)


def test_readings_that_differ_by_rounding_are_one_value_of_a_grid() -> None:
    assert np.allclose(steps(GRID + 1e-12 * FREE, FREE, FREE)[0], 0.0)  # all different: no two come twice
    halves = np.concatenate([GRID[:20], GRID[:20] + 1e-12])
    assert np.allclose(steps(halves, FREE, FREE)[0], 0.05)


def test_values_that_come_again_without_a_grid_or_on_one_that_is_never_seen_twice_have_no_step() -> None:
    assert not steps(np.tile(FREE[:10], 4), FREE, FREE).any()
    assert not steps(0.05 * np.arange(40), FREE, FREE).any()
    # Four fifths of the readings may be different ones.
    for distinct, step in ((31, 0.05), (32, 0.0)):
        assert np.allclose(steps(0.05 * np.minimum(np.arange(40), distinct - 1), FREE, FREE)[0], step)


@pytest.mark.parametrize(("off", "is_one"), [(0.0003, True), (0.0005, False)])
def test_a_grid_is_one_to_a_thousandth_of_its_step(off: float, *, is_one: bool) -> None:
    row = GRID.copy()
    row[row == row.max()] += 0.05 * off  # the least step is then 1 + off, and three of them are off by three times that
    assert bool(steps(row, FREE, FREE)[0]) is is_one


def test_where_the_record_shows_no_grid_the_coarsest_converter_that_is_declared_counts() -> None:
    assert np.allclose(steps(FREE, FREE, FREE, declared=0.01), 0.01)
    assert np.allclose(steps(GRID, FREE, FREE, declared=0.01), [0.05, 0.0, 0.0])
    assert not steps(FREE, FREE, FREE).any()


# -- forces that may be the cause --------------------------------------------------------------------------------------


def forces(run: Measurement, place: int = 1, miss: np.ndarray | None = None) -> _Forces:
    """Of a pass that missed what it did, or `miss`."""
    block = run.blocks[0]
    if miss is not None:
        missed = tuple(miss if at == place else other for at, other in enumerate(block.reading.miss))
        block = replace(block, reading=replace(block.reading, miss=missed))
    return _Forces(run.plan, block, place, lambda rows: rows)


def velocity(run: Measurement, place: int = 1) -> np.ndarray:
    """Of the echo, which runs backwards."""
    return -run.blocks[0].batch.passes[place].v[:, ::-1]


def test_columns_of_friction_make_every_symmetric_matrix_times_the_velocity() -> None:
    run, random = measured(), np.random.default_rng(1)
    root = random.normal(size=(3, 3))
    matrix = root + root.T
    entries = [matrix[i, j] for i in range(3) for j in range(i, 3)]
    columns = forces(run).friction
    assert len(columns) == 6
    made = sum(value * column for value, column in zip(entries, columns, strict=True))
    assert np.allclose(made, matrix @ velocity(run), atol=1e-12)


@pytest.mark.parametrize(("n", "columns"), [(10, 55), (11, 11)])
def test_large_rigs_are_asked_for_friction_of_each_oscillator_alone(n: int, columns: int) -> None:
    rig = undeclared_rig(0, {}, Sizes(steps=30), n=n)
    run = Measurement(RHEL(eps=1e-3), rig.request(("stiffness",)))
    execute(run.first_block(), rig.handler())
    found = forces(run, 0).friction
    assert len(found) == columns
    if n == columns:
        assert np.allclose(sum(found), velocity(run, 0))


def test_columns_of_drag_go_with_the_square_of_the_speed_and_with_its_sign() -> None:
    run = measured()
    v, columns = velocity(run), forces(run, miss=np.zeros((3, 39))).drag
    assert len(columns) == 6
    for i in range(3):
        square, sign = columns[i], columns[3 + i]
        assert np.allclose(square[i], np.abs(v[i]) * v[i])
        fast = np.abs(v[i]) > 0.1 * np.abs(v[i]).max()
        assert np.allclose(sign[i, fast], np.sign(v[i, fast]), atol=1e-3)
        assert np.allclose(sign[i], np.tanh(v[i] / (0.02 * np.abs(v[i]).max())))  # a smooth one
        assert not np.delete(square, i, axis=0).any() and not np.delete(sign, i, axis=0).any()


def test_drag_pulls_at_the_echo_as_it_was_and_not_only_as_it_should_have_been() -> None:
    run = measured()
    v, miss = velocity(run), 0.1 * np.cumsum(np.random.default_rng(2).normal(size=(3, 39)), axis=1)
    echoed = v + np.gradient(miss, 0.1, axis=1)
    for i, column in enumerate(forces(run, miss=miss).drag[:3]):
        assert np.allclose(column[i], (np.abs(v[i]) * v[i] + np.abs(echoed[i]) * echoed[i]) / 2)


def test_the_force_of_a_miss_takes_the_model_along_it() -> None:
    """M x'' + G x' + K x on the grid, of a linear rig; the last kick is that of the one before."""
    run = measured(cubic=0.0)
    model, theta = run.plan.task.model, run.plan.theta
    miss = 0.01 * np.cumsum(np.random.default_rng(2).normal(size=(3, 39)), axis=1)
    mass, friction = np.diag(model.mass(theta)), model.friction(theta)
    stiffness = np.stack([-model.force(unit, theta) for unit in np.eye(3)], axis=1)
    x = np.concatenate([miss[:, :1], miss], axis=1)  # at rest before the first kick
    after, before, now = x[:, 2:], x[:, :-2], x[:, 1:-1]
    expected = mass @ (after - 2 * now + before) / 0.01 + friction @ (after - before) / 0.2 + stiffness @ now
    needed = forces(run, miss=miss).needed
    assert np.allclose(needed[:, :-1], expected, atol=1e-9)
    assert np.array_equal(needed[:, -1], needed[:, -2])
    assert not forces(run, miss=0 * miss).needed.any()


def test_a_late_channel_shows_its_oscillator_displaced_by_its_velocity() -> None:
    run = measured()
    late = forces(run).delayed[:3]
    for i, column in enumerate(late):
        moved = np.zeros((3, 39))
        moved[i] = 1e-7 * velocity(run)[i]
        needed = forces(run, miss=moved).needed / 1e-7
        assert np.allclose(column, needed, rtol=1e-3, atol=1e-3 * np.abs(column).max())


def test_a_late_port_shows_the_slope_of_what_it_plays_and_a_jittery_one_that_itself() -> None:
    run = measured()
    found, item, drive = forces(run), run.blocks[0].batch.passes[1], run.blocks[0].drives[1]
    pushed = np.array([[1.0], [0.3], [-0.5]]) * item.u[:, ::-1]
    rows = [np.diag(unit) @ drive.echo_force for unit in np.eye(3)]
    for seen, expected in zip(found.jittered, [pushed, *rows], strict=True):
        assert np.allclose(seen, expected, atol=1e-12)
    for seen, expected in zip(found.delayed[3:], [pushed, *rows], strict=True):
        assert np.allclose(seen, np.gradient(expected, 0.1, axis=1), atol=1e-10)


def test_an_input_with_an_offset_is_told_without_it() -> None:
    rig = small_rig(input_offset=[0.4])
    run = Measurement(RHEL(eps=1e-2), rig.request(("stiffness",)))
    execute(run.first_block(), rig.handler())
    pushed = np.array([[1.0], [0.3], [-0.5]]) * run.blocks[0].batch.passes[1].u[:, ::-1]
    assert np.allclose(forces(run).played, [pushed], atol=1e-12)


def test_a_nudge_leaves_the_curvature_of_the_force_along_the_mean_echo() -> None:
    """Of a cubic force -c q^3 an answer x leaves -3 c q x^2."""
    run, random = measured(), np.random.default_rng(5)
    miss, answer = 0.1 * random.normal(size=(2, 3, 39))
    (column,) = forces(run, miss=miss).nudge(answer)
    mean = run.blocks[0].batch.passes[1].q[:, ::-1] + miss
    model, theta = run.plan.task.model, run.plan.theta
    curved = model.force(mean, theta) - model.force(mean, {**theta, "cubic": np.zeros(3)})
    assert np.allclose(column, 3 * curved / mean * (answer / mean) ** 2 * mean, atol=1e-12)
    assert np.allclose(forces(measured(cubic=0.0), miss=miss).nudge(answer)[0], 0.0, atol=1e-12)


@pytest.mark.parametrize(("estimator", "strongest"), [(Estimator.SYMMETRIC, 1), (Estimator.FOUR_POINT, 2)])
def test_an_answer_is_what_the_strongest_nudge_did_to_its_echo(estimator: Estimator, strongest: int) -> None:
    rig = small_rig(cubic=0.0)
    run = Measurement(RHEL(eps=1e-3, estimator=estimator, order=Order.ABBA), rig.request(("stiffness",)))
    execute(run.first_block(), rig.handler())
    (block,) = run.blocks
    answers = _answers(run.plan, block)
    # Of a linear rig it is the derivative times the nudge, and the first to answer is one that was nudged.
    assert np.sqrt(sum(np.sum(item**2) for item in answers)) == pytest.approx(
        strongest * np.sqrt(block.reading.response)
    )
    for item, answer in zip(block.batch.passes, answers, strict=True):
        nudged = np.flatnonzero(item.error[0, ::-1])[0]
        assert answer[0, nudged + 1] * item.error[0, ::-1][nudged] > 0


# -- how much a hypothesis explains ------------------------------------------------------------------------------------


@cache
def long_plan() -> EchoPlan:
    rig: ReferenceTask = undeclared_rig(3, {})
    return RHEL().plan(rig.task, rig.theta, ("stiffness",))


def smooth(number: int, kicks: int = 400) -> np.ndarray:
    """A slow force (4, kicks), which no low-pass changes by much."""
    random, time = np.random.default_rng(number), np.linspace(0, 2 * np.pi, kicks)
    tones = [random.normal(size=(4, 1)) * np.sin(k * time + random.uniform(0, 6, (4, 1))) for k in range(1, 5)]
    return np.sum(tones, axis=0)


def explained(phi: list[np.ndarray], columns: list[list[np.ndarray]]) -> float:
    """The share of rows of kicks, by pass, low-passed as those of an echo are."""
    plan = long_plan()
    passed = _LowPass(*low_pass(plan.task.model, plan.theta, plan.task.step))
    return _explained(
        np.concatenate([passed(item).ravel() for item in phi]), [list(passed(np.stack(part))) for part in columns]
    )


def test_what_the_columns_make_is_explained_whatever_its_size() -> None:
    columns = [smooth(1), smooth(2), 0 * smooth(1)]
    phi = 3e-5 * columns[0] - 2e-5 * columns[1]
    assert explained([phi], [columns]) == pytest.approx(1.0, abs=1e-9)
    assert explained([phi], [[*columns, columns[0]]]) == pytest.approx(1.0, abs=1e-6)  # said twice


def test_without_a_column_or_a_force_nothing_is_explained() -> None:
    assert explained([smooth(1)], [[0 * smooth(1)]]) == 0.0
    assert explained([0 * smooth(1)], [[smooth(1), smooth(2)]]) == 0.0


@pytest.mark.parametrize(("factor", "share"), [(1.0, 1.0), (2.0, 0.75), (0.8, 1 - 1 / 16)])
def test_a_single_column_is_what_the_force_should_be_and_no_multiple_of_it(factor: float, share: float) -> None:
    assert explained([factor * smooth(1)], [[smooth(1)]]) == pytest.approx(share, abs=0.01)
    # Of two columns each may have a size of its own.
    assert explained([factor * smooth(1)], [[smooth(1), smooth(2)]]) == pytest.approx(1.0, abs=1e-6)


def test_the_share_is_that_of_the_squares_over_all_passes() -> None:
    one, other = smooth(1), smooth(2)
    # The columns say the first pass and leave the second.
    found = explained([one, 2 * other], [[one, smooth(7)], [0 * other, 0 * other]])
    sizes = np.sum(one**2), np.sum((2 * other) ** 2)
    assert found == pytest.approx(sizes[0] / sum(sizes), abs=0.02)


def test_what_as_many_random_columns_would_explain_is_taken_off() -> None:
    """The adjusted coefficient of determination 1 - (1 - R^2) N/(N - m) of N samples and m columns, both low-passed."""
    width, edge = low_pass(long_plan().task.model, long_plan().theta, 0.1)
    phi, *columns = np.random.default_rng(8).normal(size=(31, 4, 400))
    rows = [gaussian_filter1d(item, width)[:, edge:-edge][:, :: int(width)].ravel() for item in (phi, *columns)]
    left = np.linalg.lstsq(np.stack(rows[1:], axis=1), rows[0], rcond=None)[1][0] / np.sum(rows[0] ** 2)
    samples = len(rows[0])
    expected = 1 - left * samples / (samples - 30)
    assert 0 < expected < 0.8 * (1 - left)
    assert explained([phi], [columns]) == pytest.approx(expected, rel=1e-6)


def test_columns_that_explain_less_than_random_ones_explain_nothing() -> None:
    assert explained([smooth(1)], [list(np.random.default_rng(0).normal(size=(3, 4, 400)))]) < 0.02


def test_the_ends_of_a_pass_are_left_out_where_it_is_long_enough() -> None:
    _, edge = low_pass(long_plan().task.model, long_plan().theta, 0.1)
    for kicks, is_long in ((3 * edge + 1, True), (3 * edge, False)):
        phi, columns = smooth(1, kicks), [smooth(1, kicks), smooth(2, kicks)]
        spoilt = phi.copy()
        spoilt[:, 0] += 100.0
        found = explained([spoilt], [columns])
        assert (found > 0.999) is is_long


# -- the cause ---------------------------------------------------------------------------------------------------------


@cache
def long_run() -> Measurement:
    rig = undeclared_rig(3, {})
    run = Measurement(RHEL(eps=1e-3), rig.request(NAMES))
    execute(run.first_block(), rig.handler())
    return run


def missing(*misses: np.ndarray, grid: float = 0.0, **fields: Any) -> Cause:
    """The cause of blocks with these misses (4, 400), of a record on a grid if it has a step."""
    run = long_run()
    (block,) = run.blocks
    if grid:
        passes = tuple(replace(item, q=grid * np.round(item.q / grid)) for item in block.batch.passes)
        block = replace(block, batch=replace(block.batch, passes=passes))
    every = [replace(block, reading=replace(block.reading, miss=(miss,)), **fields) for miss in misses]
    return cause_of_miss(run.plan, every)


def test_readings_that_clip_anywhere_are_the_cause_whatever_else_is() -> None:
    run = long_run()
    (block,) = run.blocks
    assert missing(smooth(1), clipped={"q1": 3}) == Cause("clipped", 1.0)
    assert missing(smooth(1), batch=replace(block.batch, clipped={"q1": 3})) == Cause("clipped", 1.0)
    assert cause_of_miss(run.plan, [block, replace(block, clipped={"q1": 1})]) == Cause("clipped", 1.0)


def test_rounding_explains_three_halves_of_a_twelfth_of_a_step_squared_for_each_reading() -> None:
    lsb = 0.125
    expected = 1.5 * 4 * 400 * lsb**2 / 12
    miss = smooth(1)
    for share in (0.6, 0.9):
        found = missing(np.sqrt(expected / share / np.sum(miss**2)) * miss, grid=lsb)
        assert found.name == "quantised" and found.share == pytest.approx(share)
    assert missing(np.sqrt(expected / 3 / np.sum(miss**2)) * miss, grid=lsb) == Cause("quantised", 1.0)
    # The mean of what the blocks missed counts.
    two = [np.sqrt(2 * part * expected / 0.6 / np.sum(miss**2)) * miss for part in (0.3, 0.7)]
    assert missing(*two, grid=lsb).share == pytest.approx(0.6)


def test_white_readings_beyond_their_rounding_are_noise() -> None:
    miss = 0.1 * np.random.default_rng(4).normal(size=(4, 400)) + 0.05 * smooth(1)
    share = _white(miss) / np.sum(miss**2)
    assert 0.6 < share < 0.9
    found = missing(miss)
    assert found.name == "noisy" and found.share == pytest.approx(share)
    # Of which a tenth is rounding.
    part = missing(miss, grid=np.sqrt(np.sum(miss**2) / 10 * 12 / 1.5 / 1600))
    assert part.name == "noisy" and part.share == pytest.approx(share - 0.1)


def test_a_smooth_force_that_is_another_one_in_each_repeat_is_noise() -> None:
    shaken = [0.05 * smooth(number) for number in (11, 12, 13)]
    found = missing(*shaken)
    assert found.name == "noisy" and found.share > 0.6
    assert missing(shaken[0], shaken[0], shaken[0]).name != "noisy"


def test_a_pass_of_few_kicks_is_not_explained_by_forces() -> None:
    run = measured()
    (block,) = run.blocks

    def cut(kicks: int) -> Cause:
        passes = tuple(replace(item, q=item.q[:, :kicks], v=item.v[:, :kicks]) for item in block.batch.passes)
        miss = tuple(0.1 * np.ones((3, kicks)) for _ in passes)
        reading = replace(block.reading, miss=miss)
        return cause_of_miss(run.plan, [replace(block, batch=replace(block.batch, passes=passes), reading=reading)])

    found = cut(15)
    assert found.share == 0.0 and not found.is_known


def test_a_pass_of_few_kicks_that_is_another_one_in_each_repeat_is_noise() -> None:
    run = measured()
    (block,) = run.blocks
    passes = tuple(replace(item, q=item.q[:, :10], v=item.v[:, :10]) for item in block.batch.passes)
    batch = replace(block.batch, passes=passes)
    misses = [tuple(size * np.ones((3, 10)) for _ in passes) for size in (0.1, -0.1)]
    made = [replace(block, batch=batch, reading=replace(block.reading, miss=miss)) for miss in misses]
    assert cause_of_miss(run.plan, made) == Cause("noisy", 1.0)


def test_white_noise_that_happens_to_be_whiter_than_white_is_all_of_it() -> None:
    assert missing(0.1 * np.random.default_rng(4).normal(size=(4, 400))) == Cause("noisy", 1.0)


def declaring(share: float, miss: np.ndarray) -> EchoPlan:
    """The plan of a rig whose channels declare converters that explain so much of a miss."""
    plan = long_run().plan
    lsb = np.sqrt(share * np.sum(miss**2) * 12 / 1.5 / 1600)
    channels = tuple(
        replace(channel, converter=Converter(8, -127.5 * lsb, 127.5 * lsb))
        for channel in plan.task.capabilities.channels
    )
    return replace(plan, task=replace(plan.task, capabilities=replace(plan.task.capabilities, channels=channels)))


def blocks_with(*misses: np.ndarray) -> list[Block]:
    (block,) = long_run().blocks
    return [replace(block, reading=replace(block.reading, miss=(miss,))) for miss in misses]


def late() -> np.ndarray:
    """What channels miss that are all late by a fifth of a kick."""
    return -0.02 * long_run().blocks[0].batch.passes[0].v[:, ::-1]


def test_a_hypothesis_explains_its_share_of_what_neither_noise_nor_rounding_do() -> None:
    alone = cause_of_miss(long_run().plan, blocks_with(late()))
    assert alone.share > 0.6
    beside = cause_of_miss(declaring(0.3, late()), blocks_with(late()))
    assert beside.name == alone.name and beside.share == pytest.approx(0.7 * alone.share, rel=1e-6)


@pytest.mark.parametrize(
    ("share", "rounded", "differs"),
    [(0.2, 0.0, False), (0.3, 0.0, True), (0.27 + 0.3, 0.3, True), (0.13 + 0.3, 0.3, False)],
)
def test_what_is_different_in_each_repeat_is_told_from_a_quarter_of_the_rest_on(
    share: float, rounded: float, *, differs: bool
) -> None:
    """Three blocks that miss by b + d, b - d and b: the variance is d^2, the mean square b^2 + 2/3 d^2."""
    base, other = late(), smooth(3)
    other -= base * np.sum(other * base) / np.sum(base**2)
    other *= np.sqrt(share / (1 - 2 / 3 * share) * np.sum(base**2) / np.sum(other**2))
    misses = base + other, base - other, base
    total = np.mean([np.sum(miss**2) for miss in misses])
    assert np.sum(other**2) == pytest.approx(share * total)
    plan = declaring(rounded * total / np.sum(base**2), base) if rounded else long_run().plan
    found = cause_of_miss(plan, [blocks_with(miss)[0] for miss in (base, *misses[:2])])
    assert (found.name in ("noisy", "jittered")) is differs


def test_a_flip_is_what_the_first_three_kicks_say_and_the_others_share_the_rest() -> None:
    run = measured()
    block = with_miss(
        *(0.02 * np.cumsum(np.random.default_rng(place).normal(size=(3, 39)), axis=1) for place in (0, 1))
    )
    phi = [forces(run, place, block.reading.miss[place]).needed for place in range(2)]
    first = sum(np.sum(item[:, :3] ** 2) for item in phi) / sum(np.sum(item**2) for item in phi)
    found = _Explanations(run.plan, block).shares()
    assert found["flip"] == pytest.approx(first) and 0.02 < first < 0.98
    passed = _LowPass(*low_pass(run.plan.task.model, run.plan.theta, 0.1))
    columns = [[passed(row) for row in forces(run, place).friction] for place in range(2)]
    friction = _explained(np.concatenate([passed(item).ravel() for item in phi]), columns)
    assert found["friction"] == pytest.approx((1 - first) * friction)
    assert set(found) == {"flip", "friction", "drag", "delayed", "jittered", "nudge"}
