"""Harmonic recurrent units: their constants as the kernels take them, and the forward pass.

One kernel serves both models.  With the force of unit i

    F = -k q_h - w t,      t = tanh(a q_h + x)  (nonlinear)   or   t = -x  (linear, no `gain`),      x = B u + b

a step is q_h = q + (d/2) p, p' = p + d F, q' = q_h + (d/2) p'.  A row holds several sequences of a batch side by side,
`items` of them in `size` units each, so that vectors are full whatever the size; the units' constants are repeated
likewise.  The equations and parameters: `simbackend.models.linear_hru` and `nonlinear_hru`.
"""

from __future__ import annotations

from simbackend.kernels.chunks import STRETCH, gather, spread
from simbackend.kernels.compiling import compiled
from simbackend.kernels.hyperbolic import quick_tanh_parts, tanh_parts
from simbackend.kernels.lanes import REGISTER_BYTES, load, store
from simbackend.kernels.workspace import tables

WIDE = 4
"""Registers in a vector here: four independent chains hide the latency of tanh.  A row is a multiple of it."""
PAIRED = 2
"""Registers where two paths run side by side: with more, what a step needs would not fit the registers there are."""
STEP_ROW, STIFFNESS_ROW, WEIGHT_ROW, FREQUENCY_ROW = 0, 1, 2, 3
"""Rows of `units`: d, k, w, and the frequency that makes positions and momenta comparable in `growth`."""


@compiled
def _advance(q, p, gain, units, drive, count, seen, tape, first, quick):
    """A stretch of steps of one row; q after each step goes into `seen`, q_h and p before the kick onto the tape.

    `quick` (True, or None) takes the tanh of the echoes: a path can only be retraced with the tanh it was made with.
    """
    width = WIDE * REGISTER_BYTES // q.itemsize
    for i in range(0, q.shape[1], width):
        x, y = load(q, 0, i, WIDE), load(p, 0, i, WIDE)
        d, k, w = load(units, STEP_ROW, i, WIDE), load(units, STIFFNESS_ROW, i, WIDE), load(units, WEIGHT_ROW, i, WIDE)
        half, pull, push = d * 0.5, d * k, d * w
        for step in range(count):
            middle = x + half * y
            if tape is not None:
                store(tape, 2 * (first + step), i, middle)
                store(tape, 2 * (first + step) + 1, i, y)
            if gain is None:
                y = y - pull * middle + push * load(drive, step, i, WIDE)
            else:
                inside = load(gain, 0, i, WIDE) * middle + load(drive, step, i, WIDE)
                if quick is None:
                    above, below, _ = tanh_parts(inside)
                else:
                    above, below = quick_tanh_parts(inside)
                y = y - pull * middle - push * above / below
            x = middle + half * y
            store(seen, step, i, x)
        store(q, 0, i, x)
        store(p, 0, i, y)


@compiled
def forward(q, p, inputs, into, bias, gain, units, readout, across, outputs, tape, quick):
    """Run every sequence; q, p (rows, 1, row) in: start, out: end; tape (rows, 2 steps, row) or None."""
    row, size, steps = q.shape[2], into.shape[1], inputs.shape[1]
    items = row // size
    work = tables(2, STRETCH, row, q)
    drive, seen = work[0], work[1]
    for group in range(q.shape[0]):
        last = min(items, inputs.shape[0] - group * items)
        drive[:] = 0.0  # places that no sequence takes stay at rest
        for first in range(0, steps, STRETCH):
            count = min(STRETCH, steps - first)
            for item in range(last):
                spread(into, bias, inputs[group * items + item], first, 0, count, drive, item * size)
            if tape is None:
                _advance(q[group], p[group], gain, units, drive, count, seen, None, first, quick)
            else:
                _advance(q[group], p[group], gain, units, drive, count, seen, tape[group], first, None)
            for item in range(last):
                gather(readout, across, seen, item * size, count, outputs[group * items + item], first)
