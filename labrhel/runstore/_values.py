"""Structured values as one blob: the structure as JSON, the arrays packed beside it, every float to the bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from labrhel.arrays import Array
from labrhel.frozen import FrozenArray
from labrhel.runstore._packing import pack, unpack
from labrhel.serialise import dumps, from_data, to_data

INLINE_BELOW = 128 * 1024
"""Bytes.  Below, a row of SQLite is faster than a file of its own (docs/decisions/0002-run-store.md)."""


def pack_value(value: Any, put_large: Callable[[FrozenArray], str] | None = None) -> bytes:
    """A shot program, or the state of a checkpoint: nested mappings, lists, numbers, strings, None and arrays.

    Arrays of `INLINE_BELOW` bytes and more go to `put_large`, if given, and are named by what it answers.
    """
    arrays: dict[str, Array] = {}

    def put(array: FrozenArray) -> str:
        if put_large is not None and array.values.nbytes >= INLINE_BELOW:
            return put_large(array)
        arrays[array.digest] = array.values
        return array.digest

    text = dumps(to_data(value, put))
    return pack(arrays, text)


def unpack_value(blob: bytes, get_large: Callable[[str], Array] | None = None) -> Any:
    """Inverse of `pack_value`; numpy arrays are writable copies."""
    arrays, text = unpack(blob)

    def get(name: str) -> Array:
        return arrays[name] if name in arrays or get_large is None else get_large(name)

    return from_data(json.loads(text), get)
