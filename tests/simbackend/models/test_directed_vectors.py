"""A network with directed couplings against vectors made by automatic differentiation elsewhere."""

import numpy as np
import pytest

from labrhel.learning.task import Task, TrialSequence
from labrhel.shots.waveform import Waveform
from protocols.rhel import RHEL
from protocols.twin import FittedTwin
from simbackend.dynamics.adjoint import tape
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.reference import ReferenceTask
from simbackend.rigs.simulated import SimulatedRig

Vectors = dict[str, np.ndarray]
NAMES = {
    "stiffness": "K", "directed": "K", "cubic": "c", "friction": "G", "input": "W", "initial_position": "q0",
    "initial_momentum": "p0",
}  # fmt: skip


def case(vectors: Vectors) -> ReferenceTask:
    step, target = float(vectors["d"]), vectors["target"][None]
    model = OscillatorNetwork(6, inputs=("u1", "u2"), coupling={"directed": "all"})
    nominal = {name: ours(model, name, vectors[f"param_{key}"]) for name, key in NAMES.items()}
    model = OscillatorNetwork(6, inputs=("u1", "u2"), coupling={"directed": "all"}, nominal=nominal)
    rig = SimulatedRig(model)
    # Theirs is L = d sum (q - t)^2 / 2; ours divides by variance * samples.
    task = Task(model, rig.capabilities, step, 1, (f"q{int(vectors['readout']) + 1}",), 2 / step / target.size)
    inputs = {name: Waveform.of(column, step) for name, column in zip(model.inputs, vectors["param_u"].T, strict=True)}
    theta = {name: spec.nominal for name, spec in model.parameters.items()}
    theta |= {"readout": np.ones((1, 1)), "readout_offset": np.zeros(1)}
    return ReferenceTask(model, rig, task, (TrialSequence("vectors", inputs, target, np.ones(target.size)),), theta)


def ours(model: OscillatorNetwork, name: str, array: np.ndarray) -> np.ndarray:
    """The file's array in our layout: the diagonal of K, and what is off it link by link."""
    if name == "stiffness":
        return np.diag(array)
    return array[model.links[:, 0], model.links[:, 1]] if name == "directed" else array


def errors(reference: ReferenceTask, gradient: Vectors, vectors: Vectors) -> dict[str, float]:
    found = {}
    for name, key in NAMES.items():
        expected = ours(reference.model, name, vectors[f"grad_{key}"])
        found[name] = float(np.linalg.norm(gradient[name] - expected) / np.linalg.norm(expected))
    return found


@pytest.mark.parametrize("vectors", ["asymmetric"], indirect=True)
class TestVectors:
    def test_motion_loss_and_exact_gradient_are_those_of_the_vectors(self, vectors: Vectors) -> None:
        reference = case(vectors)
        q, p = tape(reference.model, reference.theta, vectors["param_u"].T, float(vectors["d"]))
        assert np.abs(q.T - vectors["q_half"]).max() < 1e-11
        assert np.abs(p[:, -1] - vectors["p_end"]).max() < 1e-11
        loss, gradient = reference.exact()
        assert loss == pytest.approx(float(vectors["loss"]), rel=1e-12)
        assert max(errors(reference, gradient, vectors).values()) < 1e-10

    def test_the_asymmetric_echo_has_every_gradient_of_the_vectors(self, vectors: Vectors) -> None:
        reference = case(vectors)
        gradient = reference.gradient(RHEL(), tuple(NAMES))
        found = errors(reference, dict(gradient.values), vectors)
        assert max(found.values()) < 1e-6, found
        assert gradient.rule == "rhel/symmetric/driven/directed"
        assert not gradient.warnings

    def test_a_plain_nudge_is_wrong_and_says_so(self, vectors: Vectors) -> None:
        reference = case(vectors)
        gradient = reference.gradient(RHEL(directed=0), tuple(NAMES))
        assert max(errors(reference, dict(gradient.values), vectors).values()) > 0.1
        assert any("directed: 0 nudges as if they were not" in words for words in gradient.warnings)

    def test_a_twin_sends_the_error_through_the_transposed_model(self, vectors: Vectors) -> None:
        reference = case(vectors)
        gradient = reference.gradient(FittedTwin(refit=False), tuple(NAMES))
        assert max(errors(reference, dict(gradient.values), vectors).values()) < 1e-8
