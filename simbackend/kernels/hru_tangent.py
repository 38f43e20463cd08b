"""Harmonic recurrent units: backward passes that carry a path and the scaled difference of two echoes around it.

With q+- = m +- h, h = eps D, the two echoes are carried as m and D (positions) and as P and their difference E
(momenta), and nothing small is ever the difference of two large numbers.  With x = a m_h + b + B u, e = exp(-2|x|) and
f = exp(-2|eps a D_h|), both in (0, 1]:

    mean of tanh         sign(x) (1 - e^2) f / ((e + f)(1 + e f))             = tm (1 - th^2)/(1 - tm^2 th^2)
    difference / 2 eps   sign(D) (1 - f^2) e / ((e + f)(1 + e f)) / eps       = (th/eps) (1 - tm^2)/(1 - tm^2 th^2)
    g                    4 e f D / ((e + f)(1 + e f))                         -> (1 - tanh(x)^2) D as eps -> 0

tm = tanh x, th = tanh(eps a D_h); no form loses digits where units saturate.  Without eps the limit itself is taken:
the reversible adjoint.  With a tape m_h and p are read instead of being run backwards: reverse-mode BPTT.
The sums are those of `simbackend.kernels.hru_echoes` with D = (q+ - q-)/(2 eps), none of them doubled but the kinetic
one.
"""

from __future__ import annotations

from simbackend.kernels.compiling import compiled
from simbackend.kernels.hru import PAIRED, STEP_ROW, STIFFNESS_ROW, WEIGHT_ROW
from simbackend.kernels.hyperbolic import exponentials, tanh_parts
from simbackend.kernels.lane_functions import least, magnitude, signed
from simbackend.kernels.lanes import REGISTER_BYTES, load, store

SHARES = (1.0, 1.0, 1.0, 0.5, 1.0)
"""What the rows of `sums` are multiplied with in the end."""


@compiled
def tangent_stretch(state, gain, units, drive, nudge, count, eps, tape, first, sums, slope, mean):
    """A stretch of one row, latest step first; `state` holds m, P, D, E."""
    width = PAIRED * REGISTER_BYTES // state.itemsize
    for i in range(0, state.shape[1], width):
        m, p = load(state, 0, i, PAIRED), load(state, 1, i, PAIRED)
        dq, dp = load(state, 2, i, PAIRED), load(state, 3, i, PAIRED)
        by_gain, by_stiffness, by_scale = load(sums, 0, i, PAIRED), load(sums, 1, i, PAIRED), load(sums, 2, i, PAIRED)
        kinetic, by_bias = load(sums, 3, i, PAIRED), load(sums, 4, i, PAIRED)
        d, k, w = (
            load(units, STEP_ROW, i, PAIRED),
            load(units, STIFFNESS_ROW, i, PAIRED),
            load(units, WEIGHT_ROW, i, PAIRED),
        )
        half = d * 0.5
        for step in range(count - 1, -1, -1):
            store(mean, step, i, m)
            x = load(drive, step, i, PAIRED)
            dp = dp + load(nudge, step, i, PAIRED)
            dq = dq + half * dp
            if tape is None:  # noqa: SIM108  (numba drops the dead branch of a statement only)
                m = m + half * p
            else:
                m = load(tape, 2 * (first + step), i, PAIRED)
            if gain is None:
                force, pull = w * x - k * m, -(k * dq)
                g = -dq
            else:
                a = load(gain, 0, i, PAIRED)
                x = a * m + x
                if eps is None:
                    above, below, e = tanh_parts(x)
                    share = 1.0 / below
                    t = above * share
                    g = 4.0 * e * (share * share) * dq
                    bend = a * g
                else:
                    y = a * dq * eps
                    em, e = exponentials(least(magnitude(x), 20.0) * -2.0)
                    fm, f = exponentials(least(magnitude(y), 20.0) * -2.0)
                    share = 1.0 / ((e + f) * (1.0 + e * f))
                    t = signed(em * (em + 2.0) * f * share, x)
                    bend = signed(fm * (fm + 2.0) * e * share, y) / eps
                    g = 4.0 * e * f * share * dq
                force, pull = -(k * m) - w * t, -(k * dq) - w * bend
                by_scale = by_scale + t * dq
                by_gain = by_gain + g * m
                by_bias = by_bias + g
            store(slope, step, i, g)
            if tape is None:
                r = p + d * force
            else:
                r = -load(tape, 2 * (first + step) + 1, i, PAIRED)
                p = r - d * force
            dr = dp + d * pull
            by_stiffness = by_stiffness + dq * m
            kinetic = kinetic + p * dp
            kinetic = kinetic + r * dr
            p, dp = r, dr
            m, dq = m + half * p, dq + half * dp
        store(state, 0, i, m)
        store(state, 1, i, p)
        store(state, 2, i, dq)
        store(state, 3, i, dp)
        store(sums, 0, i, by_gain)
        store(sums, 1, i, by_stiffness)
        store(sums, 2, i, by_scale)
        store(sums, 3, i, kinetic)
        store(sums, 4, i, by_bias)
