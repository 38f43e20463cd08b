"""How kernels are compiled: cached on disk, without the GIL, and never out of date.

numba compiles a cached function again if its own file changes, not if a function that was inlined from another file
does: an edit of tanh would leave every kernel that uses it as it was.  Here the cache also looks at all sources of
this package.  numba also numbers the files of compiled code and writes the index before them: of two processes that
compile at once, one may load what the other, or an older source, left under that number.  Here files carry the digest
of the sources and a name of the process.  No fastmath: two runs on one machine give the same bits.
"""

from __future__ import annotations

import functools
import hashlib
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

_PROCESS = uuid.uuid4().hex[:12]


@functools.cache
def _sources() -> str:
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def compiled(function: Callable[..., Any]) -> Any:
    """The function compiled at its first call, one signature for each type of float."""
    dispatcher: Any = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    index: Any = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if hasattr(index, "_source_stamp"):
        index._source_stamp = (index._source_stamp, _sources())
        index._data_name_pattern = index._data_name_pattern.replace(
            ".{number", f".{_sources()[:12]}.{_PROCESS}.{{number"
        )
    return dispatcher


def inlined(function: Callable[..., Any]) -> Any:
    """A piece of kernels, never called by itself."""
    return numba.njit(forceinline=True, error_model="numpy")(function)
