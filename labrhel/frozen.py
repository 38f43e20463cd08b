"""Values that are compared by content: read-only arrays and the digest that names them.

A digest is the BLAKE2b hash (16 bytes, hexadecimal) of a canonical encoding, the same on every machine.  It is
computed once, lazily, and kept.  Dataclasses that inherit `Digested` compare and hash by it, so that comparing two
shot programs never compares two long arrays, and an array is stored once however often it is used.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import operator
import struct
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

_DIGEST_BYTES = 16


class Digested:
    """Mixin for frozen dataclasses (`eq=False`): equality and hash through the content digest.

    Inside another value it stands by its digest, which is kept; classes whose values are small and seldom shared
    set `inlined` and stand by their content, which saves a hash each.
    """

    __slots__ = ("_digest",)
    _digest: str
    inlined: ClassVar[bool] = False

    @property
    def digest(self) -> str:
        """Hexadecimal content hash, 32 characters."""
        try:
            return self._digest
        except AttributeError:
            object.__setattr__(self, "_digest", self._compute_digest())
            return self._digest

    def _compute_digest(self) -> str:
        return hashlib.blake2b(_encode_content(self), digest_size=_DIGEST_BYTES).hexdigest()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Digested) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)


class FrozenArray(Digested):
    """A read-only array that knows its digest.

    Freezing copies unless the array is contiguous and neither it nor the array it is a view of can be written, so
    that nobody who keeps a writable view can change a program that has been compiled.  Raises TypeError for arrays
    of Python objects, which have no content to digest.
    """

    __slots__ = ("values",)
    values: NDArray[Any]

    def __init__(self, values: ArrayLike) -> None:
        array = np.asarray(values)
        if array.dtype.hasobject:
            raise TypeError(f"an array of {array.dtype} has no canonical form; use numbers or strings")
        if _can_be_written(array) or not array.flags.c_contiguous:
            array = np.array(array, order="C")
            array.flags.writeable = False
        self.values = array

    def _compute_digest(self) -> str:
        hasher = hashlib.blake2b(f"{self.values.dtype.str}{self.values.shape}".encode(), digest_size=_DIGEST_BYTES)
        hasher.update(self.values.data if self.values.size else b"")
        return hasher.hexdigest()

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"FrozenArray({self.values.dtype}{list(self.values.shape)})"


def _can_be_written(array: Any) -> bool:
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return True
        array = array.base
    return False


@cache
def _content_of(cls: type) -> tuple[bytes, Callable[[Any], Any], bool]:
    names = [field.name for field in dataclasses.fields(cls) if field.compare]
    read = operator.attrgetter(*names) if names else lambda value: ()
    return cls.__name__.encode() + b"\0", read, len(names) == 1


def _encode_content(value: Digested) -> bytes:
    name, read, single = _content_of(type(value))
    content = read(value)
    return name + (encode(content) if single else b"\0".join([encode(item) for item in content]))


def encode(value: Any) -> bytes:
    """Canonical bytes of a value: equal values, equal bytes, on every platform, and other values, other bytes.

    Strings and bytes carry their length, so that ("a,sb",) and ("a", "b") differ; numbers of numpy count as Python's,
    so that a step computed by numpy and the same step read back from a file agree.

    Raises TypeError for anything that has no canonical form, so that nothing is hashed by its address.
    """
    encoder = _ENCODERS.get(type(value))
    return _encode_other(value) if encoder is None else encoder(value)


def _encode_float(value: float) -> bytes:
    return b"f" + struct.pack("<d", value + 0.0)  # + 0.0 makes -0.0 and 0.0 the same


def _encode_text(value: str) -> bytes:
    text = value.encode("utf-8", "surrogatepass")
    return b"s%d:" % len(text) + text


def _encode_items(value: tuple[Any, ...] | list[Any]) -> bytes:
    return b"(" + b",".join([encode(item) for item in value]) + b")"


def _encode_mapping(value: Mapping[str, Any]) -> bytes:
    return b"{" + b",".join([encode(key) + b":" + encode(value[key]) for key in sorted(value)]) + b"}"


def _encode_other(value: Any) -> bytes:
    # Digested first: it is the common case, and its class is remembered so that the next one is found at once.
    if isinstance(value, Digested):
        _ENCODERS[type(value)] = _encode_content if value.inlined else _encode_digested
        return encode(value)
    if isinstance(value, enum.Enum):
        _ENCODERS[type(value)] = _encode_member
        return _encode_member(value)
    if isinstance(value, np.ndarray):
        return FrozenArray(value).digest.encode()
    if isinstance(value, np.generic):
        return encode(value.item())
    if isinstance(value, Mapping):
        return _encode_mapping(value)
    if isinstance(value, frozenset):
        return b"<" + b",".join(sorted(encode(item) for item in value)) + b">"
    for kind in (float, int, str, tuple, list):
        if isinstance(value, kind):
            return _ENCODERS[kind](value)
    raise TypeError(f"no canonical encoding for {type(value).__name__}; use numbers, strings, arrays or dataclasses")


def _encode_member(value: enum.Enum) -> bytes:
    # Not cached by value: members of two string enumerations may be equal, and must still encode apart.
    return f"{type(value).__name__}.{value.name}".encode()


def _encode_digested(value: Digested) -> bytes:
    return value.digest.encode()


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda value: b"None",
    bool: lambda value: b"True" if value else b"False",
    int: lambda value: b"%d" % value,
    bytes: lambda value: b"b%d:" % len(value) + value,
    str: _encode_text,
    float: _encode_float,
    complex: lambda value: b"c" + struct.pack("<dd", value.real, value.imag),
    tuple: _encode_items,
    list: _encode_items,
    dict: _encode_mapping,
}


def digest_of(value: Any) -> str:
    """Content digest of any value that `encode` accepts."""
    return hashlib.blake2b(encode(value), digest_size=_DIGEST_BYTES).hexdigest()
