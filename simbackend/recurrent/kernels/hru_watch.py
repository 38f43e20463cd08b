"""How the response of an echo is watched: its size, that of the state, and how far it outgrew what was fed in.

Growth is followed stretch by stretch, for each unit: with a the size of the adjoint before a stretch, a' after it and
f the sum of the nudges in between, growth' = max(1, growth a'/(a + f)).  A bounded adjoint keeps it near 1 whatever is
fed in; the peak is the largest ratio by which the adjoint grew from where it was fed in, underestimated rather.
"""

from __future__ import annotations

import numpy as np

from simbackend.kernels.compiling import compiled
from simbackend.recurrent.kernels.hru import FREQUENCY_ROW, WIDE
from simbackend.recurrent.kernels.lane_functions import most, root
from simbackend.recurrent.kernels.lanes import REGISTER_BYTES, load, store

RESPONSE, POSITION, GROWN, PEAK = 0, 1, 2, 3
"""Rows of `health`: sums of squares of the response and of the position, growth since it was last fed, its peak."""


@compiled
def add_up(sequence, first, count, amounts):
    """Amounts[0, j] = sum_k |sequence[first + k, j]|, k < count."""
    for j in range(amounts.shape[1]):
        amount = abs(sequence[first, j])
        for k in range(1, count):
            amount += abs(sequence[first + k, j])
        amounts[0, j] = amount


@compiled
def watch(now, scale, units, feed, health):
    """After a stretch: sizes of the response and of the positions, and how far the response outgrew what was fed in.

    `now` holds Dq, Dp and the mean position; the size of a unit's response is sqrt(Dp^2 + frequency^2 Dq^2) times
    `scale`.  `feed` holds what was fed in since the last call, and the size then.
    """
    width = WIDE * REGISTER_BYTES // health.itemsize
    for i in range(0, health.shape[1], width):
        a, b, x = load(now, 0, i, WIDE) * scale, load(now, 1, i, WIDE) * scale, load(now, 2, i, WIDE)
        f = load(units, FREQUENCY_ROW, i, WIDE) * a
        size, fed = root(f * f + b * b), load(feed, 0, i, WIDE) + load(feed, 1, i, WIDE)
        grown = most(load(health, GROWN, i, WIDE) * size / most(fed, 1e-30), 1.0)
        store(health, RESPONSE, i, load(health, RESPONSE, i, WIDE) + a * a)
        store(health, POSITION, i, load(health, POSITION, i, WIDE) + x * x)
        store(health, GROWN, i, grown)
        store(health, PEAK, i, most(load(health, PEAK, i, WIDE), grown))
        store(feed, 1, i, size)


@compiled
def watch_together(now, scale, units, feed, health, items):
    """The same where units are coupled: what is fed into one of them answers in all, so each sequence is one whole.

    Sizes are root sums of squares over the units of a sequence.
    """
    size = health.shape[1] // items
    for item in range(items):
        whole, fed = 0.0, 0.0
        for i in range(item * size, (item + 1) * size):
            a, b = now[0, i] * scale, now[1, i] * scale
            answer = (units[FREQUENCY_ROW, i] * a) ** 2 + b**2
            whole += answer
            fed += (feed[0, i] + feed[1, i]) ** 2
            feed[1, i] = np.sqrt(answer)
            health[RESPONSE, i] += a * a
            health[POSITION, i] += now[2, i] * now[2, i]
        ratio = np.sqrt(whole / fed) if fed > 0 else 1.0
        for i in range(item * size, (item + 1) * size):
            health[GROWN, i] = max(health[GROWN, i] * ratio, 1.0)
            health[PEAK, i] = max(health[PEAK, i], health[GROWN, i])
