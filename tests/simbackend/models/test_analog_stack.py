"""The analog stack: its own Hamiltonian, and one echo through all layers at once."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from labrhel.errors import ConfigurationError
from labrhel.learning.task import Task, TrialSequence
from labrhel.model.leapfrog import leapfrog
from labrhel.shots.waveform import Waveform
from protocols.rhel import RHEL
from simbackend.models.analog_stack import AnalogStack
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.reference import ReferenceTask
from simbackend.rigs.simulated import SimulatedRig

WIDTHS, STEP, STEPS = (2, 3, 3, 2), 0.1, 300  # the first are the inputs
RANDOM = np.random.default_rng(8)
A = [RANDOM.uniform(1.5, 2.5, width) for width in WIDTHS[1:]]
B = [RANDOM.uniform(-0.3, 0.3, (wide, narrow)) for narrow, wide in pairwise(WIDTHS)]
STACK = AnalogStack(A, B, inputs=("u1", "u2"))


def full_matrices() -> tuple[np.ndarray, np.ndarray]:
    """q'' = -S q + W u, written out from the Hamiltonian."""
    offsets = np.concatenate([[0], np.cumsum(WIDTHS[1:])])
    S = np.diag(np.concatenate(A))
    for layer in (1, 2):
        above, below = (slice(offsets[index], offsets[index + 1]) for index in (layer, layer - 1))
        S[above, below], S[below, above] = -B[layer], -B[layer].T
    W = np.zeros((8, 2))
    W[:3] = B[0]
    return S, W


def test_its_force_is_that_of_its_hamiltonian() -> None:
    q, u = RANDOM.normal(size=8), RANDOM.normal(size=2)
    S, W = full_matrices()
    assert np.allclose(STACK.network.force(q, {}), -S @ q, atol=1e-14)
    assert np.allclose(STACK.network.input_force(u[:, None], {})[:, 0], W @ u, atol=1e-14)


def test_its_motion_is_that_of_an_independent_solver() -> None:
    S, W = full_matrices()

    def velocity(time: float, y: np.ndarray) -> np.ndarray:
        return np.concatenate([y[8:], -S @ y[:8] + W @ [np.sin(time), np.cos(2 * time)]])

    exact = solve_ivp(velocity, (0, 5), np.zeros(16), rtol=1e-11, atol=1e-12).y[:8, -1]
    time = 0.005 * (np.arange(1000) + 0.5)
    drive = STACK.network.input_force(np.array([np.sin(time), np.cos(2 * time)]), {})
    run = leapfrog(lambda q: STACK.network.force(q, {}), np.ones(8), np.zeros((8, 8)), drive, 0.005, *np.zeros((2, 8)))
    assert np.abs(run.end_position - exact).max() < 1e-4


def test_stack_and_network_parameters_are_inverse_to_each_other() -> None:
    stiffness, coupling = STACK.values(STACK.theta(A, B))
    for found, given in zip((*stiffness, *coupling), (*A, *B), strict=True):
        assert np.allclose(found, given, atol=1e-15)
    assert [tuple(STACK.oscillators(layer)) for layer in range(3)] == [(0, 1, 2), (3, 4, 5), (6, 7)]


def case(stiffness: list[np.ndarray], coupling: list[np.ndarray]) -> ReferenceTask:
    """Read out the top layer, drive the lowest one."""
    stack = AnalogStack(stiffness, coupling, inputs=("u1", "u2"))
    rig = SimulatedRig(stack.network)
    random, time = np.random.default_rng(3), STEP * np.arange(STEPS)
    inputs = {name: Waveform.of(np.sin(rate * time), STEP) for name, rate in (("u1", 1.3), ("u2", 0.8))}
    target = random.normal(size=(2, STEPS))
    task = Task(stack.network, rig.capabilities, STEP, 1, ("q7", "q8"), 1.0)
    theta = {name: spec.nominal for name, spec in stack.network.parameters.items()}
    theta |= {"readout": np.eye(2), "readout_offset": np.zeros(2)}
    return ReferenceTask(stack.network, rig, task, (TrialSequence("s", inputs, target, np.ones(STEPS)),), theta)


def differences(group: list[np.ndarray], layer: int, tiny: float = 1e-5) -> np.ndarray:
    result = np.zeros(group[layer].shape)
    for index in np.ndindex(result.shape):
        ends = []
        for sign in (1, -1):
            moved = [item.copy() for item in group]
            moved[layer][index] += sign * tiny
            ends.append((case(moved, B) if group is A else case(A, moved)).exact()[0])
        result[index] = (ends[0] - ends[1]) / (2 * tiny)
    return result


def test_one_echo_gives_the_gradient_of_all_layers_at_once() -> None:
    found = case(A, B).gradient(RHEL(), ("stiffness", "coupling", "input"))
    gradient = STACK.gradient(found.values)
    assert found.passes == 3  # forward and two echoes, however many layers
    for layer in range(3):
        for part, group in ((gradient.stiffness, A), (gradient.coupling, B)):
            expected = differences(group, layer)
            assert np.linalg.norm(part[layer] - expected) < 1e-6 * np.linalg.norm(expected)


def test_the_lowest_layer_feels_the_target_of_the_highest() -> None:
    gradient = STACK.gradient(case(A, B).exact()[1])
    assert all(np.linalg.norm(part) > 1e-6 for part in gradient.coupling)


def test_a_single_layer_is_a_row_of_driven_oscillators() -> None:
    stack = AnalogStack([np.ones(3)], [np.eye(3)], inputs=("a", "b", "c"))
    assert isinstance(stack.network, OscillatorNetwork)
    assert len(stack.network.edges) == 0
    assert [part.shape for part in stack.values({})[1]] == [(3, 3)]


def test_layers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"coupling of layer 2 has shape \(2, 2\); 2 oscillators above 3 osc"):
        AnalogStack([np.ones(3), np.ones(2)], [np.ones((3, 1)), np.ones((2, 2))])
    with pytest.raises(ConfigurationError, match=r"coupling of layer 1 has shape \(3, 2\); 3 oscillators above 1 inp"):
        AnalogStack([np.ones(3)], [np.ones((3, 2))])
    with pytest.raises(ConfigurationError, match="1 layers have 2 couplings"):
        AnalogStack([np.ones(3)], [np.ones((3, 1)), np.ones((3, 3))])
