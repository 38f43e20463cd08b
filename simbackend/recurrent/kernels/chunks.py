"""The matrix products of a stretch of steps: inputs to units, units to outputs, and sums over the steps.

    spread      into[k, i] = offset_i + sum_j c[j, i] v[k, j]        what drives the units
    gather      out[k, j]  = sum_i c[j, i] x[k, i]                   what is read from them
    correlate   sums[j, i] += sum_k v[k, j] x[k, i]                  gradients of input and output weights

v holds one sequence (steps, j) and x, into a few steps of units.  Written out rather than handed to BLAS: at 32 steps
x 128 x 128 (float32, one core) they take 5.3 to 5.9 us a step of a batch of 32, OpenBLAS 13.8 to 15.9, and threads of
BLAS collapse when another process holds a core.
"""

from __future__ import annotations

import numpy as np

from simbackend.kernels.compiling import compiled
from simbackend.recurrent.kernels.lane_functions import total
from simbackend.recurrent.kernels.lanes import REGISTER_BYTES, entry, load, store

STRETCH = 32
"""Steps that are worked on at a time: their drives and answers stay in the first levels of cache."""
NARROW = 2
"""Registers in a vector here; a unit's row is a multiple of it."""


@compiled
def spread(coefficients, offset, sequence, first, source, count, into, column):
    """Into[k, column + i] = offset[0, i] + sum_j coefficients[j, i] sequence[first + k, source + j], k < count."""
    terms, size = coefficients.shape
    width = NARROW * REGISTER_BYTES // coefficients.itemsize
    for i in range(0, size, width):
        start = load(offset, 0, i, NARROW)
        for k in range(count):
            store(into, k, column + i, start)
        j = 0
        while j + 4 <= terms:
            a, b = load(coefficients, j, i, NARROW), load(coefficients, j + 1, i, NARROW)
            c, d = load(coefficients, j + 2, i, NARROW), load(coefficients, j + 3, i, NARROW)
            for k in range(count):
                t, s = first + k, source + j
                x = load(into, k, column + i, NARROW) + a * entry(sequence, t, s) + b * entry(sequence, t, s + 1)
                x = x + c * entry(sequence, t, s + 2) + d * entry(sequence, t, s + 3)
                store(into, k, column + i, x)
            j += 4
        while j < terms:
            a = load(coefficients, j, i, NARROW)
            for k in range(count):
                x = load(into, k, column + i, NARROW) + a * entry(sequence, first + k, source + j)
                store(into, k, column + i, x)
            j += 1


@compiled
def gather(coefficients, across, values, column, count, sequence, first):
    """Sequence[first + k, j] = sum_i coefficients[j, i] values[k, column + i], k < count.

    `across` (i, j) is the transpose, j rounded up to whole vectors, or has no columns.  With it the vectors run over j
    and there is nothing to sum across lanes, which pays from some 32 outputs on (5.9 instead of 16 us at 128).
    """
    terms, size = coefficients.shape
    if across.shape[1] > 0:
        nothing = np.zeros((1, across.shape[1]), across.dtype)
        wide = np.empty((count, across.shape[1]), across.dtype)
        spread(across, nothing, values, 0, column, count, wide, 0)
        for k in range(count):
            for j in range(terms):
                sequence[first + k, j] = wide[k, j]
        return
    width = NARROW * REGISTER_BYTES // coefficients.itemsize
    for k in range(count):
        j = 0
        while j + 4 <= terms:
            x = load(values, k, column, NARROW)
            a, b = x * load(coefficients, j, 0, NARROW), x * load(coefficients, j + 1, 0, NARROW)
            c, d = x * load(coefficients, j + 2, 0, NARROW), x * load(coefficients, j + 3, 0, NARROW)
            for i in range(width, size, width):
                x = load(values, k, column + i, NARROW)
                a, b = a + x * load(coefficients, j, i, NARROW), b + x * load(coefficients, j + 1, i, NARROW)
                c, d = c + x * load(coefficients, j + 2, i, NARROW), d + x * load(coefficients, j + 3, i, NARROW)
            sequence[first + k, j], sequence[first + k, j + 1] = total(a), total(b)
            sequence[first + k, j + 2], sequence[first + k, j + 3] = total(c), total(d)
            j += 4
        while j < terms:
            a = load(values, k, column, NARROW) * load(coefficients, j, 0, NARROW)
            for i in range(width, size, width):
                a = a + load(values, k, column + i, NARROW) * load(coefficients, j, i, NARROW)
            sequence[first + k, j] = total(a)
            j += 1


@compiled
def correlate(sequence, first, source, count, values, column, sums):
    """Sums[j, i] += sum_k sequence[first + k, source + j] values[k, column + i], k < count."""
    terms, size = sums.shape
    width = NARROW * REGISTER_BYTES // sums.itemsize
    for i in range(0, size, width):
        j = 0
        while j + 4 <= terms:
            a, b, c, d = (
                load(sums, j, i, NARROW), load(sums, j + 1, i, NARROW), load(sums, j + 2, i, NARROW),
                load(sums, j + 3, i, NARROW),
            )  # fmt: skip
            for k in range(count):
                x, t, s = load(values, k, column + i, NARROW), first + k, source + j
                a, b = a + x * entry(sequence, t, s), b + x * entry(sequence, t, s + 1)
                c, d = c + x * entry(sequence, t, s + 2), d + x * entry(sequence, t, s + 3)
            store(sums, j, i, a)
            store(sums, j + 1, i, b)
            store(sums, j + 2, i, c)
            store(sums, j + 3, i, d)
            j += 4
        while j < terms:
            a = load(sums, j, i, NARROW)
            for k in range(count):
                a = a + load(values, k, column + i, NARROW) * entry(sequence, first + k, source + j)
            store(sums, j, i, a)
            j += 1


@compiled
def pour(part, whole):
    """Whole += part, part = 0: float32 sums of a few hundred steps go into float64 totals."""
    rows, columns = part.shape
    for row in range(rows):
        for i in range(columns):
            whole[row, i] += part[row, i]
            part[row, i] = 0.0
