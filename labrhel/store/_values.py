"""The state of a checkpoint as one blob: its structure as JSON, the arrays packed beside it, every float to the bit."""

from __future__ import annotations

import json
from typing import Any

from labrhel.arrays import Array
from labrhel.frozen import FrozenArray
from labrhel.shots.serialise import dumps, from_data, to_data
from labrhel.store._packing import pack, unpack

INLINE_BELOW = 128 * 1024
"""Bytes.  Arrays below stand in the journal, others in files of their own, which can be mapped."""


def pack_value(value: Any) -> bytes:
    """Nested mappings, lists, numbers, strings, None, arrays, and the dataclasses of a shot program."""
    arrays: dict[str, Array] = {}

    def put(array: FrozenArray) -> str:
        arrays[array.digest] = array.values
        return array.digest

    text = dumps(to_data(value, put))
    return pack(arrays, text)


def unpack_value(blob: bytes) -> Any:
    """Inverse of `pack_value`; numpy arrays are writable copies."""
    arrays, text = unpack(blob)
    return from_data(json.loads(text), arrays.__getitem__)
