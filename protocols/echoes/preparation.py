"""Time reversal without flip hardware: a drive that brings the rig from rest into the reversed end state.

The forward pass ended in (q_T, p_T), which is read off its trace.  `labrhel.model.preparation` has the drive from rest
to (q_T, -p_T); here it is made as long as takes little force.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ProgramError
from labrhel.model.interface import Model, Run
from labrhel.model.leapfrog import KickMatrices
from labrhel.model.motion import run
from labrhel.model.preparation import Preparation, preparation

LARGEST_PEAK = 2.0
"""Peak of the preparation force, in those of the forward pass, above which a longer preparation is tried."""
_SHORTEST, _LONGEST = 0.25, 4.0  # of the forward pass
_LEAST_KICKS = 16
_ROUNDS, _DONE = 20, 1e-12  # of the fit, and the relative change that ends it
_PAYS = 0.75  # of the peak before, for twice the length


def end_state(
    model: Model, theta: Arrays, q: Array, u: Array, step: float, start_momentum: Array
) -> tuple[Array, Array]:
    """(q_T, p_T) half a step after the last kick, from positions (n, steps) and inputs (inputs, steps) at the kicks.

    The momentum before the last kick follows from the last two positions, since the drift between is straight; the kick
    itself is the nominal model's.
    """
    mass = model.mass(theta)
    before = mass * (q[:, -1] - q[:, -2]) / step if q.shape[1] > 1 else start_momentum
    kick = KickMatrices.of(mass, model.friction(theta), step)
    force = model.force(q[:, -1], theta) + model.input_force(u[:, -1:], theta)[:, 0]
    p = np.linalg.solve(kick.after, kick.before @ before + step * force)
    return q[:, -1] + step / 2 * p / mass, p


def fitted_end_state(model: Model, theta: Arrays, q: Array, u: Array, step: float) -> tuple[Array, Array]:
    """The same from noisy positions: the motion of the nominal model that fits the last of them best.

    Two periods of the fastest mode are fitted, by least squares in the state at their beginning; a momentum from two
    readings alone has the noise of a reading times sqrt(2) m/d, which is as large as the momentum where the grid is
    fine.
    """
    from scipy.optimize import leastsq  # a quarter of a second, which a rig with flip hardware need not wait

    n, mass = model.size, model.mass(theta)
    count = min(q.shape[1], max(8, int(np.ceil(2 * np.pi * model.largest_step(theta) / step))))
    seen, force = q[:, -count:], model.input_force(u[:, -count:], theta)

    def motion(states: Array) -> Run:
        """Of states (2 n, m) half a step before the first of these kicks."""
        return run(model, theta, force, step, states[:n].T, states[n:].T)

    @lru_cache(maxsize=2)  # the fit asks for a path, and then for its slopes: they are run side by side, once
    def around(state: tuple[float, ...]) -> Array:
        """Paths (2 n + 1, n count) from a state, and from 2 n that are each a little beside it."""
        return motion(np.array(state)[:, None] + shifts).q.reshape(2 * n + 1, n * count)

    def missed(state: Array) -> Array:
        return around(tuple(state))[0] - seen.ravel()

    def slopes(state: Array) -> Array:
        path = around(tuple(state))
        found = path[1:] - path[0]
        found /= tiny
        return found

    v = (seen[:, min(2, count - 1)] - seen[:, 0]) / (min(2, count - 1) * step)
    start = np.concatenate([seen[:, 0] - step / 2 * v, mass * v])
    tiny = 1e-6 * (float(np.abs(seen).max()) or 1.0)
    shifts = np.concatenate([np.zeros((2 * n, 1)), tiny * np.eye(2 * n)], axis=1)
    with np.errstate(over="ignore", invalid="ignore"):  # a strongly anharmonic model may have no motion from some state
        if not np.isfinite([np.sum(missed(start) ** 2), np.sum(slopes(start) ** 2)]).all():
            return end_state(model, theta, q, u, step, np.zeros(n))
        # MINPACK's own arithmetic: threads of LAPACK would spin around so small a matrix, for longer than a shot takes.
        found, *_ = leastsq(
            missed, start, Dfun=slopes, full_output=True, col_deriv=True, ftol=_DONE, xtol=_DONE, gtol=_DONE,
            maxfev=_ROUNDS,
        )  # fmt: skip
    end = motion(found[:, None])
    return end.end_position[0], end.end_momentum[0]


def affordable_preparation(
    model: Model, theta: Arrays, position: Array, momentum: Array, step: float, forward_steps: int, forward_peak: float
) -> Preparation:
    """A `preparation` as short as takes no more than `LARGEST_PEAK` times the forces of the forward pass.

    It begins with a quarter of the forward pass and doubles up to four times its length, as long as that pays: of a
    strongly anharmonic rig the force does not fall with the length, and a long drive without feedback amplifies every
    mistake of the model.  What a port cannot give is refused at compile.
    """
    steps = max(_LEAST_KICKS, round(_SHORTEST * forward_steps))
    longest = max(_LEAST_KICKS, round(_LONGEST * forward_steps))
    found = preparation(model, theta, position, momentum, step, steps)
    if not np.isfinite(found.peak):
        raise ProgramError(
            "the nominal model has no bounded motion from the end of the forward pass, so no drive can prepare it; "
            "lower the input, or correct the anharmonic terms of the model"
        )
    while steps < longest and found.peak > LARGEST_PEAK * forward_peak:
        steps = min(2 * steps, longest)
        longer = preparation(model, theta, position, momentum, step, steps)
        if not longer.peak <= _PAYS * found.peak:  # nor where the free motion of the model diverges
            break
        found = longer
    return found
