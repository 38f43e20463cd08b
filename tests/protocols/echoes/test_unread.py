"""What no channel shows, as the model says it: on a rig that is that model, in closed form."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from labrhel.errors import ProgramError
from labrhel.executor import execute
from protocols.echoes.measurement import Measurement
from protocols.echoes.unread import SaidByModel, _terms, _World, completed_batch, refuse_unobservable
from protocols.inference.fit import free_run
from protocols.rhel import RHEL
from protocols.twin import backwards
from simbackend.rigs.partly_read import showing
from simbackend.rigs.reference import ReferenceTask
from simbackend.testing.small_rig import small_rig

NAMES = ("stiffness", "cubic", "coupling")


@cache
def whole() -> Measurement:
    """A first block of the small rig, of which everything is read; no channel reads a state."""
    return of(small_rig(friction=np.diag([0.2, 0.0, 0.15])), RHEL(eps=1e-3))


@cache
def partly() -> Measurement:
    """The same rig without a channel at the second oscillator, which loses nothing."""
    rig = small_rig(friction=np.diag([0.2, 0.0, 0.15]))
    rig = replace(rig, task=replace(rig.task, capabilities=showing(rig.task.capabilities, (0, 2))))
    return of(rig, RHEL(eps=1e-3, unread="smoothed"))  # type: ignore[arg-type]


def of(rig: ReferenceTask, rule: RHEL) -> Measurement:
    run = Measurement(rule, rig.request(NAMES))
    execute(run.first_block(), rig.handler())
    return run


def test_what_is_not_read_is_what_the_model_does_and_what_is_read_stays() -> None:
    run = partly()
    for item, there in zip(run.blocks[0].batch.passes, whole().blocks[0].batch.passes, strict=True):
        assert np.allclose(item.q, there.q, atol=1e-9)
        bare = replace(item, q=item.q * [[1.0], [0.0], [1.0]], v=item.v * [[1.0], [0.0], [1.0]])
        batch = replace(run.blocks[0].batch, passes=(bare,))
        (found,) = completed_batch(run.plan, batch).passes
        assert np.array_equal(found.q[[0, 2]], item.q[[0, 2]]) and np.array_equal(found.v[[0, 2]], item.v[[0, 2]])
        assert np.allclose(found.q[1], there.q[1], atol=1e-9)
        # Differences of second order, at the ends as well.
        q = there.q[1]
        first, last = -1.5 * q[0] + 2 * q[1] - 0.5 * q[2], 1.5 * q[-1] - 2 * q[-2] + 0.5 * q[-3]
        assert np.allclose(found.v[1], np.array([first, *(q[2:] - q[:-2]) / 2, last]) / 0.1, atol=1e-7)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_pass_of_a_kick_or_two_is_completed_as_well(steps: int) -> None:
    run = partly()
    there = whole().blocks[0].batch.passes[0]
    short = replace(there, q=there.q[:, :steps] * [[1.0], [0.0], [1.0]], v=0 * there.v[:, :steps],
                    u=there.u[:, :steps], error=there.error[:, :steps])  # fmt: skip
    (found,) = completed_batch(run.plan, replace(run.blocks[0].batch, passes=(short,))).passes
    assert np.allclose(found.q[1], there.q[1, :steps], atol=1e-9)
    weights = {1: [0.0], 2: [-10.0, 10.0], 3: [-15.0, 20.0, -5.0]}[steps]
    assert found.v[1, 0] == pytest.approx(there.q[1, :steps] @ weights, abs=1e-7)


def test_a_rig_that_is_read_whole_is_left_as_it_is() -> None:
    batch = whole().blocks[0].batch
    assert completed_batch(whole().plan, batch) is batch


def test_opposite_echoes_a_little_apart_by_the_adjoint_say_the_gradient_of_the_model() -> None:
    run = whole()
    names = (*NAMES, "friction")
    plan = RHEL(eps=1e-3).plan(run.plan.task, run.plan.theta, names)
    for item in run.blocks[0].batch.passes:
        back = backwards(plan.task.model, plan.theta, item, 0.1)
        found, expected = _terms(plan, item, item.q[:, ::-1], back.response[:, ::-1]), back.gradients(names)
        assert set(found) == set(names)
        for name in names:
            assert np.allclose(found[name], expected[name], rtol=1e-6, atol=1e-6), name
        still = _terms(plan, item, item.q[:, ::-1], 0 * item.q)
        assert not any(value.any() for value in still.values())


def test_a_host_that_believes_what_the_rig_is_moves_nothing_and_one_that_does_not_only_what_is_unread() -> None:
    run = partly()
    item, nothing = run.blocks[0].batch.passes[0], np.zeros((3, 39))
    world = _World.of(run.plan, item)
    for locked in (False, True):
        same = world.moved(run.plan, run.plan.theta, nothing, nothing, locked=locked)
        assert all(np.allclose(term, 0.0, atol=1e-7) for term in same.values())
    other = {**run.plan.theta, "stiffness": np.array([1.0, 1.7, 0.8])}
    moved = world.moved(run.plan, other, nothing, nothing, locked=False)["stiffness"]
    q = item.q + [[0.0], [1.0], [0.0]] * (free_run(run.plan.task.model, other, item, 0.1).q[0] - world.model_path)
    ends = [
        backwards(run.plan.task.model, theta, replace(item, q=path), 0.1).gradients(NAMES)["stiffness"][1]
        for theta, path in ((other, q), (run.plan.theta, item.q))
    ]
    assert moved[1] == pytest.approx(ends[0] - ends[1], rel=1e-3)
    assert np.abs(moved[1]) > 1e-4 and np.allclose(moved[[0, 2]], 0.0, atol=1e-7)
    answered = world.moved(run.plan, run.plan.theta, nothing, 0.1 + nothing, locked=False)["stiffness"]
    assert answered[1] == pytest.approx(-0.1 * 0.1 * np.sum(item.q[1]), rel=1e-4)
    assert np.allclose(answered[[0, 2]], 0.0, atol=1e-7)
    for sign in (1, -1):
        off = sign * np.array([[0.0], [0.1], [0.0]]) + nothing
        drawn = world.moved(run.plan, run.plan.theta, off, nothing, locked=False)["stiffness"]
        along = backwards(run.plan.task.model, run.plan.theta, replace(item, q=item.q + off), 0.1)
        assert drawn[1] == pytest.approx(along.gradients(NAMES)["stiffness"][1] - ends[1], rel=1e-3)


# -- what is refused ---------------------------------------------------------------------------------------------------

VALUES = {"stiffness": np.array([0.0, 0.0, -4.0]), "other": np.ones(1)}
USUAL = 4.0 / np.sqrt(3)


def said(*errors: float) -> SaidByModel:
    """Of three entries, the first of which is local to what is read."""
    masks = {"stiffness": np.array([False, True, True]), "absent": np.ones(2, bool)}
    return SaidByModel(masks, {"stiffness": np.array(errors), "absent": np.ones(2)})


@pytest.mark.parametrize(
    ("errors", "lost"),
    [
        ((9.0, 0.499 * USUAL, 2.0), []),  # half of the usual size, or of its own
        ((9.0, 0.501 * USUAL, 2.0), [1]),
        ((9.0, 0.499 * USUAL, 2.01), [2]),
        ((np.nan, np.nan, 1.0), [1]),
    ],
)
def test_an_entry_whose_error_is_half_its_size_or_no_number_would_be_a_guess(
    errors: tuple[float, ...], lost: list[int]
) -> None:
    found = said(*errors).unobservable(VALUES)
    assert [list(np.flatnonzero(mask)) for mask in found.values()] == ([lost] if lost else [])
    if not lost:
        refuse_unobservable(said(*errors), VALUES, 10.0)
        return
    with pytest.raises(ProgramError, match=rf"^stiffness\[{lost[0]}\]: no channel shows .* would be a guess"):
        refuse_unobservable(said(*errors), VALUES, 0.0)


def test_a_model_that_misses_what_is_read_by_ten_times_its_noise_says_nothing_of_the_rest() -> None:
    with pytest.raises(ProgramError, match=r"stiffness\[1\], stiffness\[2\].* by 11 times its noise, so it cannot"):
        refuse_unobservable(said(0.0, 0.0, 0.0), VALUES, 10.6)
    refuse_unobservable(SaidByModel({}, {}), VALUES, 1e9)
