"""Harmonic recurrent units: their constants as the kernels take them, and a stretch of the forward pass.

One kernel serves both models.  With the force of unit i

    F = -k q_h - w t,      t = tanh(a q_h + x)  (nonlinear)   or   t = -x  (linear, no `gain`),      x = B u + b

a step is q_h = q + (d/2) p, p' = p + d F, q' = q_h + (d/2) p'.  Under friction g the kick is

    p' = p + d/(1 + d g/2) (F - g p)                          the same as (1 + d g/2) p' = (1 - d g/2) p + d F

for `damped` units (True, or None).  A row holds several sequences of a batch side by side,
`items` of them in `size` units each, so that vectors are full whatever the size; the units' constants are repeated
likewise.  The equations and parameters: `simbackend.recurrent.models.linear_hru` and `nonlinear_hru`.
"""

# Branches on None are taken when a kernel is compiled, which pyright cannot know.
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

from simbackend.kernels.compiling import compiled, inlined
from simbackend.recurrent.kernels.hyperbolic import quick_tanh_parts, tanh_parts
from simbackend.recurrent.kernels.lanes import REGISTER_BYTES, load, store

WIDE = 4
"""Registers in a vector here: four independent chains hide the latency of tanh.  A row is a multiple of it."""
PAIRED = 2
"""Registers where two paths run side by side: with more, what a step needs would not fit the registers there are."""
STEP_ROW, STIFFNESS_ROW, WEIGHT_ROW, FREQUENCY_ROW, CUBIC_ROW, FRICTION_ROW, KICK_ROW = range(7)
"""Rows of `units`: d, k, w, the frequency that makes positions and momenta comparable in `growth`, b of b q^3, g, and
d/(1 + d g/2)."""
UNIT_ROWS = 7


@inlined
def advanced(value, lost, change):
    """Value + change as (rounded sum, what rounding left out of it), with what was left out before.

    Neumaier's compensated sum with the sizes known: changes are small, since the step is.
    """
    change = change + lost
    new = value + change
    return new, change - (new - value)


@compiled
def advance(q, p, gain, units, drive, count, seen, tape, first, quick, lost, damped, record):
    """A stretch of steps of one row; q after each step goes into `seen`, q_h and p before the kick onto the tape.

    `quick` (True, or None) takes the tanh of the echoes: a path can only be retraced with the tanh it was made with.
    `lost` (2, row) is what rounding left out of q and p: float32 then retraces over any number of steps; or None.
    `record` (steps, row) takes twice the velocity at the kick, p + p', which an echo under friction needs; or None.
    """
    width = WIDE * REGISTER_BYTES // q.itemsize
    for i in range(0, q.shape[1], width):
        x, y = load(q, 0, i, WIDE), load(p, 0, i, WIDE)
        d, k, w = load(units, STEP_ROW, i, WIDE), load(units, STIFFNESS_ROW, i, WIDE), load(units, WEIGHT_ROW, i, WIDE)
        half, kick = d * 0.5, d
        if damped is not None:
            g, kick = load(units, FRICTION_ROW, i, WIDE), load(units, KICK_ROW, i, WIDE)
        middle = x + half * y
        if lost is not None:
            lost_q, lost_p = load(lost, 0, i, WIDE), load(lost, 1, i, WIDE)
            middle, lost_q = advanced(x, lost_q, half * y)
        for step in range(count):
            if tape is not None:
                store(tape, 2 * (first + step), i, middle)
                store(tape, 2 * (first + step) + 1, i, y)
            if gain is None:
                force = w * load(drive, step, i, WIDE) - k * middle
            else:
                inside = load(gain, 0, i, WIDE) * middle + load(drive, step, i, WIDE)
                if quick is None:
                    above, below, _ = tanh_parts(inside)
                else:
                    above, below = quick_tanh_parts(inside)
                force = -(k * middle) - w * (above / below)
            before = y
            if damped is not None:
                force = force - g * y
            if lost is None:
                y = y + kick * force
                x = middle + half * y
                middle = x + half * y
            else:
                y, lost_p = advanced(y, lost_p, kick * force)
                x = middle + half * y
                middle, lost_q = advanced(middle, lost_q, d * y)
            store(seen, step, i, x)
            if record is not None:
                store(record, first + step, i, before + y)
        if lost is not None:
            x, lost_q = advanced(middle, lost_q, -(half * y))
            store(lost, 0, i, lost_q)
            store(lost, 1, i, lost_p)
        store(q, 0, i, x)
        store(p, 0, i, y)
