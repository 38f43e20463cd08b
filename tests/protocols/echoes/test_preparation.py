"""Reversal by drive: a preparation from rest in place of a flip."""

from dataclasses import replace

import numpy as np
import pytest

from labrhel.errors import ProgramError
from labrhel.learning.estimator import Estimator
from labrhel.model.leapfrog import leapfrog
from labrhel.model.preparation import preparation
from labrhel.rig.capabilities import Converter, Kind, Reversal
from protocols.echoes.preparation import LARGEST_PEAK, affordable_preparation, end_state, fitted_end_state
from protocols.rhel import RHEL
from simbackend.rigs.reference import STEP, STEPS, ReferenceTask, lossy_rig, reference_rig
from simbackend.rigs.simulated import SimulatedRig


def without_flip(reference: ReferenceTask) -> ReferenceTask:
    rig = SimulatedRig(reference.model, offers=frozenset({Reversal.BY_DRIVE}))
    return replace(reference, rig=rig, task=replace(reference.task, capabilities=rig.capabilities))


@pytest.mark.parametrize("seed", range(5))
def test_a_lossy_rig_without_flip_retraces_and_has_its_exact_gradient(seed: int) -> None:
    reference = without_flip(lossy_rig(np.random.default_rng(seed)))
    assert reference.gradient(RHEL(Estimator.ONE_SIDED), ("coupling",)).retrace_error < 1e-12
    gradient = reference.gradient(RHEL())
    assert reference.compare(gradient)[1] < 1e-7
    assert not gradient.warnings


def test_it_takes_three_shots_and_no_second_forward_pass() -> None:
    gradient = without_flip(reference_rig()).gradient(RHEL(eps=1e-4), ("coupling",))
    assert (gradient.shots, gradient.passes) == (3, 5)  # forward; preparation and echo, twice


def test_a_longer_preparation_takes_less_force_and_is_chosen_where_needed() -> None:
    reference = reference_rig()
    model, theta = reference.model, reference.theta
    position, momentum = np.full(model.size, 0.5), np.full(model.size, 0.5)
    short, long = (
        preparation(model, theta, position, momentum, STEP, steps).peak for steps in (50, 800)
    )  # fmt: skip
    assert long < short / 5
    chosen = affordable_preparation(model, theta, position, momentum, STEP, STEPS, short / LARGEST_PEAK / 2)
    assert chosen.peak <= short / 2
    assert chosen.force.shape[1] > 50


def test_a_drive_that_the_converter_cannot_reach_is_refused_before_anything_moves() -> None:
    reference = without_flip(reference_rig())
    capabilities = reference.task.capabilities
    ports = tuple(
        replace(port, converter=Converter(12, -1e-3, 1e-3)) if port.kind is Kind.FORCE else port
        for port in capabilities.ports
    )
    weak = replace(capabilities, ports=ports)
    reference.rig.capabilities = weak
    with pytest.raises(ProgramError, match="lengthen the preparation"):
        replace(reference, task=replace(reference.task, capabilities=weak)).gradient(RHEL(), ("coupling",))


def test_an_oscillator_that_no_port_reaches_cannot_be_prepared() -> None:
    reference = without_flip(reference_rig())
    capabilities = reference.task.capabilities
    matrix = capabilities.drive_matrix.values.copy()
    matrix[2, 2] = 0.0
    deaf = replace(capabilities, drive_matrix=type(capabilities.drive_matrix)(matrix))
    with pytest.raises(ProgramError, match="reaches oscillator 3"):
        replace(reference, task=replace(reference.task, capabilities=deaf)).gradient(RHEL(), ("coupling",))


@pytest.mark.parametrize(("noise", "tolerance"), [(0.0, 1e-9), (1e-3, 1e-3)])
def test_the_end_of_a_noisy_forward_pass_is_fitted_with_the_nominal_model(noise: float, tolerance: float) -> None:
    reference = lossy_rig(np.random.default_rng(1))
    model, theta, (sequence,) = reference.model, reference.theta, reference.sequences
    u = np.stack([sequence.inputs[name].on_grid(STEP, STEPS) for name in model.inputs])
    ran = leapfrog(
        lambda q: model.force(q, theta), model.mass(theta), model.friction(theta), model.input_force(u, theta), STEP,
        theta["initial_position"], theta["initial_momentum"],
    )  # fmt: skip
    seen = ran.q + noise * np.random.default_rng(2).normal(size=ran.q.shape)
    q, p = fitted_end_state(model, theta, seen, u, STEP)
    assert np.abs(q - ran.end_position).max() < tolerance
    assert np.abs(p - ran.end_momentum).max() < 2 * tolerance
    if noise:  # two readings alone
        rough = end_state(model, theta, seen, u, STEP, theta["initial_momentum"])[1]
        assert np.abs(rough - ran.end_momentum).max() > 5 * np.abs(p - ran.end_momentum).max()


def test_a_rig_that_did_not_move_ends_at_rest() -> None:
    reference = reference_rig()
    still = np.zeros((6, 100))
    ends = fitted_end_state(reference.model, reference.theta, still, np.zeros((1, 100)), STEP)
    assert np.abs(np.concatenate(ends)).max() < 1e-12
