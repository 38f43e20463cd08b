"""Reversal by drive: a preparation from rest in place of a flip."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import least_squares

from labrhel.errors import ProgramError
from labrhel.learning.estimator import Estimator
from labrhel.model.leapfrog import leapfrog
from labrhel.model.motion import run
from labrhel.model.preparation import preparation
from labrhel.rig.capabilities import Converter, Kind, Reversal
from protocols.echoes.preparation import LARGEST_PEAK, affordable_preparation, end_state, fitted_end_state
from protocols.rhel import RHEL
from simbackend.rigs.reference import STEP, STEPS, ReferenceTask, lossy_rig, reference_rig
from simbackend.rigs.simulated import SimulatedRig
from simbackend.testing.small_rig import small_rig


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


def test_a_fit_runs_each_state_that_it_tries_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reference, tried = lossy_rig(np.random.default_rng(2)), list[bytes]()

    def counted(model: Any, theta: Any, forces: Any, step: float, position: np.ndarray, momentum: np.ndarray) -> Any:
        tried.append(position[:1].tobytes() + momentum[:1].tobytes())
        return run(model, theta, forces, step, position, momentum)

    monkeypatch.setattr("protocols.echoes.preparation.run", counted)
    n, random = reference.model.size, np.random.default_rng(3)
    fitted_end_state(reference.model, reference.theta, 0.3 * random.normal(size=(n, 100)), np.zeros((1, 100)), STEP)
    assert len(tried) > 3
    assert len(set(tried[:-1])) == len(tried[:-1])  # the last is the motion of the one that was found


def test_a_rig_that_did_not_move_ends_at_rest() -> None:
    reference = reference_rig()
    still = np.zeros((6, 100))
    ends = fitted_end_state(reference.model, reference.theta, still, np.zeros((1, 100)), STEP)
    assert np.abs(np.concatenate(ends)).max() < 1e-12


# -- the end of a pass, and how long a preparation takes, on a rig of three oscillators --------------------------------


def passed(kicks: int, cubic: float = 0.3) -> tuple[ReferenceTask, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The small rig after so many kicks: positions and inputs at the kicks, and the end of the motion."""
    rig = small_rig(cubic=cubic)
    model, theta = rig.model, rig.theta
    u = np.sin(0.4 * np.arange(kicks))[None]
    ran = leapfrog(
        lambda q: model.force(q, theta), model.mass(theta), model.friction(theta), model.input_force(u, theta), STEP,
        theta["initial_position"], theta["initial_momentum"],
    )  # fmt: skip
    return rig, ran.q, u, ran.end_position, ran.end_momentum


@pytest.mark.parametrize("kicks", [1, 2, 30])
def test_the_end_of_a_quiet_pass_is_exact_however_few_its_kicks(kicks: int) -> None:
    rig, q, u, position, momentum = passed(kicks)
    found = end_state(rig.model, rig.theta, q, u, STEP, rig.theta["initial_momentum"])
    assert np.allclose(found[0], position, rtol=0, atol=1e-13)
    assert np.allclose(found[1], momentum, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kicks", [2, 3, 8, 60])
def test_the_fitted_end_of_a_quiet_pass_is_exact_too(kicks: int) -> None:
    rig, q, u, position, momentum = passed(kicks)
    found = fitted_end_state(rig.model, rig.theta, q, u, STEP)
    assert np.allclose(found[0], position, rtol=0, atol=1e-8)
    assert np.allclose(found[1], momentum, rtol=0, atol=1e-7)


def test_a_fit_looks_at_the_end_of_the_pass_alone() -> None:
    rig, q, u, position, momentum = passed(200)
    early = q.copy()
    count = int(np.ceil(2 * np.pi * rig.model.largest_step(rig.theta) / STEP))  # two periods of the fastest mode
    early[:, : 200 - count] += 5.0
    found = fitted_end_state(rig.model, rig.theta, early, u, STEP)
    assert np.allclose(np.concatenate(found), np.concatenate([position, momentum]), atol=1e-6)
    early[:, 200 - count] += 0.5
    assert not np.allclose(
        np.concatenate(fitted_end_state(rig.model, rig.theta, early, u, STEP)), np.concatenate([position, momentum]),
        atol=1e-3,
    )  # fmt: skip


def test_where_the_model_has_no_motion_the_end_is_taken_from_the_last_readings() -> None:
    rig = small_rig(cubic=-1e6)
    _, q, u, _, _ = passed(40)
    found = fitted_end_state(rig.model, rig.theta, 10 * q, u, STEP)
    expected = end_state(rig.model, rig.theta, 10 * q, u, STEP, np.zeros(3))
    assert np.array_equal(found[0], expected[0]) and np.array_equal(found[1], expected[1])


def peaks(rig: ReferenceTask, lengths: list[int], state: tuple[np.ndarray, np.ndarray]) -> list[float]:
    return [preparation(rig.model, rig.theta, *state, STEP, steps).peak for steps in lengths]


@pytest.mark.parametrize(
    ("forward_steps", "lengths"), [(100, [25, 50, 100, 200, 400]), (40, [16, 32, 64, 128, 160]), (3, [16])]
)
def test_a_preparation_is_the_shortest_of_its_lengths_that_is_weak_enough(
    forward_steps: int, lengths: list[int]
) -> None:
    rig, state = small_rig(cubic=0.0), (np.array([0.5, -0.3, 0.2]), np.array([0.4, 0.1, -0.6]))
    found = peaks(rig, lengths, state)
    assert all(longer <= 0.75 * shorter for shorter, longer in itertools.pairwise(found[:3]))
    for place in range(min(3, len(lengths))):
        for factor in (1.001, 0.999):
            chosen = affordable_preparation(
                rig.model, rig.theta, *state, STEP, forward_steps, factor * found[place] / LARGEST_PEAK
            )
            wanted = place if factor > 1 else min(place + 1, len(lengths) - 1)
            assert chosen.force.shape[1] == lengths[wanted]
    longest = affordable_preparation(rig.model, rig.theta, *state, STEP, forward_steps, 0.0)
    assert longest.force.shape[1] in lengths


def test_a_preparation_that_doubles_without_a_quarter_less_force_is_not_lengthened() -> None:
    rig, state = small_rig(cubic=40.0), (np.array([0.9, -0.8, 0.7]), np.array([1.4, 1.1, -1.6]))
    lengths = [25, 50, 100, 200, 400]
    found = peaks(rig, lengths, state)
    place = next(place for place in range(4) if not found[place + 1] <= 0.75 * found[place])
    assert place < 3 and min(found[place + 1 :]) > 0.0
    chosen = affordable_preparation(rig.model, rig.theta, *state, STEP, 100, 0.0)
    assert chosen.force.shape[1] == lengths[place]


def test_a_model_without_a_bounded_motion_has_no_preparation() -> None:
    rig = small_rig(cubic=-1e9)
    with pytest.raises(ProgramError, match="has no bounded motion from the end of the forward pass"):
        affordable_preparation(rig.model, rig.theta, np.ones(3), np.ones(3), STEP, 100, 1.0)


def test_the_end_of_a_noisy_pass_is_that_of_the_best_fit_to_the_last_digits() -> None:
    """Another least-squares routine, from another start, finds the same end."""
    rig, q, u, _, _ = passed(60, cubic=1.5)
    model, theta = rig.model, rig.theta
    seen = q + 0.3 * np.random.default_rng(3).normal(size=q.shape)
    count = int(np.ceil(2 * np.pi * model.largest_step(theta) / STEP))
    force = model.input_force(u[:, -count:], theta)

    def ran(state: np.ndarray) -> Any:
        return run(model, theta, force, STEP, state[None, :3], state[None, 3:])

    fit = least_squares(lambda x: (ran(x).q[0] - seen[:, -count:]).ravel(), np.zeros(6), "3-point", method="trf",
                        ftol=1e-15, xtol=1e-15, gtol=1e-15)  # fmt: skip
    position, momentum = fitted_end_state(model, theta, seen, u, STEP)
    end = ran(fit.x)
    assert np.allclose(position, end.end_position[0], rtol=0, atol=3e-7)
    assert np.allclose(momentum, end.end_momentum[0], rtol=0, atol=3e-7)
