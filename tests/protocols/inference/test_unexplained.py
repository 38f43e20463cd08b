"""The force that a record leaves unexplained: what is computed once, and what is summed, is that of the whole."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from labrhel.frozen import FrozenArray
from labrhel.model.leapfrog import leapfrog
from labrhel.shots.program import GivenState, Pass, ShotProgram
from protocols.forward.forward import ForwardPass
from protocols.inference.inverse_dynamics import InverseDynamics
from protocols.inference.unexplained import InertiaSlopes, Unexplained, entries_of, unexplained
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.reference import STEP

SHIFT = 1e-4
NAMES = ("mass", "stiffness", "quadratic", "cubic", "quartic", "coupling", "directed", "gyroscopic", "friction")


def passed(
    steps: int, kind: type[OscillatorNetwork] = OscillatorNetwork
) -> tuple[OscillatorNetwork, dict[str, np.ndarray], ForwardPass]:
    """A pass of a network with everything, that starts with a momentum."""
    random = np.random.default_rng(4)
    n = 3
    model = OscillatorNetwork(n, coupling={"springs": "all", "directed": [[0, 2], [1, 0]], "gyroscopic": [[1, 2]]})
    root = random.normal(size=(n, n))
    theta = {name: random.uniform(0.3, 0.9, spec.shape) for name, spec in model.parameters.items()}
    theta |= {"friction": root @ root.T / 3, "quadratic": 0.1 * theta["quadratic"], "quartic": 0.1 * theta["quartic"]}
    u, (q, p) = random.normal(size=(1, steps)), random.normal(size=(2, n))
    drive = model.input_force(u, theta)
    ran = leapfrog(lambda x: model.force(x, theta), model.mass(theta), model.friction(theta), drive, STEP, q, p)
    program = ShotProgram(STEP, GivenState(FrozenArray(q), FrozenArray(p)), (Pass(steps),))
    return model, theta, ForwardPass(program, ran.q, ran.v, u, np.zeros_like(ran.q))


def ends(
    model: OscillatorNetwork, theta: dict[str, np.ndarray], item: ForwardPass, name: str
) -> list[list[np.ndarray]]:
    """The whole force with each entry of a parameter moved up and down."""
    moves = [moved for _, moved in entries_of(theta[name], 1.0)]
    return [
        [unexplained(model, {**theta, name: moved(sign * SHIFT)}, item, STEP) for sign in (1, -1)] for moved in moves
    ]


@pytest.mark.parametrize("steps", [1, 2, 3, 40])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_computed_once_is_that_of_the_whole_to_the_bit(name: str, steps: int) -> None:
    model, theta, item = passed(steps)
    rest = Unexplained(model, theta, item, STEP)
    expected = [(plus - minus) / (2 * SHIFT) for plus, minus in ends(model, theta, item, name)]
    found = [rest.slope(name, SHIFT, moved) for _, moved in entries_of(theta[name], 1.0)]
    np.testing.assert_array_equal(found, expected)
    assert steps == 1 or np.abs(expected).max() > 1e-3
    needed = InverseDynamics(model, theta, STEP).force(item.q, item.program.prepare.momentum.values)  # type: ignore[union-attr]
    np.testing.assert_array_equal(rest.whole, needed - model.input_force(item.u, theta))


@pytest.mark.parametrize("steps", [1, 2, 3, 40])
@pytest.mark.parametrize("name", ["mass", "friction", "gyroscopic"])
def test_sums_by_masses_and_friction_are_those_of_the_slopes(name: str, steps: int) -> None:
    model, theta, item = passed(steps)
    weights = np.random.default_rng(5).normal(size=item.q.shape)
    expected = [np.sum(weights * (plus - minus)) / (2 * SHIFT) for plus, minus in ends(model, theta, item, name)]
    found = InertiaSlopes.of(model, theta, item, STEP).summed(weights, name, SHIFT)
    assert_allclose(np.ravel(found), expected, rtol=1e-6, atol=1e-7)
    assert found.shape == theta[name].shape


def test_what_else_goes_with_the_masses_is_added_once() -> None:
    model, theta, item = passed(5)
    inertia, more = InertiaSlopes.of(model, theta, item, STEP), np.arange(3.0)
    sums = [inertia.summed(item.q, "mass", SHIFT, extra) for extra in (more, None)]
    assert_allclose(sums[0] - sums[1], more, atol=1e-9)


def test_a_symmetric_matrix_is_moved_by_each_entry_of_its_upper_triangle_and_its_mirror_image() -> None:
    moved = [made(1.0) for _, made in entries_of(np.zeros((2, 2)), 0.1, symmetric=True)]
    assert_allclose(moved, [[[1, 0], [0, 0]], [[0, 1], [1, 0]], [[0, 0], [0, 1]]])
