"""How far rounding grows in an echo: what the nominal model says along the recorded path, before an echo is fired.

The motion linearised along the path, inverse dynamics read forwards (`protocols.inference.inverse_dynamics`),

    later x_(k+1) + here_k x_k + earlier x_(k-1) = f_k,            stiffness V''(q_k) in here_k,

is a triangular band of equations, solved by LAPACK in blocks of kicks.  With f one unit of rounding of the motion at
every kick, drawn at random, x is what a computer, or a converter, makes of the echo that nothing nudges: of the order
of the square root of the kicks on a rig that forgets, and exponentially more on one that amplifies.  Over the response
to the nudge that is an error of the gradient which no repeat of the same nudge shows.

Source: the variational equation of the leapfrog; Benettin et al. (1980) for growth along a path.  Tested in this
project against the motion itself (docs/rules.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import get_lapack_funcs

from labrhel.arrays import Array, Arrays
from labrhel.model.interface import Model
from labrhel.model.motion import quick_hessian_along
from protocols.forward.forward import ForwardPass

ROUNDING = float(np.finfo(float).eps)
"""Relative, of one operation."""

_DRAWS = 4
_KICKS = 128  # that are solved for at once: some megabytes of band for forty oscillators


def growth_of_rounding(model: Model, theta: Arrays, passes: Sequence[ForwardPass], step: float) -> float:
    """What one unit of relative rounding at every kick becomes in the echoes of these passes, over the motion (rms).

    Infinite where the linear motion leaves all numbers; takes no shot.
    """
    grown = size = 0.0
    random = np.random.default_rng(0)
    for item in passes:
        motion = float(np.sum(item.q**2))
        unit = np.sqrt(motion / item.q.size)
        drawn = unit * random.standard_normal((_DRAWS, *item.q.shape))
        with np.errstate(over="ignore", invalid="ignore"):
            answer = displaced(model, theta, item.q[:, ::-1], step, drawn)
            grown += float(np.sum(answer**2)) / _DRAWS
        size += motion
    ratio = float(np.sqrt(grown / max(size, 1e-300)))
    return ratio if np.isfinite(ratio) else float("inf")


def displaced(model: Model, theta: Arrays, path: Array, step: float, mistakes: Array) -> Array:
    """Deviations (..., n, kicks) from `path` (n, kicks); every kick adds its `mistakes` (..., n, kicks) to its own.

    Of a rig with its friction, from a start without a deviation.
    """
    n, steps = path.shape
    mass, friction = np.diag(model.mass(theta)), model.friction(theta)
    push = np.linalg.inv(mass + step / 2 * friction)
    earlier = push @ (mass - step / 2 * friction)
    found = mistakes.reshape(-1, n, steps).copy()
    (solve_triangle,) = get_lapack_funcs(("tbtrs",), (found,))
    past = np.zeros((2, *found.shape[:2]))  # the deviations at the two kicks before a block
    for start in range(0, steps, _KICKS):
        stop = min(start + _KICKS, steps)
        # Those of the kicks start-1 .. stop-2, which lead to the deviations at start .. stop-1.
        before = path[:, max(start - 1, 0) : stop - 1]
        here = -np.eye(n) - earlier + step**2 * push @ quick_hessian_along(model, theta, before)
        if start == 0:
            here = np.concatenate([np.zeros((1, n, n)), here])
        right = found[:, :, start:stop]
        right[:, :, 0] -= past[1] @ here[0].T + past[0] @ earlier.T
        if stop - start > 1:
            right[:, :, 1] -= past[1] @ earlier.T
        columns = np.moveaxis(right, 0, -1).transpose(1, 0, 2).reshape((stop - start) * n, -1)
        solved, _ = solve_triangle(_band(here[1:], earlier), columns, uplo="L", diag="U")
        found[:, :, start:stop] = solved.reshape(stop - start, n, -1).transpose(2, 1, 0)
        past = np.stack([past[1] if stop - start == 1 else found[:, :, stop - 2], found[:, :, stop - 1]])
    return found.reshape(mistakes.shape)


def _band(here: Array, earlier: Array) -> Array:
    """Unit lower triangle of x_k + here_k x_(k-1) + earlier x_(k-2), as LAPACK stores it; ones go without saying."""
    count, n = len(here) + 1, len(earlier)
    bands = np.zeros((3 * n, count, n))
    for a in range(n):
        for b in range(n):
            bands[n + a - b, :-1, b] = here[:, a, b]
            bands[2 * n + a - b, :-2, b] = earlier[a, b]
    return bands.reshape(3 * n, count * n)
