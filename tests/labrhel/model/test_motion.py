"""A run without a rig: the compiled kernels do what the readable leapfrog does, and any model runs."""

from typing import Any

import numpy as np
import pytest

from labrhel.model.leapfrog import leapfrog
from labrhel.model.motion import hessian_along, quick_hessian_along, respond, run
from simbackend.models.saturating_network import SaturatingNetwork
from simbackend.rigs.reference import STEP, lossy_rig


class Plain:
    """The same oscillators, as somebody else would write them."""

    def __init__(self, model) -> None:
        self.size, self.inputs = model.size, model.inputs
        self.mass, self.friction, self.force = model.mass, model.friction, model.force


@pytest.mark.parametrize("disguise", [lambda model: model, Plain])
def test_a_batch_runs_as_each_pass_alone_by_the_readable_leapfrog(disguise) -> None:
    rng = np.random.default_rng(4)
    reference = lossy_rig(rng)
    model, theta, n = reference.model, reference.theta, reference.model.size
    forces = rng.normal(size=(n, 60))
    q, p = rng.normal(size=(2, 5, n))
    before = q.copy(), p.copy()
    found = run(disguise(model), theta, forces, STEP, q, p)
    assert (q == before[0]).all() and (p == before[1]).all()
    for row in range(5):
        ran = leapfrog(
            lambda x: model.force(x, theta), model.mass(theta), model.friction(theta), forces, STEP, q[row], p[row]
        )
        assert found.q[row] == pytest.approx(ran.q, rel=1e-12, abs=1e-12)
        assert found.end_position[row] == pytest.approx(ran.end_position, rel=1e-12, abs=1e-12)
        assert found.end_momentum[row] == pytest.approx(ran.end_momentum, rel=1e-12, abs=1e-12)


def test_offsets_of_inputs_are_not_counted_twice() -> None:
    reference = lossy_rig(np.random.default_rng(5))
    model = reference.model
    still = np.zeros((1, model.size))
    theta = {**reference.theta, "input_offset": np.ones(len(model.inputs))}
    moved = run(model, theta, np.zeros((model.size, 10)), STEP, still, still)
    assert (moved.q == 0).all()


def test_a_model_that_runs_itself_is_asked_and_one_that_lacks_a_term_there_is_run_by_its_force() -> None:
    network = lossy_rig(np.random.default_rng(6)).model
    q, p = np.full((2, 1, network.size), 0.1)
    asked = network.run_passes({}, np.ones((network.size, 7)), STEP, q, p)
    found = run(network, {}, np.ones((network.size, 7)), STEP, q, p)
    assert asked is not None and np.array_equal(asked.q, found.q)
    model = SaturatingNetwork(1, nominal={"stiffness": 2.0, "saturation": 0.7})
    assert model.run_passes({}, np.zeros((1, 1)), 0.1, np.ones((1, 1)), np.zeros((1, 1))) is None
    ran = run(model, {}, np.zeros((1, 1)), 0.1, np.ones((1, 1)), np.zeros((1, 1)))
    assert ran.end_momentum[0, 0] == pytest.approx(-0.1 * (2.0 + 0.7 * np.tanh(1.0)), rel=1e-12)


@pytest.mark.parametrize("disguise", [lambda model: model, Plain])
def test_an_answer_is_what_a_small_force_adds_to_a_pass(disguise) -> None:
    rng = np.random.default_rng(7)
    reference = lossy_rig(rng)
    model, theta, n = reference.model, reference.theta, reference.model.size
    forces, pushed = rng.normal(size=(2, n, 60))
    start = rng.normal(size=(2, 1, n))
    small = 1e-5
    less, along, more = (run(model, theta, forces + sign * small * pushed, STEP, *start) for sign in (-1, 0, 1))
    found = respond(disguise(model), theta, along.q[0], pushed, STEP)
    for name in found._fields:
        expected = (getattr(more, name)[0] - getattr(less, name)[0]) / (2 * small)
        assert getattr(found, name) == pytest.approx(expected, rel=1e-7, abs=1e-8)


def test_a_model_answers_as_its_forces_do_up_to_rounding() -> None:
    rng = np.random.default_rng(8)
    reference = lossy_rig(rng)
    model, theta = reference.model, reference.theta
    path, pushed = rng.normal(size=(2, model.size, 500))
    plain: Any = Plain(model)
    by_itself, by_forces = (respond(each, theta, path, pushed, STEP) for each in (model, plain))
    asked = model.run_response(theta, path, pushed, STEP)
    assert asked is not None and np.array_equal(asked.q, by_itself.q)
    for own, other in zip(by_itself, by_forces, strict=True):
        assert own == pytest.approx(other, rel=1e-9, abs=1e-9 * np.abs(other).max())
    lacking = SaturatingNetwork(1, nominal={"stiffness": 2.0, "saturation": 0.7})
    still = np.zeros((1, 2))
    assert lacking.run_response({}, still, still, 0.1) is None
    ran = respond(lacking, {}, still, np.array([[10.0, 0.0]]), 0.1)
    assert ran.end_momentum[0] == pytest.approx(1.0 - 0.1 * 2.7 * 0.1, rel=1e-12)


def test_a_model_knows_the_derivatives_of_its_forces() -> None:
    reference = lossy_rig(np.random.default_rng(9))
    model, theta = reference.model, reference.theta
    path = np.random.default_rng(1).normal(size=(model.size, 40))
    plain: Any = Plain(model)
    known, taken = quick_hessian_along(model, theta, path), hessian_along(model, theta, path)
    np.testing.assert_array_equal(quick_hessian_along(plain, theta, path), taken)
    assert np.abs(taken).max() > 1.5 * np.abs(taken).min()
    assert known == pytest.approx(taken, rel=1e-12, abs=1e-12)
    lacking = SaturatingNetwork(1, nominal={"stiffness": 2.0, "saturation": 0.7})
    assert quick_hessian_along(lacking, {}, np.array([[0.0, 1.0]]))[:, 0, 0] == pytest.approx(
        [2.7, 2 + 0.7 / np.cosh(1) ** 2], rel=1e-12
    )
