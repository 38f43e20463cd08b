"""The relaxation network: force, fixed points, and equilibrium propagation against implicit differentiation."""

from collections.abc import Callable

import numpy as np
import pytest

from labrhel.errors import ConfigurationError
from simbackend.models.relaxation import RelaxationNetwork, Unit

N = 6
TARGET = np.linspace(-0.3, 0.6, N)


def network(unit: Unit, nonreciprocity: float = 0.0) -> tuple[RelaxationNetwork, dict[str, np.ndarray], np.ndarray]:
    random = np.random.default_rng(2)
    model = RelaxationNetwork(N, inputs=("x1", "x2"), unit=unit)
    pairs = len(model.edges)
    theta = {
        "coupling": random.normal(size=pairs) * 0.3,
        "nonreciprocity": random.normal(size=pairs) * nonreciprocity,
        # One of the hard sigmoid's units is driven below its range, and held at the end of it.
        "bias": random.uniform(0.1, 0.5, N) + (np.array([0, 0, 0, 0, 0, -2.0]) if unit is Unit.HARD_SIGMOID else 0),
        "input": random.normal(size=(N, 2)) * 0.3,
    }
    return model, theta, np.array([0.4, -0.2])


def cost(z: np.ndarray) -> float:
    return float(np.sum((z - TARGET) ** 2) / 2 + np.sum(z**4) / 4)


def slope(z: np.ndarray) -> np.ndarray:
    return z - TARGET + z**3


Case = tuple[RelaxationNetwork, dict[str, np.ndarray], np.ndarray]


def differences(case: Case, name: str, tiny: float = 1e-6) -> np.ndarray:
    model, theta, x = case
    result = np.zeros(theta[name].shape)
    for index in np.ndindex(result.shape):
        ends = []
        for sign in (1, -1):
            moved = theta[name].copy()
            moved[index] += sign * tiny
            ends.append(cost(model.relax(x, theta | {name: moved}, tolerance=1e-13).state))
        result[index] = (ends[0] - ends[1]) / (2 * tiny)
    return result


def nudged(case: Case, free: np.ndarray, beta: float, correction: np.ndarray | None = None) -> np.ndarray:
    model, theta, x = case
    matrix = np.zeros((N, N)) if correction is None else correction

    def push(z: np.ndarray) -> np.ndarray:
        return -beta * slope(z) - 2 * matrix @ (z - free)

    settled = model.relax(x, theta, start=free, nudge=push, tolerance=1e-13)
    assert settled.settled
    return settled.state


def by_equilibrium_propagation(case: Case, beta: float) -> dict[str, np.ndarray]:
    model, theta, x = case
    free = model.relax(x, theta, tolerance=1e-13).state
    ends = [model.observables(nudged(case, free, sign * beta), x) for sign in (1, -1)]
    return {name: (ends[0][name] - ends[1][name]) / (2 * beta) for name in ends[0]}


def flat(parts: dict[str, np.ndarray], names: Callable | tuple[str, ...] = ("coupling", "bias", "input")) -> np.ndarray:
    return np.concatenate([np.ravel(parts[name]) for name in names])


@pytest.mark.parametrize("unit", Unit)
def test_the_force_is_minus_the_slope_of_the_energy(unit: Unit) -> None:
    model, theta, x = network(unit)
    z = np.random.default_rng(0).uniform(-1.5, 1.5, N)
    for i, tiny in enumerate(1e-6 * np.eye(N)):
        ends = [model.energy(z + sign * tiny, x, theta) for sign in (1, -1)]
        assert model.force(z, x, theta)[i] == pytest.approx(-(ends[0] - ends[1]) / 2e-6, abs=1e-8)


@pytest.mark.parametrize("unit", Unit)
def test_the_jacobian_is_the_slope_of_the_force_also_without_reciprocity(unit: Unit) -> None:
    model, theta, x = network(unit, nonreciprocity=0.4)
    z = np.random.default_rng(0).uniform(-1.5, 1.5, N)
    for i, tiny in enumerate(1e-6 * np.eye(N)):
        column = (model.force(z + tiny, x, theta) - model.force(z - tiny, x, theta)) / 2e-6
        assert np.allclose(model.jacobian(z, x, theta)[:, i], column, atol=1e-8)


def test_the_jacobian_is_symmetric_if_and_only_if_the_couplings_are_reciprocal() -> None:
    for amount, symmetric in ((0.0, True), (0.4, False)):
        model, theta, x = network(Unit.TANH, amount)
        matrix = model.jacobian(np.full(N, 0.3), x, theta)
        assert np.allclose(matrix, matrix.T) == symmetric


def test_it_settles_where_the_energy_has_a_minimum() -> None:
    model, theta, x = network(Unit.TANH)
    end = model.relax(x, theta)
    assert end.settled
    assert np.abs(model.force(end.state, x, theta)).max() <= 1e-10
    assert model.energy(end.state, x, theta) < model.energy(np.zeros(N), x, theta)
    assert np.linalg.eigvalsh(model.jacobian(end.state, x, theta)).max() < 0


def test_the_hard_sigmoids_of_these_tests_are_partly_held() -> None:
    model, theta, x = network(Unit.HARD_SIGMOID)
    end = model.relax(x, theta)
    assert end.settled
    free = model.unit.is_free(end.state, model.force(end.state, x, theta))
    assert 0 < free.sum() < N
    assert np.all((end.state >= 0) & (end.state <= 1))


@pytest.mark.parametrize("unit", Unit)
@pytest.mark.parametrize("name", ["coupling", "nonreciprocity", "bias", "input"])
def test_the_implicit_gradient_is_the_central_difference_of_the_settled_cost(unit: Unit, name: str) -> None:
    case = model, theta, x = network(unit, nonreciprocity=0.2)
    end = model.relax(x, theta, tolerance=1e-13).state
    exact = model.implicit_gradient(end, slope(end), x, theta)[name]
    assert np.allclose(exact, differences(case, name), atol=1e-8)


@pytest.mark.parametrize("unit", Unit)
def test_equilibrium_propagation_is_the_implicit_gradient_where_couplings_are_reciprocal(unit: Unit) -> None:
    case = model, theta, x = network(unit)
    end = model.relax(x, theta, tolerance=1e-13).state
    exact = flat(model.implicit_gradient(end, slope(end), x, theta))
    assert np.linalg.norm(flat(by_equilibrium_propagation(case, 1e-4)) - exact) < 1e-6 * np.linalg.norm(exact)


def test_its_error_falls_with_the_square_of_beta() -> None:
    case = model, theta, x = network(Unit.TANH)
    end = model.relax(x, theta, tolerance=1e-13).state
    exact = flat(model.implicit_gradient(end, slope(end), x, theta))
    errors = [np.linalg.norm(flat(by_equilibrium_propagation(case, beta)) - exact) for beta in (0.08, 0.04, 0.02)]
    assert np.allclose(np.log2(np.array(errors[:-1]) / errors[1:]), 2, atol=0.15)


def test_without_reciprocity_it_is_biased_and_the_known_correction_makes_it_exact() -> None:
    case = model, theta, x = network(Unit.TANH, nonreciprocity=0.3)
    end = model.relax(x, theta, tolerance=1e-13).state
    exact = model.implicit_gradient(end, slope(end), x, theta)
    plain = flat(by_equilibrium_propagation(case, 1e-4))
    assert np.linalg.norm(plain - flat(exact)) > 0.03 * np.linalg.norm(flat(exact))
    jacobian = model.jacobian(end, x, theta)
    moved = [nudged(case, end, beta, (jacobian - jacobian.T) / 2) for beta in (1e-4, -1e-4)]
    corrected = model.force_slopes(-(moved[0] - moved[1]) / 2e-4, end, x)
    everything = tuple(exact)
    assert np.allclose(flat(corrected, everything), flat(exact, everything), atol=1e-6)


def test_a_network_that_had_too_little_time_says_that_it_has_not_settled() -> None:
    model, theta, x = network(Unit.TANH)
    end = model.relax(x, theta, longest=1.0)
    assert not end.settled
    assert end.residual > 1e-10


def test_bad_parameters_are_refused_in_a_sentence() -> None:
    with pytest.raises(ConfigurationError, match=r"bias has shape \(3,\); expected \(2,\)"):
        RelaxationNetwork(2, nominal={"bias": np.ones(3)})
    with pytest.raises(ConfigurationError, match="unknown parameter 'mass'; the network has: coupling"):
        RelaxationNetwork(2, nominal={"mass": 1})
