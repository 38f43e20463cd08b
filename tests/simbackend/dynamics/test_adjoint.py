"""The exact gradient against central differences of the loss that the rig itself measures."""

from dataclasses import replace

import numpy as np
import pytest

from labrhel.errors import ConfigurationError
from labrhel.executor import execute
from labrhel.learning.task import TrialSequence
from labrhel.learning.train import free_run
from labrhel.shots.waveform import Waveform
from simbackend.dynamics.adjoint import exact_gradient
from simbackend.rigs.reference import ReferenceTask, lossy_rig


def case(seed: int = 3, every: int = 2) -> ReferenceTask:
    """A lossy rig with all anharmonic terms, two sequences of different length, every other kick a sample."""
    reference = lossy_rig(np.random.default_rng(seed))
    random = np.random.default_rng(seed + 1)
    sequences = []
    for samples in (60, 41):
        inputs = {
            name: Waveform.of(random.normal(size=samples), every * reference.task.step)
            for name in reference.model.inputs
        }
        sequences.append(
            TrialSequence(f"s{samples}", inputs, random.normal(size=(2, samples)), random.uniform(size=samples))
        )
    theta = {**reference.theta, "quartic": random.normal(size=6) * 0.05, "readout_offset": np.array([0.1, -0.2])}
    return replace(reference, task=replace(reference.task, every=every), sequences=tuple(sequences), theta=theta)


def measured_loss(reference: ReferenceTask, name: str, value: np.ndarray) -> float:
    theta = {**reference.theta, name: value}
    outputs = execute(free_run(reference.task, reference.sequences, theta), reference.handler())
    loss = reference.task.loss(reference.sequences)
    return sum(loss.value(y, item.target, item.weight) for y, item in zip(outputs, reference.sequences, strict=True))


PARAMETERS = (
    "mass", "stiffness", "quadratic", "cubic", "quartic", "coupling", "friction", "input", "input_offset",
    "initial_position", "initial_momentum", "readout", "readout_offset",
)  # fmt: skip


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_exact_gradient_is_the_central_difference_of_the_measured_loss(name: str) -> None:
    reference = case()
    exact = reference.exact()[1][name]
    value, step = np.asarray(reference.theta[name]), 1e-5
    differences = np.zeros(value.shape)
    for index in np.ndindex(value.shape):
        ends = []
        for sign in (1, -1):
            moved = value.copy()
            moved[index] += sign * step
            if name == "friction" and index[0] != index[1]:
                moved[index[::-1]] += sign * step  # the matrix stays symmetric: both entries share one derivative
            ends.append(measured_loss(reference, name, moved))
        differences[index] = (ends[0] - ends[1]) / (2 * step)
    expected = exact + exact.T - np.diag(np.diag(exact)) if name == "friction" else exact
    assert exact.shape == value.shape
    assert np.linalg.norm(differences - expected) < 1e-7 * np.linalg.norm(expected) + 1e-9


def test_no_parameter_of_the_model_is_left_out() -> None:
    reference = case()
    assert set(reference.exact()[1]) == {*reference.model.parameters, "readout", "readout_offset"} == set(PARAMETERS)


def test_its_loss_is_the_loss_the_rig_measures() -> None:
    reference = case()
    assert reference.exact()[0] == pytest.approx(
        measured_loss(reference, "mass", np.asarray(reference.theta["mass"])), rel=1e-12
    )


def test_the_gradient_of_a_batch_is_the_sum_over_its_sequences() -> None:
    reference = case()
    whole = reference.exact()[1]
    scale = reference.task.loss(reference.sequences).scale
    parts = [exact_gradient(reference.task, [item], reference.theta) for item in reference.sequences]
    shares = [reference.task.loss([item]).scale / scale for item in reference.sequences]
    for name, value in whole.items():
        total = sum(share * part[1][name] for share, part in zip(shares, parts, strict=True))
        assert np.allclose(total, value, atol=1e-12 * (1 + np.abs(value).max()))


def test_an_input_that_a_sequence_does_not_drive_is_zero() -> None:
    reference = case()
    first = reference.sequences[0]
    silent = {name: first.inputs[name] for name in ("u1",)}
    zero = silent | {"u2": Waveform.of(np.zeros(first.samples), 2 * reference.task.step)}
    losses = [
        exact_gradient(reference.task, [replace(first, inputs=inputs)], reference.theta)[0] for inputs in (silent, zero)
    ]
    assert losses[0] == losses[1]


def test_a_read_out_on_a_velocity_is_refused_and_not_taken_for_a_position() -> None:
    with pytest.raises(ConfigurationError, match="v4 sees a velocity"):
        replace(case().task, channels=("v4", "q2"))
