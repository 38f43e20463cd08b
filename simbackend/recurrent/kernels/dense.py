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

TILE = REGISTERS // 8
"""Registers in a row of a panel.  Of four vectors the sums take half of the registers there are, of two and of one as
many with two and four panels side by side: sums that do not fit are stored and loaded at every term.  Tiles for 32
registers made the echoes of 256 oscillators 2.3 to 3.3 times as long where there are 16."""


@compiled
def couple(coupling, values, into, vectors):
    """Into[v, i] = sum_j K[j, i] values[v, j], v < vectors.

    `coupling` holds K in panels (size / width, n, width), one after the other as they are read: rows of the whole
    matrix are some kilobytes apart, which the caches do not foresee.  A panel that four vectors have fetched is there
    for the next four.  The tables hold one vector of `size` after another.
    """
    panels, n, width = coupling.shape
    size = panels * width
    rows = coupling.reshape(panels * n, width)
    flat, out = values.reshape(values.size // size, size), into.reshape(into.size // size, size)
    fours = vectors // 4 * 4
    for panel in range(panels):
        for v in range(0, fours, 4):
            _four(rows, panel, n, flat, out, v)
    v = fours
    if v + 2 <= vectors:
        _two(rows, panels, n, flat, out, v)
        v += 2
    if v < vectors:
        _one(rows, panels, n, flat, out, v)


@inlined
def _four(rows, panel, n, flat, out, v):
    first, i = panel * n, panel * rows.shape[1]
    row = load(rows, first, 0, TILE)
    a, b = row * entry(flat, v, 0), row * entry(flat, v + 1, 0)
    c, d = row * entry(flat, v + 2, 0), row * entry(flat, v + 3, 0)
    for j in range(1, n):
        row = load(rows, first + j, 0, TILE)
        a, b = a + row * entry(flat, v, j), b + row * entry(flat, v + 1, j)
        c, d = c + row * entry(flat, v + 2, j), d + row * entry(flat, v + 3, j)
    store(out, v, i, a)
    store(out, v + 1, i, b)
    store(out, v + 2, i, c)
    store(out, v + 3, i, d)


@inlined
def _two(rows, panels, n, flat, out, v):
    width, panel = rows.shape[1], 0
    while panel + 2 <= panels:
        first, i = panel * n, panel * width
        x, y = entry(flat, v, 0), entry(flat, v + 1, 0)
        row, other = load(rows, first, 0, TILE), load(rows, first + n, 0, TILE)
        a, b, c, d = row * x, row * y, other * x, other * y
        for j in range(1, n):
            x, y = entry(flat, v, j), entry(flat, v + 1, j)
            row, other = load(rows, first + j, 0, TILE), load(rows, first + n + j, 0, TILE)
            a, b, c, d = a + row * x, b + row * y, c + other * x, d + other * y
        store(out, v, i, a)
        store(out, v + 1, i, b)
        store(out, v, i + width, c)
        store(out, v + 1, i + width, d)
        panel += 2
    while panel < panels:
        _alone(rows, panel, n, flat, out, v)
        _alone(rows, panel, n, flat, out, v + 1)
        panel += 1


@inlined
def _one(rows, panels, n, flat, out, v):
    width, panel = rows.shape[1], 0
    while panel + 4 <= panels:
        first, i, x = panel * n, panel * width, entry(flat, v, 0)
        a, b = load(rows, first, 0, TILE) * x, load(rows, first + n, 0, TILE) * x
        c, d = load(rows, first + 2 * n, 0, TILE) * x, load(rows, first + 3 * n, 0, TILE) * x
        for j in range(first + 1, first + n):
            x = entry(flat, v, j - first)
            a, b = a + load(rows, j, 0, TILE) * x, b + load(rows, j + n, 0, TILE) * x
            c, d = c + load(rows, j + 2 * n, 0, TILE) * x, d + load(rows, j + 3 * n, 0, TILE) * x
        store(out, v, i, a)
        store(out, v, i + width, b)
        store(out, v, i + 2 * width, c)
        store(out, v, i + 3 * width, d)
        panel += 4
    while panel < panels:
        _alone(rows, panel, n, flat, out, v)
        panel += 1


@inlined
def _alone(rows, panel, n, flat, out, v):
    """One panel and one vector: the terms in four sums, since a single one would wait for itself."""
    first = panel * n
    a = load(rows, first, 0, TILE) * entry(flat, v, 0)
    b = a - a
    c, d = b, b
    j = 1
    while j + 4 <= n:
        a = a + load(rows, first + j, 0, TILE) * entry(flat, v, j)
        b = b + load(rows, first + j + 1, 0, TILE) * entry(flat, v, j + 1)
        c = c + load(rows, first + j + 2, 0, TILE) * entry(flat, v, j + 2)
        d = d + load(rows, first + j + 3, 0, TILE) * entry(flat, v, j + 3)
        j += 4
    while j < n:
        a = a + load(rows, first + j, 0, TILE) * entry(flat, v, j)
        j += 1
    store(out, v, panel * rows.shape[1], (a + b) + (c + d))


@compiled
def dense_advance(q, p, coupling, units, drive, count, seen, tape, first, lost):
    """A stretch of steps of one row, as `hru._advance`."""
    width = WIDE * REGISTER_BYTES // q.itemsize
    work = tables(2, 1, q.shape[1], q)
    middle, pull, vectors = work[0], work[1], q.shape[1] // (coupling.shape[0] * coupling.shape[2])
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
