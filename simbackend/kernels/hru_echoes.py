"""Two physical echoes of harmonic recurrent units side by side, over a stretch of steps.

With D the difference of the two at the kick, m their mean there, t the mean of their tanh and g = (1 - t^2) D, or
t = -x and g = -D in linear units, each step adds to the sums (rows of `sums`, and g itself into `slope`)

    0 by gain: g m    1 by stiffness: D m    2 by scale: t D    3 by step: -F D + (p Dp + p' Dp')/2    4 by bias: g
"""

from __future__ import annotations

from simbackend.kernels.compiling import compiled, inlined
from simbackend.kernels.hru import STEP_ROW, STIFFNESS_ROW, WEIGHT_ROW, WIDE
from simbackend.kernels.hyperbolic import tanh_parts
from simbackend.kernels.lanes import REGISTER_BYTES, load, store


@inlined
def _tanh_of_both(a, b):
    """The tanh of two arguments with one division."""
    above_a, below_a, _ = tanh_parts(a)
    above_b, below_b, _ = tanh_parts(b)
    share = 1.0 / (below_a * below_b)
    return above_a * below_b * share, above_b * below_a * share


@compiled
def echo_stretch(pair, gain, units, drive, nudge, count, upper, lower, sums, slope, mean):
    """A stretch of two echoes of one row, latest step first; `pair` holds q, p of one and q, p of the other."""
    width = WIDE * REGISTER_BYTES // pair.itemsize
    for i in range(0, pair.shape[1], width):
        qa, pa = load(pair, 0, i, WIDE), load(pair, 1, i, WIDE)
        qb, pb = load(pair, 2, i, WIDE), load(pair, 3, i, WIDE)
        by_gain, by_stiffness, by_scale = load(sums, 0, i, WIDE), load(sums, 1, i, WIDE), load(sums, 2, i, WIDE)
        by_step, by_bias = load(sums, 3, i, WIDE), load(sums, 4, i, WIDE)
        d, k, w = load(units, STEP_ROW, i, WIDE), load(units, STIFFNESS_ROW, i, WIDE), load(units, WEIGHT_ROW, i, WIDE)
        half = d * 0.5
        for step in range(count - 1, -1, -1):
            store(mean, step, i, (qa + qb) * 0.5)
            x, e = load(drive, step, i, WIDE), load(nudge, step, i, WIDE)
            pa, pb = pa + e * upper, pb + e * lower
            qa, qb = qa + half * pa, qb + half * pb
            difference, middle = qa - qb, (qa + qb) * 0.5
            if gain is None:
                force_a, force_b = w * x - k * qa, w * x - k * qb
                g = -difference
            else:
                a = load(gain, 0, i, WIDE)
                ta, tb = _tanh_of_both(a * qa + x, a * qb + x)
                force_a, force_b = -(k * qa) - w * ta, -(k * qb) - w * tb
                t = (ta + tb) * 0.5
                g = difference - t * t * difference
                by_scale = by_scale + t * difference
                by_gain = by_gain + g * middle
                by_bias = by_bias + g
            store(slope, step, i, g)
            ra, rb = pa + d * force_a, pb + d * force_b
            by_stiffness = by_stiffness + difference * middle
            by_step = by_step + ((pa + pb) * (pa - pb) + (ra + rb) * (ra - rb)) * 0.25
            by_step = by_step - (force_a + force_b) * difference * 0.5
            pa, pb = ra, rb
            qa, qb = qa + half * ra, qb + half * rb
        store(pair, 0, i, qa)
        store(pair, 1, i, pa)
        store(pair, 2, i, qb)
        store(pair, 3, i, pb)
        store(sums, 0, i, by_gain)
        store(sums, 1, i, by_stiffness)
        store(sums, 2, i, by_scale)
        store(sums, 3, i, by_step)
        store(sums, 4, i, by_bias)
