"""Fit the nominal model to what some channels saw: which parameters, run free, pass through the readings?

Where not all positions are read there are no inverse dynamics, but the start and the inputs are known, so that a path
of the model is a function of its parameters alone:

    min  sum_k |y_k - C q_k(theta)|^2_R + sum ((theta - theta_nominal)/s)^2,       s: a share of the nominal value

by Gauss-Newton with slopes of runs side by side, each step halved until it helps.  A long path is a bad start, since a
model that is some per cent off loses count of the periods; so the first eighth is fitted first, then twice as much, and
so on.  The curvature at the end is the inverse covariance of theta, which tells what the readings leave open.  Readings
that even the best model misses by more than their noise weigh accordingly less.

Source: output-error identification (Ljung, System Identification, 1999, chapter 7); tested in this project.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import DivergedError
from labrhel.learning.parameters import ParameterSet
from labrhel.model.interface import Model
from protocols.forward.forward import ForwardPass
from protocols.inference.fit import free_parameters, free_run, spread_of

_WINDOWS = (1 / 8, 1 / 4, 1 / 2, 1.0)  # of a pass
_ROUNDS, _FEW, _HALVINGS = 12, 4, 6
_DONE = 1e-3  # of the sum of squares: a smaller fall is not worth another round
_SHIFT = 1e-5


@dataclass(frozen=True, slots=True)
class Believed:
    """The fitted `theta`; `parameters` at `x`, and `root` (size, size): a square root of their covariance.

    `misfit`: rms of what is left of the readings over their noise.
    """

    theta: dict[str, Array]
    parameters: ParameterSet
    x: Array
    root: Array
    misfit: float

    def draws(self, count: int, seed: int = 0) -> list[dict[str, Array]]:
        """Parameters that the readings allow as well."""
        white = np.random.default_rng(seed).standard_normal((count, self.x.size))
        return [self._physical(self.root @ row) for row in white]

    def _physical(self, move: Array) -> dict[str, Array]:
        """So far off, or half, until masses are masses."""
        while True:
            found = {**self.theta, **self.parameters.values(self.x + move)}
            if np.all(found.get("mass", 1.0) > 0):
                return found
            move = move / 2


def fit_outputs(
    model: Model,
    theta: Arrays,
    passes: Sequence[ForwardPass],
    step: float,
    information: Array,
    before: Arrays | None = None,
) -> Believed:
    """Parameters near `theta` that explain the readings best: of passes that are zero where no channel shows anything.

    `information` (n, n): C^T R^-1 C of one reading.  `before`: by parameter, how far from nominal they were found last,
    which saves the short windows.  Raises DivergedError where the model has no bounded motion along a pass.
    """
    parameters = ParameterSet(
        # What is zero in the model stays zero: it has no size of its own.
        [replace(item, mask=item.value != 0) for item in free_parameters(model, theta) if item.value.any()]
    )
    spread = spread_of(parameters, 0.0)
    values, vectors = np.linalg.eigh(information)
    kept = values > 1e-12 * values[-1]
    whitened = np.sqrt(values[kept])[:, None] * vectors[:, kept].T
    nominal = parameters.flat()

    def missed(x: Array, share: float) -> Array:
        at = {**theta, **parameters.values(x)}
        if not np.all(model.mass(at) > 0):
            return np.full(sum(_kicks(item, share) for item in passes) * len(whitened) + x.size, np.inf)
        found = []
        for item in passes:
            count = _kicks(item, share)
            with np.errstate(over="ignore", invalid="ignore"):
                path = free_run(model, at, item, step, count).q[0]
                found.append((whitened @ (item.q[:, :count] - path)).ravel())
        return np.concatenate([*found, (x - nominal) / spread])

    x, left, slopes = nominal, np.zeros(0), np.zeros((0, nominal.size))
    if before:
        x = _flat(parameters, before, theta)
    for share in _WINDOWS[-1:] if before else _WINDOWS:
        left = missed(x, share)
        for _ in range(_ROUNDS if share == 1 else _FEW):
            slopes = np.stack([_slope(missed, x, left, share, i, spread[i]) for i in range(x.size)], axis=1)
            if not (np.isfinite(left).all() and np.isfinite(slopes).all()):
                raise DivergedError(
                    "the nominal model has no bounded motion under these inputs, so it cannot say what no channel "
                    "shows; correct its springs, lower the input, or read all positions"
                )
            move = -np.linalg.lstsq(slopes, left, rcond=None)[0]
            squares, gain = float(left @ left), 1.0
            for _ in range(_HALVINGS):
                tried = missed(x + gain * move, share)
                with np.errstate(over="ignore", invalid="ignore"):
                    lower = float(tried @ tried) < squares
                if lower:
                    x, left = x + gain * move, tried
                    break
                gain /= 2
            if not float(left @ left) < (1 - _DONE) * squares:
                break
    data = left[: -x.size]
    misfit = max(1.0, float(np.sqrt(np.mean(data**2))))
    curvature = slopes[: -x.size].T @ slopes[: -x.size] / misfit**2 + np.diag(1 / spread**2)
    scaled, axes = np.linalg.eigh(curvature * np.outer(spread, spread))
    root = spread[:, None] * axes / np.sqrt(np.maximum(scaled, 1e-300))
    return Believed({**theta, **parameters.values(x)}, parameters, x, root, misfit)


def _kicks(item: ForwardPass, share: float) -> int:
    return min(item.steps, max(2, int(np.ceil(share * item.steps))))


def _slope(
    missed: Callable[[Array, float], Array], x: Array, left: Array, share: float, index: int, spread: float
) -> Array:
    moved = x.copy()
    moved[index] += _SHIFT * spread
    return (missed(moved, share) - left) / (_SHIFT * spread)


def _flat(parameters: ParameterSet, before: Arrays, theta: Arrays) -> Array:
    """Coordinates of what was found before."""
    moved = [
        replace(item, value=np.asarray(theta.get(item.name, item.value)) + before.get(item.name, 0.0))
        for item in parameters.parameters
    ]
    return ParameterSet(moved).flat()
