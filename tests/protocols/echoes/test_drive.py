"""The drive of an echo: friction that is given back, a flip that is put right, a preparation that is kept."""

from dataclasses import replace

import numpy as np
import pytest

from labrhel.executor import execute
from labrhel.learning.task import Flip, TrialSequence
from labrhel.model.motion import run
from labrhel.shots.operations import Protocol, RunShots
from labrhel.shots.program import Rest
from protocols.echoes.drive import EchoDrive
from protocols.echoes.preparation import affordable_preparation
from protocols.forward.forward import ForwardBatch, read_forward
from protocols.forward.geometry import Geometry
from simbackend.rigs.reference import ReferenceTask
from simbackend.testing.small_rig import FRICTION, small_rig


def forward(rig: ReferenceTask) -> ForwardBatch:
    """The forward passes of a rig, read."""

    def protocol() -> Protocol[ForwardBatch]:
        geometry = Geometry(rig.task.capabilities)
        programs = tuple(rig.task.forward(item, rig.theta, geometry.channels, keep=True) for item in rig.sequences)
        captures = yield RunShots(programs)
        return read_forward(rig.task, geometry, rig.sequences, captures, rig.theta)

    return execute(protocol(), rig.handler())


def end_of(rig: ReferenceTask, place: int) -> tuple[np.ndarray, np.ndarray]:
    """Position and momentum of the model half a step after the last kick of a forward pass."""
    model, theta = rig.model, rig.theta
    item = forward(rig).passes[place]
    ran = run(
        model, theta, model.input_force(item.u, theta), 0.1,
        np.array(theta["initial_position"])[None], np.array(theta["initial_momentum"])[None],
    )  # fmt: skip
    assert np.allclose(ran.q[0], item.q, atol=1e-12)
    return ran.end_position[0], ran.end_momentum[0]


def test_friction_is_given_back_twice_against_the_recorded_velocity() -> None:
    rig = small_rig()
    item = forward(rig).passes[1]
    drive = EchoDrive.of(rig.task, rig.theta, item, FRICTION, from_rest=False)
    assert drive.prepared == 0
    assert np.array_equal(drive.path, item.q[:, ::-1])
    assert np.allclose(drive.force, -2 * FRICTION @ item.v[:, ::-1])
    assert drive.echo_force is not None and drive.echo_force.shape == (3, 39)
    assert drive.preparation_force.shape == (3, 0)


def echo(rig: ReferenceTask, drive: EchoDrive, place: int, start: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Positions of the model along the echo part of a drive, with the input replayed backwards."""
    item = forward(rig).passes[place]
    force = drive.echo_force + rig.model.input_force(item.u[:, ::-1], rig.theta)
    return run(rig.model, rig.theta, force, 0.1, start[0][None], start[1][None]).q[0]


@pytest.mark.parametrize("flip", [Flip(1.0, np.zeros(3)), Flip(0.9, np.array([0.05, -0.02, 0.03]))])
def test_an_echo_after_a_flip_as_it_was_calibrated_comes_back(flip: Flip) -> None:
    rig = small_rig()
    calibrated = replace(rig, task=replace(rig.task, flip=flip))
    item = forward(rig).passes[0]
    drive = EchoDrive.of(calibrated.task, rig.theta, item, FRICTION, from_rest=False)
    q, p = end_of(rig, 0)
    found = echo(rig, drive, 0, (q, -flip.gain * p + flip.offset))
    # Two kicks put the momenta right; what is left is of the first kick alone, and of the order of the step squared.
    assert np.abs(found - item.q[:, ::-1])[:, 2:].max() < 2e-3
    if flip.gain == 1.0:
        assert np.abs(found - item.q[:, ::-1]).max() < 1e-12


def test_a_flip_that_is_wrong_is_seen_without_the_two_kicks() -> None:
    rig = small_rig()
    item = forward(rig).passes[0]
    drive = EchoDrive.of(rig.task, rig.theta, item, FRICTION, from_rest=False)
    q, p = end_of(rig, 0)
    assert np.abs(echo(rig, drive, 0, (q, -0.9 * p)) - item.q[:, ::-1])[:, 2:].max() > 2e-2


def test_the_kicks_of_a_flip_are_three_halves_and_minus_one_half_of_what_lacks() -> None:
    rig = small_rig()
    flip = Flip(0.8, np.array([0.1, -0.2, 0.3]))
    item = forward(rig).passes[1]
    plain = EchoDrive.of(rig.task, rig.theta, item, FRICTION, from_rest=False)
    drive = EchoDrive.of(replace(rig.task, flip=flip), rig.theta, item, FRICTION, from_rest=False)
    _, p = end_of(rig, 1)
    lacking = (0.8 - 1) * p - flip.offset
    added = drive.force - plain.force
    assert np.allclose(added[:, 0], 1.5 * lacking / 0.1)
    assert np.allclose(added[:, 1], -0.5 * lacking / 0.1)
    assert np.allclose(added[:, 2:], 0.0)


@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_an_echo_from_rest_is_prepared_at_the_reversed_end_of_the_forward_pass(noise: float) -> None:
    rig = small_rig(noise)
    batch = forward(rig)
    item = batch.passes[0]
    drive = EchoDrive.of(rig.task, rig.theta, item, FRICTION, from_rest=True)
    assert drive.prepared > 0
    assert np.array_equal(drive.path[:, drive.prepared :], item.q[:, ::-1])
    q, p = end_of(small_rig(), 0)
    offset = rig.model.input_force(np.zeros((1, 1)), rig.theta)
    still = np.zeros((1, 3))
    ran = run(rig.model, rig.theta, drive.preparation_force + offset, 0.1, still, still)
    tolerance = 1e-9 if noise == 0 else 3e-5
    assert np.allclose(ran.q[0], drive.path[:, : drive.prepared], atol=tolerance)
    assert np.allclose(ran.end_position[0], q, atol=tolerance)
    assert np.allclose(ran.end_momentum[0], -p, atol=tolerance)


@pytest.mark.parametrize("kicks", [40, 55])
def test_a_preparation_of_a_given_length_arrives_as_well_and_leaves_the_echo(kicks: int) -> None:
    rig = small_rig()
    item = forward(rig).passes[0]
    free = EchoDrive.of(rig.task, rig.theta, item, FRICTION, from_rest=True)
    made = EchoDrive.of(rig.task, rig.theta, item, FRICTION, from_rest=True, kicks=kicks)
    assert made.prepared == kicks != free.prepared
    assert np.array_equal(made.path[:, kicks:], free.path[:, free.prepared :])
    assert np.array_equal(made.echo_force, free.echo_force)
    offset = rig.model.input_force(np.zeros((1, 1)), rig.theta)
    still = np.zeros((1, 3))
    ran = run(rig.model, rig.theta, made.preparation_force + offset, 0.1, still, still)
    q, p = end_of(small_rig(), 0)
    assert np.allclose(ran.end_position[0], q, atol=1e-9) and np.allclose(ran.end_momentum[0], -p, atol=1e-9)


def test_the_end_of_a_noisy_pass_is_fitted_and_not_taken_from_its_last_two_readings() -> None:
    noise = 2e-3
    rig = small_rig(noise)
    item = forward(rig).passes[0]
    drive = EchoDrive.of(rig.task, rig.theta, item, FRICTION, from_rest=True)
    still = np.zeros((1, 3))
    offset = rig.model.input_force(np.zeros((1, 1)), rig.theta)
    end = run(rig.model, rig.theta, drive.preparation_force + offset, 0.1, still, still).end_momentum[0]
    _, p = end_of(small_rig(), 0)
    from_two = np.sqrt(2) * noise * np.array([1.0, 0.7, 1.3]) / 0.1
    assert np.sqrt(np.mean((end + p) ** 2)) < 0.4 * np.sqrt(np.mean(from_two**2))


def shortened(kicks: int) -> ReferenceTask:
    """The small rig with passes of so many kicks, each of them a sample."""
    rig = small_rig()
    sequences = tuple(
        TrialSequence(item.name, item.inputs, item.target[:, :kicks], item.weight[:kicks]) for item in rig.sequences
    )
    return replace(rig, sequences=sequences, task=replace(rig.task, every=1))


@pytest.mark.parametrize("kicks", [1, 2, 3])
def test_passes_of_few_kicks_have_an_end_and_a_flip_too(kicks: int) -> None:
    rig, flip = shortened(kicks), Flip(0.8, np.array([0.1, -0.2, 0.3]))
    item = forward(rig).passes[0]
    plain = EchoDrive.of(rig.task, rig.theta, item, FRICTION, from_rest=False)
    drive = EchoDrive.of(replace(rig.task, flip=flip), rig.theta, item, FRICTION, from_rest=False)
    model, theta = rig.model, rig.theta
    start = (np.array(theta["initial_position"])[None], np.array(theta["initial_momentum"])[None])
    p = run(model, theta, model.input_force(item.u, theta), 0.1, *start).end_momentum[0]
    lacking = (0.8 - 1) * p - flip.offset
    expected = np.zeros((3, kicks))
    expected[:, 0] = 1.5 * lacking / 0.1
    if kicks > 1:
        expected[:, 1] = -0.5 * lacking / 0.1
    assert np.allclose(drive.force - plain.force, expected)


def test_a_pass_of_one_kick_that_began_at_rest_has_the_momentum_of_that_kick_alone() -> None:
    rig, flip = shortened(1), Flip(0.8, np.zeros(3))
    item = forward(rig).passes[0]
    item = replace(item, program=replace(item.program, prepare=Rest()))
    model, theta, mass = rig.model, rig.theta, np.diag(rig.model.mass(rig.theta))
    force = model.force(item.q[:, -1], theta) + model.input_force(item.u, theta)[:, 0]
    p = mass @ np.linalg.solve(mass + 0.05 * FRICTION, 0.1 * force)
    plain, drive = (
        EchoDrive.of(task, theta, item, FRICTION, from_rest=False) for task in (rig.task, replace(rig.task, flip=flip))
    )
    assert np.allclose((drive.force - plain.force)[:, 0], 1.5 * -0.2 * p / 0.1)


def test_a_preparation_may_push_twice_as_hard_as_the_strongest_input() -> None:
    rig = small_rig()
    item = forward(rig).passes[0]
    drive = EchoDrive.of(rig.task, rig.theta, item, FRICTION, from_rest=True)
    q, p = end_of(rig, 0)
    peak = np.abs(rig.model.input_force(item.u, rig.theta)).max()
    kicks = [
        affordable_preparation(rig.model, rig.theta, q, -p, 0.1, 39, part * peak).force.shape[1] for part in (1, 0)
    ]
    assert drive.prepared == kicks[0] < kicks[1]
