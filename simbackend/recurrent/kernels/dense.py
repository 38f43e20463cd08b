"""Densely coupled oscillators: the product with the coupling matrix, and the forward pass.

    F = w x - (k + b q_h^2) q_h + sum_j K_ij q_jh,      x = B u,    k with what the springs put on the diagonal

Units depend on each other here, so steps are the outer loop and the state stays in the first level of cache instead of
in registers.  A row holds up to four sequences, which share each load of the matrix: tiles of some registers times 4
sequences keep the multiply-adds busy; no BLAS call, whose threads collapse on a busy machine.
"""

# Branches on None are taken when a kernel is compiled, which pyright cannot know.
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

from simbackend.kernels.compiling import compiled, inlined
from simbackend.recurrent.kernels.hru import CUBIC_ROW, STEP_ROW, STIFFNESS_ROW, WEIGHT_ROW, WIDE, advanced
from simbackend.recurrent.kernels.lanes import REGISTER_BYTES, REGISTERS, entry, load, store
from simbackend.recurrent.kernels.workspace import tables

TILE, WIDER, WIDEST = REGISTERS // 8, REGISTERS // 4, REGISTERS // 2
"""Registers of a tile for four vectors, for two, and for one: the sums take half of those there are, since sums that do
not fit are stored and loaded at every term.  Tiles for 32 registers made the echoes of 256 oscillators 2.3 to 3.3 times
as long where there are 16."""


@compiled
def couple(coupling, values, into, vectors):
    """Into[v, i] = sum_j coupling[j, i] values[v, j], v < vectors.

    `coupling` is (n, size), the tables hold one vector of `size` after another.  As many registers of sums whatever
    the number of vectors: few vectors take wide tiles, so that the matrix is read along its rows, as caches like it.
    """
    size = coupling.shape[1]
    flat, out = values.reshape(values.size // size, size), into.reshape(into.size // size, size)
    v = 0
    while v + 4 <= vectors:
        _four(coupling, flat, out, v)
        v += 4
    while v + 2 <= vectors:
        _two(coupling, flat, out, v)
        v += 2
    while v < vectors:
        _one(coupling, flat, out, v)
        v += 1


@inlined
def _four(coupling, flat, out, v):
    n, size = coupling.shape
    for i in range(0, size, TILE * REGISTER_BYTES // coupling.itemsize):
        row = load(coupling, 0, i, TILE)
        a, b = row * entry(flat, v, 0), row * entry(flat, v + 1, 0)
        c, d = row * entry(flat, v + 2, 0), row * entry(flat, v + 3, 0)
        for j in range(1, n):
            row = load(coupling, j, i, TILE)
            a, b = a + row * entry(flat, v, j), b + row * entry(flat, v + 1, j)
            c, d = c + row * entry(flat, v + 2, j), d + row * entry(flat, v + 3, j)
        store(out, v, i, a)
        store(out, v + 1, i, b)
        store(out, v + 2, i, c)
        store(out, v + 3, i, d)


@inlined
def _two(coupling, flat, out, v):
    n, size = coupling.shape
    width, i = REGISTER_BYTES // coupling.itemsize, 0
    while i + WIDER * width <= size:
        row = load(coupling, 0, i, WIDER)
        a, b = row * entry(flat, v, 0), row * entry(flat, v + 1, 0)
        for j in range(1, n):
            row = load(coupling, j, i, WIDER)
            a, b = a + row * entry(flat, v, j), b + row * entry(flat, v + 1, j)
        store(out, v, i, a)
        store(out, v + 1, i, b)
        i += WIDER * width
    while i < size:
        row = load(coupling, 0, i, WIDE)
        a, b = row * entry(flat, v, 0), row * entry(flat, v + 1, 0)
        for j in range(1, n):
            row = load(coupling, j, i, WIDE)
            a, b = a + row * entry(flat, v, j), b + row * entry(flat, v + 1, j)
        store(out, v, i, a)
        store(out, v + 1, i, b)
        i += WIDE * width


@inlined
def _one(coupling, flat, out, v):
    n, size = coupling.shape
    width, i = REGISTER_BYTES // coupling.itemsize, 0
    while i + WIDEST * width <= size:
        a = load(coupling, 0, i, WIDEST) * entry(flat, v, 0)
        for j in range(1, n):
            a = a + load(coupling, j, i, WIDEST) * entry(flat, v, j)
        store(out, v, i, a)
        i += WIDEST * width
    while i < size:
        # Even and odd terms: four chains of sums alone would wait for each other.
        a = load(coupling, 0, i, WIDE) * entry(flat, v, 0)
        b = a - a
        for j in range(1, n - 1, 2):
            a = a + load(coupling, j, i, WIDE) * entry(flat, v, j)
            b = b + load(coupling, j + 1, i, WIDE) * entry(flat, v, j + 1)
        if n % 2 == 0:
            a = a + load(coupling, n - 1, i, WIDE) * entry(flat, v, n - 1)
        store(out, v, i, a + b)
        i += WIDE * width


@compiled
def dense_advance(q, p, coupling, units, drive, count, seen, tape, first, lost):
    """A stretch of steps of one row, as `hru._advance`."""
    width = WIDE * REGISTER_BYTES // q.itemsize
    work = tables(2, 1, q.shape[1], q)
    middle, pull, vectors = work[0], work[1], q.shape[1] // coupling.shape[1]
    for i in range(0, q.shape[1], width):
        x, half = load(q, 0, i, WIDE), load(units, STEP_ROW, i, WIDE) * 0.5
        m = half * load(p, 0, i, WIDE)
        if lost is None:
            m = x + m
        else:
            m, lost_q = advanced(x, load(lost, 0, i, WIDE), m)
            store(lost, 0, i, lost_q)
        store(middle, 0, i, m)
    for step in range(count):
        couple(coupling, middle, pull, vectors)
        for i in range(0, q.shape[1], width):
            m, y = load(middle, 0, i, WIDE), load(p, 0, i, WIDE)
            if tape is not None:
                store(tape, 2 * (first + step), i, m)
                store(tape, 2 * (first + step) + 1, i, y)
            d = load(units, STEP_ROW, i, WIDE)
            stiffness = load(units, STIFFNESS_ROW, i, WIDE) + load(units, CUBIC_ROW, i, WIDE) * (m * m)
            force = load(pull, 0, i, WIDE) + load(units, WEIGHT_ROW, i, WIDE) * load(drive, step, i, WIDE)
            force = force - stiffness * m
            if lost is None:
                y = y + d * force
                store(seen, step, i, m + d * 0.5 * y)
                m = m + d * y
            else:
                y, lost_p = advanced(y, load(lost, 1, i, WIDE), d * force)
                store(seen, step, i, m + d * 0.5 * y)
                m, lost_q = advanced(m, load(lost, 0, i, WIDE), d * y)
                store(lost, 0, i, lost_q)
                store(lost, 1, i, lost_p)
            store(p, 0, i, y)
            store(middle, 0, i, m)
    for i in range(0, q.shape[1], width):
        back = load(units, STEP_ROW, i, WIDE) * -0.5 * load(p, 0, i, WIDE)
        if lost is None:
            x = load(middle, 0, i, WIDE) + back
        else:
            x, lost_q = advanced(load(middle, 0, i, WIDE), load(lost, 0, i, WIDE), back)
            store(lost, 0, i, lost_q)
        store(q, 0, i, x)
