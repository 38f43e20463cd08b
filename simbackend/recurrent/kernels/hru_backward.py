"""Backward passes of recurrent units over whole sequences, latest stretch first.

What runs in a stretch is a pair of echoes if nudge levels are given (`hru_echoes`, or `dense_echoes` where units are
coupled) and a path with its tangent else (`hru_tangent`, `dense_tangent`); here the inputs are replayed, the cotangent
becomes the nudge, and what comes out of a stretch is summed.
"""

# Branches on None are taken when a kernel is compiled, which pyright cannot know.
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

import numpy as np

from simbackend.kernels.compiling import compiled
from simbackend.recurrent.kernels.chunks import STRETCH, correlate, gather, pour, spread
from simbackend.recurrent.kernels.dense_echoes import dense_echo_stretch
from simbackend.recurrent.kernels.dense_tangent import dense_tangent_stretch
from simbackend.recurrent.kernels.hru_echoes import echo_stretch
from simbackend.recurrent.kernels.hru_tangent import tangent_stretch
from simbackend.recurrent.kernels.hru_watch import add_up, watch, watch_together
from simbackend.recurrent.kernels.workspace import part_of, tables

POUR_EVERY = 8
"""Stretches between two emptyings of the sums into float64."""
SUMS = 6
"""Rows of `sums`, see `hru_echoes`."""


@compiled
def backward(
    state,  # (rows, 4, row) in: flipped end state of the forward pass; out: where the pass ended.  q, p of either echo
    inputs,  # (batch, steps, d_in)                                     or m, p and their scaled differences
    cotangent,  # (batch, steps, d_out)
    into,  # (d_in, size) input weights, transposed
    bias,  # (1, size)
    gain,  # (1, row), or None for linear and coupled units
    coupling,  # (n, size) symmetric, or None where units do not couple
    units,  # (7, row) constants of the units, see `hru`
    nudging,  # (d_out, size) from the cotangent to the nudge: the read-out, over 1 + d g/2 under friction
    back,  # (d_in, size) from g to the input gradient
    back_across,  # its transpose, see `gather`
    upper,  # nudge of one echo in units of the cotangent, or None: mean and scaled difference
    lower,  # nudge of the other
    inverse_eps,  # 1/eps of the difference form, or None: its limit
    tape,  # (rows, 2 steps, row), or None to run the path backwards
    lost,  # (rows, 2, row) of the path that runs backwards, see `hru`, or None
    damped,  # True, or None for lossless units
    record,  # (rows, steps, row) p + p' of the forward pass, or None: lossless, or there is a tape
    sums,  # (rows, 6, row) float64
    sums_in,  # (rows, d_in, size) float64
    sums_out,  # (rows, d_out, size) float64
    sums_coupling,  # (rows, n, size) float64: of -D_j m_i, the latter doubled in echoes; or None
    input_gradient,  # (batch, steps, d_in), or no steps if it is not wanted
    health,  # (rows, 4, row), see `hru_watch`
):
    """Run every row back over all steps; see the comments."""
    row, size, steps = state.shape[2], into.shape[1], inputs.shape[1]
    items, kind = row // size, state.dtype
    work = tables(5, STRETCH, row, state)
    drive, nudge, slope, mean, at_kick = work[0], work[1], work[2], work[3], work[4]
    part, part_in = np.zeros(sums.shape[1:], kind), np.zeros(into.shape, kind)
    part_out, now, feed = np.zeros(nudging.shape, kind), np.empty((3, row), kind), np.zeros((2, row), kind)
    if coupling is not None:
        part_coupling = np.zeros(coupling.shape, kind)
    nothing, weights, amounts = np.zeros((1, size), kind), np.abs(nudging), np.empty((1, nudging.shape[0]), kind)
    stretches, one = (steps + STRETCH - 1) // STRETCH, kind.type(1.0)
    for group in range(state.shape[0]):
        here = state[group]
        last = min(items, inputs.shape[0] - group * items)
        # Places that no sequence takes stay at rest, and add nothing to the sums.
        drive[:], nudge[:], feed[:] = 0.0, 0.0, 0.0
        for stretch in range(stretches - 1, -1, -1):
            first = stretch * STRETCH
            count = min(STRETCH, steps - first)
            for item in range(last):
                index, column = group * items + item, item * size
                spread(into, bias, inputs[index], first, 0, count, drive, column)
                spread(nudging, nothing, cotangent[index], first, 0, count, nudge, column)
                add_up(cotangent[index], first, count, amounts)
                spread(weights, nothing, amounts, 0, 0, 1, feed, column)
            if upper is not None:
                if coupling is None:  # nested: numba drops the dead branch of a simple condition only
                    echo_stretch(
                        here, gain, units, drive, nudge, count, upper, lower, part, slope, mean, damped,
                        part_of(record, group), first,
                    )  # fmt: skip
                else:
                    dense_echo_stretch(
                        here, coupling, units, drive, nudge, count, upper, lower, part, slope, mean, at_kick
                    )  # fmt: skip
            elif coupling is None:
                tangent_stretch(
                    here, gain, units, drive, nudge, count, inverse_eps, part_of(tape, group), first, part, slope, mean,
                    part_of(lost, group), damped, part_of(record, group),
                )  # fmt: skip
            else:
                dense_tangent_stretch(
                    here, coupling, units, drive, nudge, count, inverse_eps, part_of(tape, group), first, part, slope,
                    mean, at_kick, part_of(lost, group),
                )  # fmt: skip
            for item in range(last):
                index, column = group * items + item, item * size
                correlate(inputs[index], first, 0, count, slope, column, part_in)
                correlate(cotangent[index], first, 0, count, mean, column, part_out)
                if coupling is not None:
                    correlate(slope, 0, column, count, at_kick, column, part_coupling)
                if input_gradient.shape[1] > 0:
                    gather(back, back_across, slope, column, count, input_gradient[index], first)
            if stretch % POUR_EVERY == 0:
                pour(part, sums[group])
                pour(part_in, sums_in[group])
                pour(part_out, sums_out[group])
                if coupling is not None:
                    pour(part_coupling, sums_coupling[group])
            if upper is not None:
                for i in range(row):
                    now[0, i], now[1, i] = here[0, i] - here[2, i], here[1, i] - here[3, i]
                    now[2, i] = (here[0, i] + here[2, i]) * 0.5
                scale = 1.0 / (upper - lower)
            else:
                for i in range(row):
                    now[0, i], now[1, i], now[2, i] = here[2, i], here[3, i], here[0, i]
                scale = 1.0 / one
            if coupling is None:
                watch(now, scale, units, feed, health[group])
            else:
                watch_together(now, scale, units, feed, health[group], items)
