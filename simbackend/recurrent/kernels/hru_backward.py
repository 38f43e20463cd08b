"""Backward passes of recurrent units over whole sequences, latest stretch first.

What runs in a stretch is a pair of echoes if nudge levels are given (`hru_echoes`, or `dense_echoes` where units are
coupled) and a path with its tangent else (`hru_tangent`, `dense_tangent`); around it the inputs are replayed, the
cotangent becomes the nudge, and what comes out of a stretch is summed (`hru_around`).
"""

# Branches on None are taken when a kernel is compiled, which pyright cannot know.
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

import numpy as np

from simbackend.kernels.compiling import compiled
from simbackend.recurrent.kernels.chunks import STRETCH, pour
from simbackend.recurrent.kernels.dense_echoes import dense_echo_stretch
from simbackend.recurrent.kernels.dense_tangent import dense_tangent_stretch
from simbackend.recurrent.kernels.hru_around import compare_echoes, replay, show_tangent, sum_up, sum_up_coupling
from simbackend.recurrent.kernels.hru_echoes import echo_stretch
from simbackend.recurrent.kernels.hru_tangent import tangent_stretch
from simbackend.recurrent.kernels.hru_watch import watch, watch_together
from simbackend.recurrent.kernels.workspace import CACHE_LINE, part_of, tables

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
    coupling,  # (size / width, n, width) panels of a symmetric matrix, see `dense`, or None where units do not couple
    uncoupled,  # True where they do not, or None: numba drops a branch whose argument is None, and no other
    units,  # (7, row) constants of the units, see `hru`
    nudging,  # (d_out, size) from the cotangent to the nudge: the read-out, over 1 + d g/2 under friction
    back,  # (d_in, size) from g to the input gradient
    back_across,  # its transpose, see `gather`
    upper,  # nudge of one echo in units of the cotangent, or None: mean and scaled difference
    lower,  # nudge of the other
    tangent,  # True where there are no such levels, or None
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
    work = tables(5, STRETCH, row + CACHE_LINE // state.itemsize, state)
    drive, nudge, slope, mean, at_kick = work[0], work[1], work[2], work[3], work[4]
    part, part_in = np.zeros(sums.shape[1:], kind), np.zeros(into.shape, kind)
    part_out, now, feed = np.zeros(nudging.shape, kind), np.empty((3, row), kind), np.zeros((2, row), kind)
    if coupling is not None:
        part_coupling = np.zeros((coupling.shape[1], size), kind)
    nothing, weights, amounts = np.zeros((1, size), kind), np.abs(nudging), np.empty((1, nudging.shape[0]), kind)
    stretches, one = (steps + STRETCH - 1) // STRETCH, kind.type(1.0)
    for group in range(state.shape[0]):
        here = state[group]
        index = group * items
        last = min(items, inputs.shape[0] - index)
        # Places that no sequence takes stay at rest, and add nothing to the sums.
        drive[:], nudge[:], feed[:] = 0.0, 0.0, 0.0
        for stretch in range(stretches - 1, -1, -1):
            first = stretch * STRETCH
            count = min(STRETCH, steps - first)
            replay(
                inputs, cotangent, index, last, first, count, into, bias, nudging, nothing, weights, drive, nudge,
                amounts, feed,
            )  # fmt: skip
            if upper is not None:
                if uncoupled is not None:  # nested: numba drops the dead branch of a simple condition only
                    echo_stretch(
                        here, gain, units, drive, nudge, count, upper, lower, part, slope, mean, damped,
                        part_of(record, group), first,
                    )  # fmt: skip
                if coupling is not None:
                    dense_echo_stretch(
                        here, coupling, units, drive, nudge, count, upper, lower, part, slope, mean, at_kick
                    )  # fmt: skip
            if tangent is not None:
                if uncoupled is not None:
                    tangent_stretch(
                        here, gain, units, drive, nudge, count, inverse_eps, part_of(tape, group), first, part, slope,
                        mean, part_of(lost, group), damped, part_of(record, group),
                    )  # fmt: skip
                if coupling is not None:
                    dense_tangent_stretch(
                        here, coupling, units, drive, nudge, count, inverse_eps, part_of(tape, group), first, part,
                        slope, mean, at_kick, part_of(lost, group),
                    )  # fmt: skip
            sum_up(
                inputs, cotangent, index, last, first, count, slope, mean, back, back_across, part_in, part_out,
                input_gradient,
            )  # fmt: skip
            if coupling is not None:
                sum_up_coupling(last, count, slope, at_kick, part_coupling)
            if stretch % POUR_EVERY == 0:
                pour(part, sums[group])
                pour(part_in, sums_in[group])
                pour(part_out, sums_out[group])
                if coupling is not None:
                    pour(part_coupling, sums_coupling[group])
            scale = one / one
            if upper is not None:
                compare_echoes(here, now)
                scale = 1.0 / (upper - lower)
            if tangent is not None:
                show_tangent(here, now)
            if uncoupled is not None:
                watch(now, scale, units, feed, health[group])
            if coupling is not None:
                watch_together(now, scale, units, feed, health[group], items)
