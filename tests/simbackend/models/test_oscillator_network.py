from typing import Any

import numpy as np
import pytest

from labrhel.errors import ConfigurationError
from labrhel.model.leapfrog import leapfrog
from simbackend.models.oscillator_network import OscillatorNetwork, edges_of


def network(**changes: Any) -> OscillatorNetwork:
    random = np.random.default_rng(4)
    nominal = {
        "mass": random.uniform(0.8, 1.3, 5),
        "stiffness": random.uniform(0.5, 2, 5),
        "quadratic": random.normal(size=5) * 0.1,
        "cubic": random.uniform(0, 0.5, 5),
        "quartic": random.normal(size=5) * 0.1,
        "coupling": random.uniform(0.1, 0.5, 3),
        "input": random.normal(size=(5, 2)),
        "input_offset": [0.3, -0.2],
    }
    return OscillatorNetwork(5, inputs=("a", "b"), coupling=[(0, 3), (4, 1), (2, 3)], nominal=nominal | changes)


def hamiltonian(model: OscillatorNetwork, theta: dict[str, Any], q: np.ndarray, p: np.ndarray, u: np.ndarray) -> float:
    """The docstring's H, term by term, in plain Python."""
    total = 0.0
    for i in range(model.size):
        total += p[i] ** 2 / (2 * theta["mass"][i])
        for name, power in (("stiffness", 2), ("quadratic", 3), ("cubic", 4), ("quartic", 5)):
            total += theta[name][i] * q[i] ** power / power
        for j in range(len(model.inputs)):
            total -= q[i] * theta["input"][i, j] * (u[j] + theta["input_offset"][j])
    for edge, (i, j) in enumerate(model.edges):
        total += theta["coupling"][edge] * (q[j] - q[i]) ** 2 / 2
    return total


def nominal(model: OscillatorNetwork) -> dict[str, np.ndarray]:
    return {name: np.array(spec.nominal) for name, spec in model.parameters.items()}


def test_the_force_is_minus_the_slope_of_the_hamiltonian() -> None:
    model, random = network(), np.random.default_rng(0)
    theta, q, u = nominal(model), random.normal(size=5), random.normal(size=2)
    forces = model.force(q, theta) + model.input_force(u[:, None], theta)[:, 0]
    for i, unit in enumerate(1e-6 * np.eye(5)):
        ends = [hamiltonian(model, theta, q + sign * unit, np.zeros(5), u) for sign in (1, -1)]
        assert forces[i] == pytest.approx(-(ends[0] - ends[1]) / 2e-6, abs=1e-8)


def test_the_force_of_a_trace_is_the_force_at_each_of_its_columns() -> None:
    model = network()
    q = np.random.default_rng(1).normal(size=(5, 9))
    columns = np.stack([model.force(column, {}) for column in q.T], axis=1)
    assert np.allclose(model.force(q, {}), columns, atol=1e-15)


def test_the_hessian_is_the_slope_of_the_force() -> None:
    model = network()
    q = np.random.default_rng(2).normal(size=5)
    matrix = model.hessian(q, {})
    assert np.allclose(matrix, matrix.T)
    for i, unit in enumerate(1e-6 * np.eye(5)):
        assert np.allclose(matrix[:, i], -(model.force(q + unit, {}) - model.force(q - unit, {})) / 2e-6, atol=1e-8)


@pytest.mark.parametrize(
    "name", ["stiffness", "quadratic", "cubic", "quartic", "coupling", "mass", "input", "input_offset"]
)
def test_each_observable_is_the_slope_of_the_summed_hamiltonian_by_its_parameter(name: str) -> None:
    model, random, dt = network(), np.random.default_rng(3), 0.1
    theta, u = nominal(model), random.normal(size=(2, 20))
    motion = leapfrog(
        lambda q: model.force(q, theta), theta["mass"], np.zeros((5, 5)), model.input_force(u, theta), dt,
        random.normal(size=5), random.normal(size=5),
    )  # fmt: skip
    observed = model.observables([name], motion.q, motion.v, u, dt, theta)[name]
    mass = theta["mass"]

    def summed(changed: dict[str, np.ndarray]) -> float:
        # The kinetic term is the mean before and after the kick, at momenta that do not change with the parameter.
        return dt * sum(
            (hamiltonian(model, changed, motion.q[:, k], before[:, k] * mass, u[:, k])) / 2
            for k in range(20)
            for before in (motion.v_before, motion.v_after)
        )

    assert observed.shape == theta[name].shape
    for index in np.ndindex(theta[name].shape):
        ends = []
        for sign in (1, -1):
            moved = {key: value.copy() for key, value in theta.items()}
            moved[name][index] += sign * 1e-5
            ends.append(summed(moved))
        assert observed[index] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6, abs=1e-8)


def test_the_largest_step_is_where_the_linear_leapfrog_starts_to_grow() -> None:
    model = network(quadratic=0.0, cubic=0.0, quartic=0.0)
    largest, theta = model.largest_step({}), nominal(model)
    assert model.is_linear({})
    for factor, grows in ((0.98, False), (1.02, True)):
        motion = leapfrog(
            lambda q: model.force(q, theta), theta["mass"], np.zeros((5, 5)), np.zeros((5, 400)), factor * largest,
            np.ones(5), np.zeros(5),
        )  # fmt: skip
        assert (np.abs(motion.q).max() > 1e3) == grows


def test_the_largest_step_of_a_bistable_oscillator_is_that_of_its_wells() -> None:
    model = OscillatorNetwork(1, nominal={"stiffness": -1.0, "cubic": 4.0, "mass": 2.0})
    well = np.sqrt(1 / 4.0)
    curvature = float(model.hessian(np.array([well]), nominal(model))[0, 0]) / 2.0
    assert model.largest_step({}) == pytest.approx(2 / np.sqrt(curvature))
    assert OscillatorNetwork(1, nominal={"stiffness": 0.0}).largest_step({}) == np.inf


@pytest.mark.parametrize("name", ["quadratic", "cubic", "quartic"])
def test_any_anharmonic_term_makes_the_network_nonlinear(name: str) -> None:
    model = network(quadratic=0.0, cubic=0.0, quartic=0.0)
    assert not model.is_linear({name: np.array([0, 0, 0, 0, 0.1])})


@pytest.mark.parametrize(
    ("coupling", "pairs"),
    [
        ("none", []),
        ("chain", [(0, 1), (1, 2), (2, 3)]),
        ("ring", [(0, 1), (1, 2), (2, 3), (0, 3)]),
        ("all", [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]),
        ([(2, 0)], [(2, 0)]),
    ],
)
def test_couplings_by_name_and_by_list(coupling: Any, pairs: list) -> None:
    assert [tuple(pair) for pair in edges_of(coupling, 4)] == pairs


def test_a_ring_of_two_couples_its_pair_once() -> None:
    assert len(edges_of("ring", 2)) == 1
    assert edges_of("chain", 1).shape == (0, 2)


@pytest.mark.parametrize("coupling", ["star", [(0, 0)], [(0, 9)], [(-1, 0)], [(0, 1), (1, 0)], [(0, 1, 2)]])
def test_a_coupling_that_makes_no_sense_is_refused(coupling: Any) -> None:
    with pytest.raises(ConfigurationError):
        edges_of(coupling, 4)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("mass", 0.0, "mass must be positive"),
        ("mass", [1, 1, 1, 1, -1], "mass must be positive"),
        ("friction", np.triu(np.ones((5, 5))), "must be symmetric"),
        ("stiffness", [1.0, 2.0], "stiffness has shape"),
        ("stiffness", np.nan, "not a finite number"),
        ("stifness", 1.0, "unknown parameter 'stifness'"),
    ],
)
def test_a_parameter_that_cannot_be_physical_is_refused(name: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        network(**{name: value})


def test_a_friction_vector_is_the_diagonal_and_a_number_is_shared() -> None:
    assert np.array_equal(network(friction=[1, 2, 3, 4, 5]).friction({}), np.diag([1.0, 2, 3, 4, 5]))
    assert np.array_equal(network(friction=0.5).friction({}), 0.5 * np.eye(5))


def test_parameters_given_replace_the_nominal_ones_and_the_rest_stays() -> None:
    model = network()
    assert np.array_equal(model.mass({"mass": np.full(5, 3.0)}), np.full(5, 3.0))
    assert np.array_equal(model.mass({}), model.parameters["mass"].nominal)
