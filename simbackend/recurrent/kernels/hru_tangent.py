"""Harmonic recurrent units: backward passes that carry a path and the scaled difference of two echoes around it.

With q+- = m +- h, h = eps D, the two echoes are carried as m and D (positions) and as P and their difference E
(momenta), and nothing small is ever the difference of two large numbers.  With x = a m_h + b + B u, tm = tanh x and
th = tanh(eps a D_h), and with tm = T/U, 1 - tm^2 = 4 e/U^2 th = X/Y (`hyperbolic`), N = U^2 Y^2 - T^2 X^2:

    mean of tanh         tm (1 - th^2)/(1 - tm^2 th^2)          = T U (Y^2 - X^2)/N
    difference / 2 eps   (th/eps) (1 - tm^2)/(1 - tm^2 th^2)    = 4 e X Y/(N eps)
    g                    (1 - tm^2) (1 - th^2)/(1 - tm^2 th^2) D = 4 e (Y^2 - X^2) D/N     -> (1 - tm^2) D as eps -> 0

No form loses digits where units saturate.  Without eps the limit itself is taken: the reversible adjoint.  With a tape
q_h and p are read instead of being run backwards: reverse-mode BPTT.
Under friction (`hru_echoes`) the path has no nudge, and its difference has all of it.  With a tape the velocity at the
kick is read from it, without one from the record.
The sums are those of `simbackend.recurrent.kernels.hru_echoes` with D = (q+ - q-)/(2 eps), none of them doubled but the
kinetic one.
"""

# Branches on None are taken when a kernel is compiled, which pyright cannot know.
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

from simbackend.kernels.compiling import compiled
from simbackend.recurrent.kernels.hru import (
    FRICTION_ROW,
    KICK_ROW,
    PAIRED,
    STEP_ROW,
    STIFFNESS_ROW,
    WEIGHT_ROW,
    advanced,
)  # fmt: skip
from simbackend.recurrent.kernels.hyperbolic import quick_tanh_parts, tanh_parts
from simbackend.recurrent.kernels.lanes import REGISTER_BYTES, load, store

SHARES = (1.0, 1.0, 1.0, 0.5, 1.0, 0.5)
"""What the rows of `sums` are multiplied with in the end."""


@compiled
def tangent_stretch(
    state, gain, units, drive, nudge, count, inverse_eps, tape, first, sums, slope, mean, lost, damped, record
):  # fmt: skip
    """A stretch of one row, latest step first; `state` holds m, P, D, E; `lost`, `damped` and `record` as in `hru`."""
    width = PAIRED * REGISTER_BYTES // state.itemsize
    for i in range(0, state.shape[1], width):
        m, p = load(state, 0, i, PAIRED), load(state, 1, i, PAIRED)
        dq, dp = load(state, 2, i, PAIRED), load(state, 3, i, PAIRED)
        by_gain, by_stiffness, by_scale = load(sums, 0, i, PAIRED), load(sums, 1, i, PAIRED), load(sums, 2, i, PAIRED)
        kinetic, by_bias = load(sums, 3, i, PAIRED), load(sums, 4, i, PAIRED)
        d, k = load(units, STEP_ROW, i, PAIRED), load(units, STIFFNESS_ROW, i, PAIRED)
        w = load(units, WEIGHT_ROW, i, PAIRED)
        half, kick = d * 0.5, d
        if damped is not None:
            friction, kick = load(units, FRICTION_ROW, i, PAIRED), load(units, KICK_ROW, i, PAIRED)
            by_friction = load(sums, 5, i, PAIRED)
        middle = m + half * p
        if lost is not None:
            lost_q, lost_p = load(lost, 0, i, PAIRED), load(lost, 1, i, PAIRED)
            middle, lost_q = advanced(m, lost_q, half * p)
        for step in range(count - 1, -1, -1):
            store(mean, step, i, m)
            x = load(drive, step, i, PAIRED)
            y = load(nudge, step, i, PAIRED)
            dp = dp + y
            dq = dq + half * dp
            if tape is not None:
                middle = load(tape, 2 * (first + step), i, PAIRED)
            if gain is None:
                force, pull = w * x - k * middle, -(k * dq)
                g = -dq
            else:
                a = load(gain, 0, i, PAIRED)
                above, below, e = tanh_parts(a * middle + x)
                if inverse_eps is None:
                    share = 1.0 / below
                    t = above * share
                    g = 4.0 * e * (share * share) * dq
                    bend = a * g
                else:
                    up, down = quick_tanh_parts(a * dq * (1.0 / inverse_eps))
                    both, rest = up * above, down * down - up * up
                    share = below * down
                    share = 1.0 / (share * share - both * both)
                    t = above * below * rest * share
                    e = 4.0 * e * share
                    g = e * rest * dq
                    bend = e * (up * down) * inverse_eps
                force, pull = -(k * middle) - w * t, -(k * dq) - w * bend
                by_scale = by_scale + t * dq
                by_gain = by_gain + g * middle
                by_bias = by_bias + g
            store(slope, step, i, g)
            by_stiffness = by_stiffness + dq * middle
            kinetic = kinetic + p * dp
            if damped is not None:
                if tape is not None:
                    recorded = load(tape, 2 * (first + step) + 1, i, PAIRED) - p
                if record is not None:
                    recorded = load(record, first + step, i, PAIRED)
                    force = force - friction * (p + recorded)
                by_friction = by_friction + dq * recorded
                pull = pull - friction * (dp - y * 0.5)
            if tape is not None:
                p = -load(tape, 2 * (first + step) + 1, i, PAIRED)
                # p before the kick of this step, flipped, is what it is after the kick of the echo.
            elif lost is None:
                p = p + kick * force
            else:
                p, lost_p = advanced(p, lost_p, kick * force)
            dp = dp + kick * pull
            kinetic = kinetic + p * dp
            dq = dq + half * dp
            m = middle + half * p
            if lost is None:
                middle = m + half * p
            else:
                middle, lost_q = advanced(middle, lost_q, d * p)
        if lost is not None:
            m, lost_q = advanced(middle, lost_q, -(half * p))
            store(lost, 0, i, lost_q)
            store(lost, 1, i, lost_p)
        store(state, 0, i, m)
        store(state, 1, i, p)
        store(state, 2, i, dq)
        store(state, 3, i, dp)
        store(sums, 0, i, by_gain)
        store(sums, 1, i, by_stiffness)
        store(sums, 2, i, by_scale)
        store(sums, 3, i, kinetic)
        store(sums, 4, i, by_bias)
        if damped is not None:
            store(sums, 5, i, by_friction)
