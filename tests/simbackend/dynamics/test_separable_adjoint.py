"""The exact gradient of any model: that of the compiled one, and the central difference of the measured loss."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labrhel import plugins
from labrhel.errors import ConfigurationError
from labrhel.executor import Compiling, RigBackend, execute
from labrhel.learning.rules import GradientRequest
from labrhel.learning.task import Task, TrialSequence
from labrhel.learning.train import free_run
from labrhel.shots.waveform import Waveform
from protocols.rhel import RHEL
from simbackend.dynamics import adjoint
from simbackend.dynamics.separable_adjoint import exact_gradient
from simbackend.models.kerr_array import KerrArray
from simbackend.models.oscillator_network import POWERS, OscillatorNetwork
from simbackend.models.separable_model import SeparableModel, Term
from simbackend.rigs.reference import lossy_rig
from simbackend.rigs.simulated import SimulatedRig

Theta = Mapping[str, np.ndarray]
STEP, STEPS = 0.1, 60


class Rewritten(SeparableModel):
    """An oscillator network, its potential written anew: V = sum_i sum_r c_ri q_i^(r+1)/(r+1) + springs."""

    def __init__(self, like: OscillatorNetwork) -> None:
        self.i, self.j = like.edges.T
        terms = {
            name: Term(spec.shape, spec.nominal, spec.meaning)
            for name, spec in like.parameters.items()
            if spec.kind == "potential"
        }
        shared = {name: spec.nominal for name, spec in like.parameters.items() if spec.kind != "potential"}
        super().__init__(like.size, terms, inputs=like.inputs, nominal=shared)

    def potential(self, q: np.ndarray, theta: Theta) -> float:
        own = self.slopes(q[:, None], theta)
        return float(sum(np.sum(self.value(name, theta) * slope[:, 0]) for name, slope in own.items()))

    def force(self, q: np.ndarray, theta: Theta) -> np.ndarray:
        columns = (...,) + (None,) * (q.ndim - 1)
        total = -sum(self.value(name, theta)[columns] * q**power for name, power in POWERS.items())
        for i, j, spring in zip(self.i, self.j, self.value("coupling", theta), strict=True):
            pull = spring * (q[j] - q[i])
            total[i] += pull
            total[j] -= pull
        return total

    def slopes(self, q: np.ndarray, theta: Theta) -> dict[str, np.ndarray]:
        powers = {name: q ** (power + 1) / (power + 1) for name, power in POWERS.items()}
        return powers | {"coupling": (q[self.j] - q[self.i]) ** 2 / 2}


@pytest.mark.parametrize("seed", [1, 2])
def test_it_is_the_compiled_gradient_of_a_lossy_network_written_anew(seed: int) -> None:
    reference = lossy_rig(np.random.default_rng(seed))
    expected = reference.exact()
    task = replace(reference.task, model=Rewritten(reference.model))
    for loss, gradient in (
        exact_gradient(task, reference.sequences, reference.theta),
        exact_gradient(reference.task, reference.sequences, reference.theta),  # the network as it is
    ):
        assert loss == pytest.approx(expected[0], rel=1e-12)
        assert set(gradient) == set(expected[1])
        for name, value in expected[1].items():
            assert np.linalg.norm(gradient[name] - value) <= 1e-10 * np.linalg.norm(value), name


class Toggle(SeparableModel):
    """V = sum s q^2/2 + c q_1 q_2^2 + w |q_1 - q_2|^3: a term of any shape, and one that is not analytic."""

    def __init__(self, **common: Any) -> None:
        terms = {"spring": Term((2,), 1.2, "s"), "mixing": Term((), 0.3, "c"), "wall": Term((1, 1), 0.4, "w")}
        super().__init__(2, terms, **common)

    def potential(self, q: np.ndarray, theta: Theta) -> float:
        own = self.slopes(q[:, None], theta)
        return float(sum(np.sum(self.value(name, theta) * slope[..., 0]) for name, slope in own.items()))

    def force(self, q: np.ndarray, theta: Theta) -> np.ndarray:
        spring, mixing, wall = (self.value(name, theta) for name in ("spring", "mixing", "wall"))
        steep = 3 * wall[0, 0] * (q[0] - q[1]) * np.abs(q[0] - q[1])
        return -np.stack([
            spring[0] * q[0] + mixing * q[1] ** 2 + steep, spring[1] * q[1] + 2 * mixing * q[0] * q[1] - steep
        ])  # fmt: skip

    def slopes(self, q: np.ndarray, theta: Theta) -> dict[str, np.ndarray]:
        return {
            "spring": q**2 / 2,
            "mixing": q[0] * q[1] ** 2,
            "wall": np.abs(q[0] - q[1])[None, None] ** 3,
        }


def toggled() -> tuple[Task, SimulatedRig, list[TrialSequence], dict[str, np.ndarray]]:
    model = Toggle(
        inputs=("u1", "u2"),
        nominal={
            "mass": [0.8, 1.3], "friction": [[0.1, 0.03], [0.03, 0.2]], "input": [[1.0, 0.2], [0.0, 0.7]],
            "input_offset": [0.1, -0.1], "initial_position": [0.3, -0.2], "initial_momentum": [0.1, 0.2],
        },
    )  # fmt: skip
    rig, random = SimulatedRig(model), np.random.default_rng(5)
    task = Task(model, rig.capabilities, STEP, 2, ("q1", "q2"), 1.0)
    samples = STEPS // 2
    sequences = [
        TrialSequence(
            f"s{number}",
            {name: Waveform.of(random.normal(size=samples), 2 * STEP) for name in model.inputs},
            random.normal(size=(2, samples)),
            np.ones(samples),
        )
        for number in range(2)
    ]
    theta = {name: spec.nominal for name, spec in model.parameters.items()}
    return task, rig, sequences, theta | {"readout": np.eye(2), "readout_offset": np.zeros(2)}


def measured_loss(task: Task, rig: SimulatedRig, sequences: list[TrialSequence], theta: Theta) -> float:
    outputs = execute(free_run(task, sequences, theta), Compiling(RigBackend(rig), rig.capabilities))
    loss = task.loss(sequences)
    return sum(loss.value(y, item.target, item.weight) for y, item in zip(outputs, sequences, strict=True))


def test_it_is_the_central_difference_of_the_measured_loss_for_every_parameter() -> None:
    task, rig, sequences, theta = toggled()
    loss, gradient = exact_gradient(task, sequences, theta)
    assert loss == pytest.approx(measured_loss(task, rig, sequences, theta), rel=1e-12)
    assert set(gradient) == set(theta)
    for name, exact in gradient.items():
        assert exact.shape == theta[name].shape
        expected = exact + exact.T - np.diag(np.diag(exact)) if name == "friction" else exact
        for index in np.ndindex(exact.shape):
            ends = []
            for sign in (1, -1):
                moved = theta[name].copy()
                moved[index] += sign * 1e-5
                if name == "friction" and index[0] != index[1]:
                    moved[index[::-1]] += sign * 1e-5
                ends.append(measured_loss(task, rig, sequences, {**theta, name: moved}))
            assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(expected[index], rel=1e-6, abs=1e-8), name


def test_echoes_find_it_whatever_the_shapes_of_the_terms() -> None:
    task, rig, sequences, theta = toggled()
    handler = Compiling(RigBackend(rig), rig.capabilities)
    gradient = execute(RHEL().gradient(GradientRequest(task, sequences, theta, tuple(theta))), handler)
    for name, exact in exact_gradient(task, sequences, theta)[1].items():
        assert np.linalg.norm(gradient.values[name] - exact) <= 1e-6 * np.linalg.norm(exact), name


def test_the_command_line_takes_it_for_kinds_without_a_gradient_of_their_own() -> None:
    assert plugins.exact_gradient("pendulum_chain") is exact_gradient
    assert plugins.exact_gradient("oscillator_network") is adjoint.exact_gradient


def test_a_model_of_another_kind_is_refused_in_words() -> None:
    task, _, sequences, theta = toggled()
    with pytest.raises(ConfigurationError, match=r"no exact gradient for KerrArray: name one in .*exact_gradients"):
        exact_gradient(replace(task, model=KerrArray(2)), sequences, theta)  # type: ignore[arg-type]
