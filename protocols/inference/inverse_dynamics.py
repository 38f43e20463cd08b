"""What force would explain a path: the nominal model read backwards, with as little of a reading's noise as can be.

Inverse dynamics of the leapfrog (`labrhel.model.leapfrog`), exact for any path y (n, steps) at the kicks that starts
with the momentum p_0: with p_k = M (y_k - y_(k-1))/d before kick k,

    F(y)_k = (A p_(k+1) - B p_k)/d + dV/dq(y_k),            A = 1 + (d/2) G M^-1,   B = 1 - (d/2) G M^-1

Read off a noisy path it is noise: two differences amplify a reading by m/d^2.  A deviation of a path, measured with
noise, is therefore first replaced by the likeliest one,

    x = argmin  sum_k |delta_k - x_k|^2/sigma^2 + sum_k |(L x)_k|^2/lambda^2,

where L is F linearised along the path, and lambda, the size of the forces, is the smallest that explains the readings
up to their noise.  It is a Kalman smoother whose state model is the rig's own; the normal equations are banded, so it
costs time in proportion to the number of kicks.

Source: derived and tested in this project (docs/echo-lock.md); norm-optimal iterative learning control after Amann,
Owens & Rogers (1996).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky_banded, solve_banded, solveh_banded

from labrhel.arrays import Array, Arrays
from labrhel.model.interface import Model
from labrhel.model.motion import hessian_along, quick_hessian_along

_DECADES, _HALVINGS = 6.0, 7  # of the size of the unexplained force, around the noisy one; found to a tenth of a decade
_LEAST_NOISE = 1e-3  # of the noisiest channel; without noise at all a reading would weigh infinitely


@dataclass(frozen=True, slots=True)
class InverseDynamics:
    """The nominal `model` at `theta`, on the grid of `step` [model time]."""

    model: Model
    theta: Arrays
    step: float

    def force(self, path: Array, start_momentum: Array) -> Array:
        """F(path) (n, steps) without inputs; of the last kick, whose outcome no path shows, that of the one before.

        One kick alone shows no force: what the springs need to hold it there.
        """
        if path.shape[1] < 2:
            return -self.model.force(path, self.theta)
        found = self.inertia(path, start_momentum)
        found[:, :-1] -= self.model.force(path[:, :-1], self.theta)
        found[:, -1] = found[:, -2]
        return found

    def inertia(self, path: Array, start_momentum: Array) -> Array:
        """The part of F(path) (n, steps) that masses and friction need; linear in both, and zero of the last kick."""
        mass, friction = self._matrices()
        p = np.concatenate([start_momentum[:, None], mass @ np.diff(path, axis=1) / self.step], axis=1)
        half = self.step / 2 * friction / np.diag(mass)  # as in `labrhel.model.leapfrog.KickMatrices`
        grown = p[:, 1:] + half @ p[:, 1:] - p[:, :-1] + half @ p[:, :-1]
        return np.concatenate([grown / self.step, np.zeros((len(path), 1))], axis=1)

    def of_rows(self, rows: Array, path: Array) -> Iterator[Array]:
        """By row of `rows` (n, steps), the F (n, steps) that this row alone adds to that of `path`, where it is small.

        By the model linearised along the path.
        """
        earlier, later = self._neighbours()
        stiffness, change = quick_hessian_along(self.model, self.theta, path), np.diff(rows, axis=1)
        for i, row in enumerate(rows):
            found = stiffness[:, :, i].T * row
            found[:, :-1] += np.outer(later[:, i], change[i])
            found[:, 1:-1] -= np.outer(earlier[:, i], change[i, :-1])
            found[:, -1] = found[:, -2]
            yield found

    def smooth(self, deviation: Array, path: Array, sigma: Array) -> Array:
        """The likeliest deviation (n, steps) from `path`, of one measured with noise `sigma` (n,), zero at its start.

        lambda is the smallest that leaves no more than the noise unexplained (Morozov's discrepancy principle); with
        sigma zero the answer is the deviation itself.
        """
        if not sigma.any() or path.shape[1] < 3:
            return deviation
        sigma = np.maximum(sigma, _LEAST_NOISE * float(sigma.max()))[:, None]
        equations = _Equations.of(*self._operator(path))

        def left(x: Array) -> float:
            return float(np.sqrt(np.mean(((deviation - x)[:, 1:] / sigma) ** 2)))

        def solved(size: float) -> Array:
            weights = (size / sigma[:, 0]) ** 2
            return equations.solve(weights[:, None] * deviation[:, 1:], weights)

        scale = float(np.sqrt(np.mean(equations.raw(deviation) ** 2))) or 1.0
        return _smallest(solved, left, scale, np.zeros_like(deviation))[0]

    def completed(self, deviation: Array, path: Array, information: Array, draws: int = 0) -> tuple[Array, Array]:
        """The likeliest deviation (n, steps) where channels show only part of it, and `draws` of what it may be off by.

        `deviation` as far as it is seen, zero elsewhere; `information` (n, n): C^T R^-1 C of one reading.  lambda as in
        `smooth`; the draws (draws, n, steps) have the covariance (L^T L/lambda^2 + C^T R^-1 C)^-1 of the smoother.
        """
        if path.shape[1] < 3:
            return deviation, np.zeros((draws, *deviation.shape))
        equations = _Equations.of(*self._operator(path))
        told = int(np.linalg.matrix_rank(information, hermitian=True)) * (path.shape[1] - 1)

        def left(x: Array) -> float:
            rest = (deviation - x)[:, 1:]
            return float(np.sqrt(np.sum(rest * (information @ rest)) / told))

        def solved(size: float) -> Array:
            weights = size**2 * information
            return equations.solve(weights @ deviation[:, 1:], weights)

        rest = np.zeros_like(deviation)
        if left(rest) <= 1:  # the model alone explains all that is seen
            return rest, np.zeros((draws, *deviation.shape))
        scale = float(np.sqrt(np.mean(equations.raw(deviation) ** 2))) or 1.0
        x, size = _smallest(solved, left, scale, rest)
        return x, size * equations.draws(size**2 * information, draws)

    def whitened(self, unexplained: Array, path: Array, sigma: Array, size: float) -> Array:
        """C^-1 times `unexplained` forces (..., n, steps), for generalised least squares.

        C = lambda^2 + L sigma^2 L^T is the covariance of inverse dynamics read off a path measured with noise `sigma`
        (n,) where unknown forces of `size` lambda act, too; without noise the answer is `unexplained` / lambda^2.
        """
        rows = unexplained.copy()
        rows[..., -1] = 0.0  # no row of L: its outcome is not seen
        if not sigma.any() or path.shape[1] < 3:
            return rows / size**2
        equations = _Equations.of(*self._operator(path))
        weights = (size / np.maximum(sigma, _LEAST_NOISE * float(sigma.max()))) ** 2
        flat = rows.reshape(-1, *rows.shape[-2:])
        x = equations.solve(-equations.pulled(flat), weights)
        return ((flat + equations.raw(x)) / size**2).reshape(rows.shape)

    def _operator(self, path: Array) -> tuple[Array, Array, Array]:
        """L by its blocks, (L x)_k = earlier x_(k-1) + here_k x_k + later x_(k+1): (n, n), (steps, n, n), (n, n)."""
        earlier, later = self._neighbours()
        return earlier, hessian_along(self.model, self.theta, path) - later - earlier, later

    def _neighbours(self) -> tuple[Array, Array]:
        """What x_(k-1) and x_(k+1) add to (L x)_k, (n, n) each."""
        mass, friction = self._matrices()
        return (mass - self.step / 2 * friction) / self.step**2, (mass + self.step / 2 * friction) / self.step**2

    def _matrices(self) -> tuple[Array, Array]:
        return np.diag(self.model.mass(self.theta)), self.model.friction(self.theta)


@dataclass(frozen=True, slots=True)
class _Equations:
    """The normal equations (L^T L + W) x = W deviation, W diagonal, for x_1 .. x_(steps-1).

    Row k of L, k = 0 .. steps-2, meets x_(k-1), x_k and x_(k+1); x_0 is zero.
    """

    earlier: Array
    here: Array
    later: Array
    bands: Array

    @classmethod
    def of(cls, earlier: Array, here: Array, later: Array) -> _Equations:
        n, count = len(earlier), len(here) - 1
        turned = np.swapaxes(here[1:-1], 1, 2)
        # x_j meets rows j-1 (as later), j (as here) and j+1 (as earlier).
        own = np.repeat((later.T @ later)[None], count, axis=0)
        own[:-1] += turned @ here[1:-1]
        own[:-2] += earlier.T @ earlier
        neighbour = turned @ later  # x_j with x_(j+1)
        neighbour[:-1] += earlier.T @ here[2:-1]
        second = np.broadcast_to(earlier.T @ later, (count - 2, n, n))
        return cls(earlier, here, later, _banded(own, neighbour, second))

    def raw(self, x: Array) -> Array:
        """L x (..., n, steps), the last column, which is no row of L, zero; of x (..., n, steps) with x_0 = 0."""
        found = np.zeros_like(x)
        found[..., :-1] = self.later @ x[..., 1:] + np.einsum("kab,...bk->...ak", self.here[:-1], x[..., :-1])
        found[..., 1:-1] += self.earlier @ x[..., :-2]
        return found

    def pulled(self, force: Array) -> Array:
        """L^T force (..., n, steps-1), of force (..., n, steps)."""
        found = self.later.T @ force[..., :-1]
        found[..., :-1] += np.einsum("kba,...bk->...ak", self.here[1:-1], force[..., 1:-1])
        found[..., :-2] += self.earlier.T @ force[..., 2:-1]
        return found

    def solve(self, right: Array, weights: Array) -> Array:
        """The x (..., n, steps) for a right side (..., n, steps-1) and the weights of the readings; x_0 = 0.

        Weights (n,), or a matrix (n, n) where one reading tells of several coordinates.
        """
        n, count = len(weights), len(self.here) - 1
        bands = self._weighed(weights)
        columns = np.moveaxis(right.reshape(-1, n, count), 0, -1)  # (n, count, sides)
        columns = np.swapaxes(columns, 0, 1).reshape(count * n, -1)
        solved = solveh_banded(bands, columns, lower=True, check_finite=False).reshape(count, n, -1)
        x = np.moveaxis(solved, (0, 1, 2), (2, 1, 0)).reshape(*right.shape[:-2], n, count)
        return np.concatenate([np.zeros((*x.shape[:-1], 1)), x], axis=-1)

    def draws(self, weights: Array, count: int, seed: int = 0) -> Array:
        """Draws (count, n, steps) with the covariance (L^T L + W)^-1."""
        n, kicks = len(weights), len(self.here) - 1
        upper = cholesky_banded(self._weighed(weights), lower=True, check_finite=False)
        white = np.random.default_rng(seed).standard_normal((n * kicks, count))
        # A = R R^T with R lower, and x = R^-T white; a lower band read as that of its transpose.
        turned = np.zeros_like(upper)
        width = len(upper) - 1
        for s, row in enumerate(upper):
            turned[width - s, s:] = row[: row.size - s]
        solved = solve_banded((0, width), turned, white, check_finite=False).reshape(kicks, n, count)
        x = np.moveaxis(solved, (0, 1, 2), (2, 1, 0))
        return np.concatenate([np.zeros((*x.shape[:-1], 1)), x], axis=-1)

    def _weighed(self, weights: Array) -> Array:
        bands, count = self.bands.copy(), len(self.here) - 1
        if weights.ndim == 1:
            bands[0] += np.tile(weights, count)
            return bands
        n = len(weights)
        for a in range(n):
            for b in range(a, n):
                bands[b - a, a::n] += weights[b, a]
        return bands


def _smallest(
    solved: Callable[[float], Array], left: Callable[[Array], float], scale: float, x: Array
) -> tuple[Array, float]:
    """The likeliest deviation for the smallest lambda that leaves no more than the noise, and that lambda.

    Between forces that explain nothing and forces that explain the noise as well, by halves of the exponent.
    """
    low, high, size = -_DECADES, _DECADES, scale
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        size = scale * 10.0**middle
        x = solved(size)
        low, high = (low, middle) if left(x) < 1 else (middle, high)
    return x, size


def _banded(*diagonals: Array) -> Array:
    """Blocks (j, j + s) of a symmetric matrix, s = 0, 1, 2, in the lower form of LAPACK."""
    count, n, _ = diagonals[0].shape
    bands = np.zeros((3 * n, count, n))
    for s, blocks in enumerate(diagonals):
        for a in range(n):
            for b in range(a if s == 0 else 0, n):
                bands[s * n + b - a, : len(blocks), a] = blocks[:, a, b]
    return bands.reshape(3 * n, count * n)
