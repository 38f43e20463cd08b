"""The nominal model read backwards: exact on exact paths, the likeliest motion on noisy ones."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from labrhel.arrays import Array
from labrhel.model.leapfrog import Trajectory, leapfrog
from protocols.inference.inverse_dynamics import InverseDynamics
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.reference import STEP, ReferenceTask, lossy_rig

STEPS = 300


def rig(seed: int = 3) -> tuple[ReferenceTask, InverseDynamics]:
    reference = lossy_rig(np.random.default_rng(seed))
    return reference, InverseDynamics(reference.model, reference.theta, STEP)


def moved(reference: ReferenceTask, drive: Array) -> tuple[Trajectory, Array]:
    model, theta = reference.model, reference.theta
    random = np.random.default_rng(1)
    q, p = random.normal(size=(2, model.size)) * 0.3
    ran = leapfrog(lambda x: model.force(x, theta), model.mass(theta), model.friction(theta), drive, STEP, q, p)
    return ran, p


def test_inverse_dynamics_undo_the_leapfrog() -> None:
    reference, inverse = rig()
    drive = np.random.default_rng(2).normal(size=(reference.model.size, STEPS))
    ran, p = moved(reference, drive)
    found = inverse.force(ran.q, p)
    assert_allclose(found[:, :-1], drive[:, :-1], atol=1e-12)
    assert_allclose(found[:, -1], found[:, -2])


def test_inertia_and_the_force_of_the_model_are_all_of_it() -> None:
    reference, inverse = rig()
    ran, p = moved(reference, np.zeros((reference.model.size, STEPS)))
    found = inverse.inertia(ran.q, p)
    assert_allclose(found[:, :-1], reference.model.force(ran.q[:, :-1], reference.theta), atol=1e-12)
    assert not found[:, -1].any()
    assert_allclose(inverse.inertia(2 * ran.q, -p), 2 * inverse.inertia(ran.q, -p / 2), atol=1e-9)


def test_a_row_alone_adds_what_a_little_of_it_does() -> None:
    reference, inverse = rig()
    n = reference.model.size
    ran, _ = moved(reference, np.zeros((n, STEPS)))
    rows, still, small = np.random.default_rng(4).normal(size=(n, STEPS)), np.zeros(n), 1e-5
    for i, found in enumerate(inverse.of_rows(rows, ran.q)):
        alone = np.zeros((n, STEPS))
        alone[i] = small * rows[i]
        difference = inverse.force(ran.q + alone, still) - inverse.force(ran.q - alone, still)
        assert_allclose(found, difference / (2 * small), atol=1e-5 * np.abs(found).max())
        assert np.abs(np.delete(found, i, axis=0)).max() > 1e-3  # springs and friction pull the others, too


def test_without_noise_a_deviation_is_taken_as_it_is() -> None:
    reference, inverse = rig()
    deviation = np.random.default_rng(0).normal(size=(reference.model.size, STEPS))
    assert inverse.smooth(deviation, deviation, np.zeros(reference.model.size)) is deviation


@pytest.mark.parametrize("noise", [1e-4, 1e-3])
def test_the_force_behind_a_noisy_deviation_is_found(noise: float) -> None:
    reference, inverse = rig()
    n, time = reference.model.size, STEP * np.arange(STEPS)
    drive = np.zeros((n, STEPS))
    extra = 0.03 * np.sin(0.7 * time + np.arange(n)[:, None])
    (still, p), (pushed, _) = moved(reference, drive), moved(reference, drive + extra)
    random = np.random.default_rng(5)
    measured = pushed.q - still.q + noise * random.normal(size=still.q.shape)
    x = inverse.smooth(measured, still.q, np.full(n, noise))
    true = pushed.q - still.q
    assert np.sqrt(np.mean((x - true) ** 2)) < 0.7 * noise
    found = inverse.force(still.q + x, p) - inverse.force(still.q, p)
    raw = inverse.force(still.q + measured, p) - inverse.force(still.q, p)
    error, unsmoothed = (np.sqrt(np.mean((item - extra) ** 2)) for item in (found, raw))
    assert error < 0.35 * np.sqrt(np.mean(extra**2))
    assert error < unsmoothed / 5


def test_noise_alone_is_explained_by_hardly_any_force() -> None:
    reference, inverse = rig()
    n = reference.model.size
    still, p = moved(reference, np.zeros((n, STEPS)))
    measured = 1e-3 * np.random.default_rng(8).normal(size=still.q.shape)
    x = inverse.smooth(measured, still.q, np.full(n, 1e-3))
    found = inverse.force(still.q + x, p) - inverse.force(still.q, p)
    assert np.sqrt(np.mean(found**2)) < 0.01  # read off directly it is 0.25


def test_the_whitened_forces_are_those_of_the_dense_covariance() -> None:
    reference, inverse = rig()
    n, steps, sigma, size = reference.model.size, 9, 0.3, 0.7
    path = moved(reference, np.zeros((n, STEPS)))[0].q[:, :steps]
    forces = np.random.default_rng(4).normal(size=(2, n, steps))
    rows = n * (steps - 1)
    operator = np.zeros((rows, rows))
    for column in range(rows):  # L by differences of the inverse dynamics themselves
        moved_by = np.zeros(rows)
        moved_by[column] = 1e-6
        x = np.concatenate([np.zeros((n, 1)), moved_by.reshape(steps - 1, n).T], axis=1)
        ends = [inverse.force(path + sign * x, np.zeros(n))[:, :-1].T.ravel() for sign in (1, -1)]
        operator[:, column] = (ends[0] - ends[1]) / 2e-6
    covariance = size**2 * np.eye(rows) + sigma**2 * operator @ operator.T
    found = inverse.whitened(forces, path, np.full(n, sigma), size)
    for one, answer in zip(forces, found, strict=True):
        expected = np.linalg.solve(covariance, one[:, :-1].T.ravel()).reshape(steps - 1, n).T
        assert_allclose(answer[:, :-1], expected, rtol=1e-5, atol=1e-8)
        assert not answer[:, -1].any()


def test_one_kick_shows_the_force_that_would_hold_it_there() -> None:
    model = OscillatorNetwork(2, nominal={"stiffness": [1.0, 2.0], "cubic": 0.5, "coupling": 0.0})
    path = np.array([[0.3], [-0.2]])
    found = InverseDynamics(model, {}, 0.1).force(path, np.zeros(2))
    np.testing.assert_allclose(found, [[0.3 + 0.5 * 0.3**3], [2 * -0.2 + 0.5 * (-0.2) ** 3]])


def dense(inverse: InverseDynamics, path: Array) -> Array:
    """L by columns, of the rows that the outcome of a kick is seen of, for coordinates after the first kick."""
    n, steps = path.shape
    columns = []
    for index in range(n * (steps - 1)):
        x = np.zeros((n, steps))
        x[index % n, 1 + index // n] = 1e-4
        away = inverse.force(path + x, np.zeros(n)) - inverse.force(path - x, np.zeros(n))
        columns.append(away[:, :-1].T.ravel() / 2e-4)
    return np.stack(columns, axis=1)


def test_where_channels_show_a_part_the_rest_is_that_of_the_smoother() -> None:
    reference, inverse = rig()
    n, steps = reference.model.size, 12
    path = moved(reference, np.zeros((n, steps)))[0].q
    sees = np.array([[0.0, 1, 0, 0, 0, 0], [0, 0, 0, 1, 0.5, 0]])
    information = sees.T @ sees / 0.01**2
    seen = np.linalg.pinv(sees) @ sees
    deviation = seen @ np.random.default_rng(5).normal(size=(n, steps)) * 0.05
    deviation[:, 0] = 0.0
    x, draws = inverse.completed(deviation, path, information, draws=4000)
    forces, weights = dense(inverse, path), np.kron(np.eye(steps - 1), information)
    right = weights @ deviation[:, 1:].T.ravel()
    # lambda is the only unknown: that for which this is the likeliest deviation.
    pull = forces.T @ (forces @ x[:, 1:].T.ravel())
    size = np.sqrt(np.linalg.norm(pull) / np.linalg.norm(right - weights @ x[:, 1:].T.ravel()))
    covariance = np.linalg.inv(forces.T @ forces / size**2 + weights)
    assert_allclose(x[:, 1:].T.ravel(), covariance @ right, atol=1e-5 * np.abs(x).max())
    assert not x[:, 0].any()
    flat = draws[:, :, 1:].transpose(0, 2, 1).reshape(4000, -1)
    assert_allclose(flat.std(axis=0), np.sqrt(np.diag(covariance)), rtol=0.08)
    rest = (deviation - x)[:, 1:]
    assert np.sqrt(np.sum(rest * (information @ rest)) / (2 * (steps - 1))) == pytest.approx(1, rel=0.3)


def test_what_the_model_explains_needs_no_force() -> None:
    reference, inverse = rig()
    path = moved(reference, np.zeros((6, 20)))[0].q
    x, draws = inverse.completed(np.full((6, 20), 1e-3), path, np.diag([0.0, 1e4, 0, 0, 0, 0]), draws=2)
    assert not x.any()
    assert not draws.any()
