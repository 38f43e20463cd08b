"""Tables for kernels, laid so that those which run along several of them are not slowed by the cache.

Registers are loaded and stored whole: one that begins within a cache line makes every other access touch two.  Tables
whose beginnings differ by a multiple of 4096 bytes look alike to the processor's check of loads against earlier stores,
and each load waits.  The echoes of a nonlinear unit took 4.0 to 6.6 us a step by the luck of the allocator, and take
4.0 to 4.4 (128 units, batch 32, float32, one core).  Rows a multiple of 4096 bytes apart share a place in the first
level of cache, which holds eight of them: tables that are read down the steps take rows a cache line longer than they
need, and the sums of products of 256 oscillators in four sequences half of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numba.core import types
from numba.extending import overload

from labrhel.arrays import Array
from simbackend.kernels.compiling import compiled

CACHE_LINE = 64
"""Bytes; no register is wider."""


def empty(shape: Sequence[int], dtype: np.dtype) -> Array:
    """An array that begins on a cache line, which those of numpy do only by luck; what it holds is not said."""
    size = prod(shape)
    whole = np.empty(size + CACHE_LINE // dtype.itemsize, dtype)
    first = -whole.ctypes.data % CACHE_LINE // dtype.itemsize
    return whole[first : first + size].reshape(shape)


def zeros(shape: Sequence[int], dtype: np.dtype) -> Array:
    """The same, of zeros."""
    found = empty(shape, dtype)
    found.fill(0)
    return found


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
