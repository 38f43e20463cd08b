"""What a backward pass does before and after each stretch, whichever engine runs in between.

In functions of their own they are compiled once for a type of float, not once more for each engine.
"""

from __future__ import annotations

from simbackend.kernels.compiling import compiled
from simbackend.recurrent.kernels.chunks import correlate, gather, spread
from simbackend.recurrent.kernels.hru_watch import add_up


@compiled
def replay(
    inputs, cotangent, index, last, first, count, into, bias, nudging, nothing, weights, drive, nudge, amounts, feed
):  # fmt: skip
    """Drives and nudges of the sequences `index` to `index + last`, and in `feed` the size of what is fed in."""
    size = into.shape[1]
    for item in range(last):
        column = item * size
        spread(into, bias, inputs[index + item], first, 0, count, drive, column)
        spread(nudging, nothing, cotangent[index + item], first, 0, count, nudge, column)
        add_up(cotangent[index + item], first, count, amounts)
        spread(weights, nothing, amounts, 0, 0, 1, feed, column)


@compiled
def sum_up(
    inputs, cotangent, index, last, first, count, slope, mean, back, back_across, part_in, part_out, input_gradient
):
    """Add what a stretch says of input and output weights, and write down the gradient of its inputs."""
    size = part_in.shape[1]
    for item in range(last):
        column = item * size
        correlate(inputs[index + item], first, 0, count, slope, column, part_in)
        correlate(cotangent[index + item], first, 0, count, mean, column, part_out)
        if input_gradient.shape[1] > 0:
            gather(back, back_across, slope, column, count, input_gradient[index + item], first)


@compiled
def sum_up_coupling(last, count, slope, at_kick, part):
    """Add what a stretch says of the springs."""
    for item in range(last):
        column = item * part.shape[1]
        correlate(slope, 0, column, count, at_kick, column, part)


@compiled
def compare_echoes(pair, now):
    """Difference of two echoes and their mean position, as `hru_watch` takes them."""
    for i in range(now.shape[1]):
        now[0, i], now[1, i] = pair[0, i] - pair[2, i], pair[1, i] - pair[3, i]
        now[2, i] = (pair[0, i] + pair[2, i]) * 0.5


@compiled
def show_tangent(state, now):
    """The same of a path and its tangent."""
    for i in range(now.shape[1]):
        now[0, i], now[1, i], now[2, i] = state[2, i], state[3, i], state[0, i]
