from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from labrhel.model.leapfrog import KickMatrices, Trajectory, leapfrog

N = 3
MASS = np.array([0.8, 1.0, 1.4])
ROOT = np.random.default_rng(5).normal(size=(N, N))
FRICTION = 0.15 * ROOT @ ROOT.T
START = np.array([0.5, -0.3, 0.2]), np.array([0.1, 0.4, -0.2])
Vector = np.ndarray


def force(q: Vector) -> Vector:
    return -np.array([1.0, 1.5, 0.7]) * q - 0.1 * q**2 - 0.4 * q**3 + 0.2 * (q[::-1] - q)


def drive_at(time: float | Vector) -> Vector:
    return np.array([0.5 * np.sin(1.3 * time), 0 * time, 0.2 * np.cos(0.7 * time)])


def run(step: float, duration: float, friction: Vector = FRICTION) -> Trajectory:
    steps = round(duration / step)
    times = step * (np.arange(steps) + 0.5)  # the state starts half a step before the first kick
    return leapfrog(force, MASS, friction, drive_at(times), step, *START)


def retraced(forward: Trajectory, drive: Vector, friction: Vector, step: float, law: Callable = force) -> Trajectory:
    compensation = -friction @ (forward.v_before + forward.v_after)
    return leapfrog(
        law, MASS, friction, (drive + compensation)[:, ::-1], step, forward.end_position, -forward.end_momentum
    )


@pytest.mark.parametrize("friction", [np.zeros((N, N)), np.diag(np.diag(FRICTION)), FRICTION])
def test_the_leapfrog_converges_with_order_two_to_an_independent_solver(friction: Vector) -> None:
    def slope(time: float, state: Vector) -> Vector:
        q, p = state[:N], state[N:]
        return np.concatenate([p / MASS, force(q) + drive_at(time) - friction @ (p / MASS)])

    exact = solve_ivp(slope, (0, 8), np.concatenate(START), rtol=1e-12, atol=1e-13, method="DOP853").y[:, -1]
    errors = []
    for step in (0.08, 0.04, 0.02):
        trajectory = run(step, 8.0, friction)
        errors.append(np.linalg.norm(np.concatenate([trajectory.end_position, trajectory.end_momentum]) - exact))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.allclose(orders, 2, atol=0.05)
    assert errors[-1] < 1e-3


def test_positions_and_velocities_belong_to_the_kicks() -> None:
    solution = solve_ivp(
        lambda time, y: np.concatenate([y[N:] / MASS, force(y[:N]) + drive_at(time) - FRICTION @ (y[N:] / MASS)]),
        (0, 4), np.concatenate(START), rtol=1e-12, atol=1e-13, dense_output=True,
    )  # fmt: skip
    errors = []
    for step in (0.04, 0.02):
        trajectory = run(step, 4.0)
        at_kicks = solution.sol(step * (np.arange(trajectory.q.shape[1]) + 0.5))
        errors.append(
            [np.abs(trajectory.q - at_kicks[:N]).max(), np.abs(trajectory.v - at_kicks[N:] / MASS[:, None]).max()]
        )
    assert np.allclose(np.log2(np.array(errors[0]) / errors[1]), 2, atol=0.1)


@pytest.mark.parametrize("friction", [np.zeros((N, N)), FRICTION])
def test_flip_and_driven_echo_retrace_the_forward_pass(friction: Vector) -> None:
    step, steps = 0.1, 400
    drive = drive_at(step * np.arange(steps))
    forward = leapfrog(force, MASS, friction, drive, step, *START)
    echo = retraced(forward, drive, friction, step)
    assert np.abs(echo.q[:, ::-1] - forward.q).max() < 1e-12
    assert np.abs(echo.v_after[:, ::-1] + forward.v_before).max() < 1e-12
    assert np.abs(echo.end_position - START[0]).max() < 1e-12
    assert np.abs(echo.end_momentum + START[1]).max() < 1e-12


def test_without_the_compensation_a_lossy_echo_does_not_retrace() -> None:
    step, steps = 0.1, 200
    drive = drive_at(step * np.arange(steps))
    forward = leapfrog(force, MASS, FRICTION, drive, step, *START)
    echo = leapfrog(force, MASS, FRICTION, drive[:, ::-1], step, forward.end_position, -forward.end_momentum)
    assert np.abs(echo.q[:, ::-1] - forward.q).max() > 0.1


def energy(trajectory: Trajectory) -> Vector:
    """Energy at the kicks, the kinetic one from the mean of the squares before and after."""
    q, square = trajectory.q, (trajectory.v_before**2 + trajectory.v_after**2) / 2
    potential = (np.array([[1.0], [1.5], [0.7]]) * q**2 / 2 + 0.1 * q**3 / 3 + 0.1 * q**4).sum(axis=0)
    springs = 0.2 * (q[0] - q[2]) ** 2 / 2
    return potential + springs + (MASS[:, None] * square).sum(axis=0) / 2


def test_without_friction_and_drive_the_energy_stays_and_its_wobble_is_of_order_two() -> None:
    wobbles = []
    for step in (0.1, 0.05):
        kept = energy(leapfrog(force, MASS, np.zeros((N, N)), np.zeros((N, round(200 / step))), step, *START))
        wobbles.append(np.ptp(kept) / kept.mean())
        assert abs(kept[-100:].mean() / kept[:100].mean() - 1) < 5e-3
    assert np.log2(wobbles[0] / wobbles[1]) == pytest.approx(2, abs=0.3)


def test_friction_takes_energy_at_the_rate_of_its_trace() -> None:
    gamma, step = 0.02, 0.05
    free = leapfrog(lambda q: -q, np.ones(1), np.array([[gamma]]), np.zeros((1, 2000)), step, np.ones(1), np.zeros(1))
    amplitude = np.hypot(free.end_position[0], free.end_momentum[0])
    assert amplitude**2 == pytest.approx(np.exp(-gamma * 2000 * step), rel=0.03)


def test_the_kick_matrices_solve_the_friction_step() -> None:
    step = 0.1
    kick = KickMatrices.of(MASS, FRICTION, step)
    p, f = np.array([0.3, -0.2, 0.5]), np.array([1.0, 2.0, -1.0])
    after = kick.keep @ p + kick.push @ (step * f)
    assert np.allclose(after - p, step * (f - FRICTION @ ((p + after) / 2 / MASS)), atol=1e-15)


def test_what_is_handed_in_is_not_changed() -> None:
    before = [part.copy() for part in START]
    run(0.1, 1.0)
    assert all(np.array_equal(*pair) for pair in zip(before, START, strict=True))
