"""Tables for a stretch of steps, laid so that kernels which run along several of them are not slowed by the cache.

Registers of 64 bytes are loaded and stored whole: a table that begins within a cache line makes every access touch two.
Tables whose beginnings differ by a multiple of 4096 bytes look alike to the processor's check of loads against earlier
stores, and each load waits.  The echoes of a nonlinear unit took 4.0 to 6.6 us a step by the luck of the allocator, and
take 4.0 to 4.4 (128 units, batch 32, float32, one core).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import overload

from simbackend.kernels.compiling import compiled
from simbackend.recurrent.kernels.lanes import REGISTER_BYTES


@compiled
def tables(count, rows, columns, like):
    """Zeros (count, rows + 1, columns) of the type of `like`; the row too many sets the beginnings apart."""
    size = count * (rows + 1) * columns
    whole = np.zeros(size + REGISTER_BYTES // like.itemsize, like.dtype)
    first = (-whole.ctypes.data) % REGISTER_BYTES // like.itemsize
    return whole[first : first + size].reshape(count, rows + 1, columns)


def part_of(table: Any, index: int) -> Any:
    """table[index] of a table that may be None."""
    raise NotImplementedError("compiled code only")


@overload(part_of, jit_options={"forceinline": True})
def _part_of(table, index):
    if isinstance(table, types.NoneType):
        return lambda table, index: None
    return lambda table, index: table[index]
