"""Motion, loss and gradients against vectors made by automatic differentiation in an independent implementation."""

import numpy as np
import pytest

from labrhel.learning.estimator import Estimator
from labrhel.learning.task import Task, TrialSequence
from labrhel.shots.waveform import Waveform
from protocols.rhel import RHEL
from simbackend.dynamics.adjoint import tape
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.reference import ReferenceTask
from simbackend.rigs.simulated import SimulatedRig

Vectors = dict[str, np.ndarray]
UPPER = np.triu_indices(6, 1)

# our name -> (name in the file)
NAMES = {
    "mass": "m", "stiffness": "k", "quadratic": "c3", "cubic": "b", "coupling": "kij", "friction": "G", "input": "W",
    "input_offset": "o", "initial_position": "q0", "initial_momentum": "p0", "readout": "C", "readout_offset": "y0",
}  # fmt: skip


def ours(name: str, array: np.ndarray) -> np.ndarray:
    """The file's array in our layout: couplings as the list of pairs, friction symmetrised."""
    if name == "coupling":
        return array[UPPER]
    return (array + array.T) / 2 if name == "friction" else array


def case(vectors: Vectors) -> ReferenceTask:
    step, target = float(vectors["d"]), vectors["target"].T
    theta = {name: ours(name, vectors[f"param_{key}"]) for name, key in NAMES.items()}
    nominal = {name: value for name, value in theta.items() if not name.startswith("readout")}
    model = OscillatorNetwork(6, inputs=("u1", "u2"), coupling="all", nominal=nominal)
    rig = SimulatedRig(model)
    # Theirs is L = d sum |y - t|^2 / 2; ours divides by variance * samples * outputs.
    task = Task(model, rig.capabilities, step, 1, tuple(f"q{i + 1}" for i in range(6)), 2 / step / target.size)
    inputs = {name: Waveform.of(column, step) for name, column in zip(model.inputs, vectors["param_u"].T, strict=True)}
    theta["quartic"] = np.zeros(6)
    return ReferenceTask(model, rig, task, (TrialSequence("vectors", inputs, target, np.ones(target.shape[1])),), theta)


def relative(gradient: dict[str, np.ndarray], vectors: Vectors) -> dict[str, float]:
    errors = {}
    for name, key in NAMES.items():
        expected = ours(name, vectors[f"grad_{key}"])
        errors[name] = float(np.linalg.norm(gradient[name] - expected) / np.linalg.norm(expected))
    return errors


def test_positions_at_the_kicks_are_those_of_the_vectors(vectors: Vectors) -> None:
    reference = case(vectors)
    q, p = tape(reference.model, reference.theta, vectors["param_u"].T, float(vectors["d"]))
    assert np.abs(q.T - vectors["q_half"]).max() < 1e-12
    assert np.abs(p[:, -1] - vectors["p_end"]).max() < 1e-12


def test_loss_and_every_exact_gradient_are_those_of_the_vectors(vectors: Vectors) -> None:
    loss, gradient = case(vectors).exact()
    assert loss == pytest.approx(float(vectors["loss"]), rel=1e-13)
    assert max(relative(gradient, vectors).values()) < 1e-11, relative(gradient, vectors)


@pytest.mark.parametrize(
    ("estimator", "response", "tolerance"), [("symmetric", 1e-5, 1e-6), ("four_point", 1e-3, 1e-6)]
)
def test_loss_and_every_gradient_by_echoes_are_those_of_the_vectors(
    vectors: Vectors, estimator: str, response: float, tolerance: float
) -> None:
    gradient = case(vectors).gradient(RHEL(Estimator(estimator), response=response), tuple(NAMES))
    assert gradient.loss == pytest.approx(float(vectors["loss"]), rel=1e-13)
    errors = relative(dict(gradient.values), vectors)
    assert max(errors.values()) < tolerance, errors
