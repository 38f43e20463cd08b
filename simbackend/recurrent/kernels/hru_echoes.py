"""Two physical echoes of harmonic recurrent units side by side, over a stretch of steps.

With D the difference of the two at the kick, m their mean there, t the mean of their tanh and g = (1 - t^2) D, or
g = -D in linear units, each step adds to the sums (rows of `sums`, and g itself into `slope`)

    0 by gain: 2 g m    1 by stiffness: 2 D m    2 by scale: 2 t D    3 kinetic: 2 (p Dp + p' Dp')    4 by bias: g
    5 by friction: 2 D v

Under friction the nudge y enters the drift whole and the kick without the friction of its half, and the recorded
velocities w = 2 v of the forward pass bring the path back:

    q_h = q + (d/2) (p + y);    p' = p + y + d/(1 + d g/2) (F - g (p + y/2 + w))

Means are left doubled, and `SHARES` makes up for it: a halving costs as much as any other instruction.
"""

# Branches on None are taken when a kernel is compiled, which pyright cannot know.
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

from simbackend.kernels.compiling import compiled, inlined
from simbackend.recurrent.kernels.hru import FRICTION_ROW, KICK_ROW, PAIRED, STEP_ROW, STIFFNESS_ROW, WEIGHT_ROW
from simbackend.recurrent.kernels.hyperbolic import quick_tanh_parts
from simbackend.recurrent.kernels.lanes import REGISTER_BYTES, load, store

SHARES = (0.5, 0.5, 0.5, 0.25, 1.0, 0.5)
"""What the rows of `sums` are multiplied with in the end."""
MEAN_SHARE = 0.5
"""The same for the positions that are kept in `twice_mean`."""


@inlined
def _tanh_of_both(a, b):
    """The tanh of two arguments with one division."""
    above_a, below_a = quick_tanh_parts(a)
    above_b, below_b = quick_tanh_parts(b)
    share = 1.0 / (below_a * below_b)
    return above_a * below_b * share, above_b * below_a * share


@compiled
def echo_stretch(pair, gain, units, drive, nudge, count, upper, lower, sums, slope, twice_mean, damped, record, first):
    """A stretch of two echoes of one row, latest step first; `pair` holds q, p of one and q, p of the other."""
    width = PAIRED * REGISTER_BYTES // pair.itemsize
    for i in range(0, pair.shape[1], width):
        qa, pa = load(pair, 0, i, PAIRED), load(pair, 1, i, PAIRED)
        qb, pb = load(pair, 2, i, PAIRED), load(pair, 3, i, PAIRED)
        by_gain, by_stiffness, by_scale = load(sums, 0, i, PAIRED), load(sums, 1, i, PAIRED), load(sums, 2, i, PAIRED)
        kinetic, by_bias = load(sums, 3, i, PAIRED), load(sums, 4, i, PAIRED)
        d, k, w = (
            load(units, STEP_ROW, i, PAIRED),
            load(units, STIFFNESS_ROW, i, PAIRED),
            load(units, WEIGHT_ROW, i, PAIRED),
        )
        half, kick = d * 0.5, d
        if damped is not None:
            friction, kick = load(units, FRICTION_ROW, i, PAIRED), load(units, KICK_ROW, i, PAIRED)
            by_friction = load(sums, 5, i, PAIRED)
        for step in range(count - 1, -1, -1):
            store(twice_mean, step, i, qa + qb)
            x, e = load(drive, step, i, PAIRED), load(nudge, step, i, PAIRED)
            pa, pb = pa + e * upper, pb + e * lower
            qa, qb = qa + half * pa, qb + half * pb
            difference, twice = qa - qb, qa + qb
            if gain is None:
                force_a, force_b = w * x - k * qa, w * x - k * qb
                g = -difference
            else:
                a = load(gain, 0, i, PAIRED)
                ta, tb = _tanh_of_both(a * qa + x, a * qb + x)
                force_a, force_b = -(k * qa) - w * ta, -(k * qb) - w * tb
                t = ta + tb
                by_scale = by_scale + t * difference
                g = difference - t * t * 0.25 * difference
                by_gain = by_gain + g * twice
                by_bias = by_bias + g
            store(slope, step, i, g)
            if damped is not None:
                recorded = load(record, first + step, i, PAIRED)
                by_friction = by_friction + difference * recorded
                force_a = force_a - friction * (pa + recorded - e * (0.5 * upper))
                force_b = force_b - friction * (pb + recorded - e * (0.5 * lower))
            ra, rb = pa + kick * force_a, pb + kick * force_b
            by_stiffness = by_stiffness + difference * twice
            kinetic = kinetic + (pa + pb) * (pa - pb)
            kinetic = kinetic + (ra + rb) * (ra - rb)
            pa, pb = ra, rb
            qa, qb = qa + half * ra, qb + half * rb
        store(pair, 0, i, qa)
        store(pair, 1, i, pa)
        store(pair, 2, i, qb)
        store(pair, 3, i, pb)
        store(sums, 0, i, by_gain)
        store(sums, 1, i, by_stiffness)
        store(sums, 2, i, by_scale)
        store(sums, 3, i, kinetic)
        store(sums, 4, i, by_bias)
        if damped is not None:
            store(sums, 5, i, by_friction)
