"""Random numbers that belong to one device: the same permanently, whatever else is switched on.

Every use has a stream of its own, named by words and numbers, so that a new imperfection never changes what an old
seed has drawn.  numpy keeps the sequence of `RandomState` frozen between its versions (NEP 19), which it does not
promise for `Generator`.
"""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, *path: str | int) -> np.random.RandomState:
    """The stream of device `seed` at `path`, such as ("noise", shot, pass); the same path gives the same numbers."""
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in path]
    return np.random.RandomState(np.random.PCG64(np.random.SeedSequence([seed, *words])))
