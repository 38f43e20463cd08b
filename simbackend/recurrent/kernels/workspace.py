"""Tables for a stretch of steps, laid so that kernels which run along several of them are not slowed by the cache.

Registers are loaded and stored whole: one that begins within a cache line makes every other access touch two.  Tables
whose beginnings differ by a multiple of 4096 bytes look alike to the processor's check of loads against earlier stores,
and each load waits.  The echoes of a nonlinear unit took 4.0 to 6.6 us a step by the luck of the allocator, and take
4.0 to 4.4 (128 units, batch 32, float32, one core).  Rows a multiple of 4096 bytes apart share a place in the first
level of cache, which holds eight of them: tables that are read down the steps take rows a cache line longer than they
need, and the sums of products of 256 oscillators in four sequences half of the time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import overload

from simbackend.kernels.compiling import compiled

CACHE_LINE = 64
"""Bytes; no register is wider."""


@compiled
def tables(count, rows, columns, like):
    """Zeros (count, rows + 1, columns) of the type of `like`; the row too many sets the beginnings apart."""
    size = count * (rows + 1) * columns
    whole = np.zeros(size + CACHE_LINE // like.itemsize, like.dtype)
    first = (-whole.ctypes.data) % CACHE_LINE // like.itemsize
    return whole[first : first + size].reshape(count, rows + 1, columns)


def part_of(table: Any, index: int) -> Any:
    """table[index] of a table that may be None."""
    raise NotImplementedError("compiled code only")


@overload(part_of, jit_options={"forceinline": True})
def _part_of(table, index):
    if isinstance(table, types.NoneType):
        return lambda table, index: None
    return lambda table, index: table[index]
