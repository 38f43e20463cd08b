"""Densely coupled oscillators: a path and the scaled difference of two echoes around it, over a stretch of steps.

As `simbackend.recurrent.kernels.hru_tangent`, with h = eps D (0 in the limit):

    mean of q^3            m (m^2 + 3 h^2)
    difference / 2 eps     D (3 m^2 + h^2)
    q^4/4, over 2 eps      m D (m^2 + h^2)
"""

# Branches on None are taken when a kernel is compiled, which pyright cannot know.
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

from simbackend.kernels.compiling import compiled
from simbackend.recurrent.kernels.dense import couple
from simbackend.recurrent.kernels.hru import CUBIC_ROW, PAIRED, STEP_ROW, STIFFNESS_ROW, WEIGHT_ROW, advanced
from simbackend.recurrent.kernels.lanes import REGISTER_BYTES, load, store
from simbackend.recurrent.kernels.workspace import tables


@compiled
def dense_tangent_stretch(
    state, coupling, units, drive, nudge, count, inverse_eps, tape, first, sums, slope, mean, at_kick, lost
):  # fmt: skip
    """A stretch of one row, latest step first; `state` holds m, P, D, E; `lost` as in `hru`."""
    width, row = PAIRED * REGISTER_BYTES // state.itemsize, state.shape[1]
    work = tables(2, 2, row, state)
    middle, pull, vectors = work[0], work[1], 2 * row // (coupling.shape[0] * coupling.shape[2])
    for step in range(count - 1, -1, -1):
        for i in range(0, row, width):
            half = load(units, STEP_ROW, i, PAIRED) * 0.5
            m = load(state, 0, i, PAIRED)
            dp = load(state, 3, i, PAIRED) + load(nudge, step, i, PAIRED)
            store(mean, step, i, m)
            if tape is not None:
                m = load(tape, 2 * (first + step), i, PAIRED)
            elif lost is None:
                m = m + half * load(state, 1, i, PAIRED)
            else:
                m, lost_q = advanced(m, load(lost, 0, i, PAIRED), half * load(state, 1, i, PAIRED))
                store(lost, 0, i, lost_q)
            store(middle, 0, i, m)
            store(middle, 1, i, load(state, 2, i, PAIRED) + half * dp)
            store(state, 3, i, dp)
        couple(coupling, middle, pull, vectors)
        for i in range(0, row, width):
            d, k, b = load(units, STEP_ROW, i, PAIRED), load(units, STIFFNESS_ROW, i, PAIRED), load(
                units, CUBIC_ROW, i, PAIRED
            )  # fmt: skip
            half = d * 0.5
            m, p = load(middle, 0, i, PAIRED), load(state, 1, i, PAIRED)
            dq, dp = load(middle, 1, i, PAIRED), load(state, 3, i, PAIRED)
            square = m * m
            if inverse_eps is None:
                bend, bent, quartic = b * square, b * square * 3.0, square
            else:
                h = dq * (1.0 / inverse_eps)
                h = h * h
                bend, bent, quartic = b * (square + h * 3.0), b * (square * 3.0 + h), square + h
            force = load(units, WEIGHT_ROW, i, PAIRED) * load(drive, step, i, PAIRED) + load(pull, 0, i, PAIRED)
            force = force - (k + bend) * m
            dr = dp + d * (load(pull, 1, i, PAIRED) - (k + bent) * dq)
            product = dq * m
            store(slope, step, i, -dq)
            store(at_kick, step, i, m)
            store(sums, 0, i, load(sums, 0, i, PAIRED) + product * quartic)
            store(sums, 1, i, load(sums, 1, i, PAIRED) + product)
            kinetic = load(sums, 3, i, PAIRED) + p * dp
            if tape is not None:
                p = -load(tape, 2 * (first + step) + 1, i, PAIRED)
                m = m + half * p
            elif lost is None:
                p = p + d * force
                m = m + half * p
            else:
                p, lost_p = advanced(p, load(lost, 1, i, PAIRED), d * force)
                m, lost_q = advanced(m, load(lost, 0, i, PAIRED), half * p)
                store(lost, 0, i, lost_q)
                store(lost, 1, i, lost_p)
            store(sums, 3, i, kinetic + p * dr)
            store(state, 0, i, m)
            store(state, 1, i, p)
            store(state, 2, i, dq + half * dr)
            store(state, 3, i, dr)
