"""Values that are compared by content: read-only arrays and the digest that names them.

A digest is the BLAKE2b hash (16 bytes, hexadecimal) of a canonical JSON text, the same on every machine.  It is
computed once, lazily, and kept.  Dataclasses that inherit `Digested` compare and hash by it, so that comparing two
shot programs never compares two long arrays, and an array is stored once however often it is used.  The text of a
shot program is also what the record keeps of it: what was hashed can be read.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

_DIGEST_BYTES = 16


class Digested:
    """Mixin for frozen dataclasses (`eq=False`): equality and hash through the content digest.

    Inside another value it stands by its digest, which is kept; classes whose values are small and seldom shared
    set `inlined` and stand by their content, which saves a hash each.  `tag` names the class in the text: a class that
    is renamed keeps its tag, and with it every digest.
    """

    __slots__ = ("_digest",)
    _digest: str
    inlined: ClassVar[bool] = False
    tag: ClassVar[str]

    @property
    def digest(self) -> str:
        """Hexadecimal content hash, 32 characters."""
        try:
            return self._digest
        except AttributeError:
            object.__setattr__(self, "_digest", self._compute_digest())
            return self._digest

    def _compute_digest(self) -> str:
        return _hash(_bytes(_content_encoder(type(self))(self)))

    def content(self) -> bytes:
        """The canonical text (UTF-8) whose hash is the digest, which is then known as well."""
        text = _bytes(_content_encoder(type(self))(self))
        if not hasattr(self, "_digest"):
            object.__setattr__(self, "_digest", _hash(text))
        return text

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
    tag = "array"
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
        return hash_array(self.values.dtype, self.values.shape, (self.values,))

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"FrozenArray({self.values.dtype}{list(self.values.shape)})"


def hash_array(dtype: np.dtype[Any], shape: tuple[int, ...], parts: Iterable[NDArray[Any]]) -> str:
    """Digest of the array of that type and shape whose content is that of the contiguous `parts`, in order."""
    hasher = hashlib.blake2b(_kind_of(dtype, shape), digest_size=_DIGEST_BYTES)
    for part in parts:
        hasher.update(part.data if part.size else b"")
    return hasher.hexdigest()


@lru_cache(maxsize=512)
def _kind_of(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    return f"{dtype.str}{shape}".encode()


def _can_be_written(array: Any) -> bool:
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return True
        array = array.base
    return False


@cache
def _content_encoder(cls: type) -> Callable[[Any], str]:
    """{"$NAME":{FIELD:VALUE, ...}} of a dataclass, by a function made for it, as `dataclass` makes its `__init__`.

    A shot program takes 3.4 us so, and 8.4 us with a loop over the fields.
    """
    names = [field.name for field in dataclasses.fields(cls) if field.compare]
    read = [f"    _{number} = value.{name}" for number, name in enumerate(names)]
    parts = ",".join(f'"{name}":{{encoders[type(_{number})](_{number})}}' for number, name in enumerate(names))
    made: dict[str, Any] = {"encoders": _ENCODERS}
    source = ["def encode_content(value):", *read, f"    return f'{{{{\"${cls.tag}\":{{{{{parts}}}}}}}}}'"]
    exec("\n".join(source), made)
    return made["encode_content"]


def encode(value: Any) -> str:
    """Canonical JSON of a value: equal values, equal text, on every platform, and other values, other text.

    What JSON cannot express is written as labrhel.shots.serialise reads it: {"$Role":"NUDGE"}, {"$float":"nan"} ...
    Numbers of numpy count as Python's, so that a step computed by numpy and the same step read back from a file
    agree; so do lists and tuples, 0.0 and -0.0.

    Raises TypeError for anything that has no canonical form, so that nothing is hashed by its address.
    """
    return _ENCODERS[type(value)](value)


@lru_cache(maxsize=1024)  # steps and offsets are the same in every shot; values that are equal have equal text
def _encode_float(value: float) -> str:
    text = repr(value + 0.0)  # + 0.0 makes -0.0 and 0.0 the same; repr is the shortest text that reads back
    return f'{{"$float":"{text}"}}' if text[-1] in "fn" else text  # inf and nan are no JSON


def _encode_complex(value: complex) -> str:
    return f'{{"$complex":[{_encode_float(value.real)},{_encode_float(value.imag)}]}}'


def _encode_items(value: Iterable[Any]) -> str:
    return f"[{','.join([_ENCODERS[type(item)](item) for item in value])}]"


def _encode_mapping(value: Mapping[str, Any]) -> str:
    parts, marked = [], False
    for key in sorted(value):
        if not isinstance(key, str):
            raise TypeError(f"no canonical encoding for a mapping with the key {key!r}; use strings")
        marked = marked or key.startswith("$")
        item = value[key]
        parts.append(f"{_encode_text(key)}:{_ENCODERS[type(item)](item)}")
    text = f"{{{','.join(parts)}}}"
    return f'{{"$map":{text}}}' if marked else text  # else it could be taken for one of the words with a $


def _encode_set(value: frozenset[Any]) -> str:
    return f'{{"$set":[{",".join(sorted([encode(item) for item in value]))}]}}'


class _Encoders(dict[type, Callable[[Any], str]]):
    """Encoder by exact type; one that is met for the first time is found by what it inherits, and remembered."""

    def __missing__(self, kind: type) -> Callable[[Any], str]:
        self[kind] = found = _encoder_of(kind)
        return found


def _encoder_of(kind: type) -> Callable[[Any], str]:
    if issubclass(kind, Digested):
        if kind.inlined:
            return _content_encoder(kind)
        return _digest_encoder(kind.tag)
    if issubclass(kind, enum.Enum):
        # By class: members of two string enumerations may be equal, and must still encode apart.
        return {member: f'{{"${kind.__name__}":"{member.name}"}}' for member in kind}.__getitem__
    if issubclass(kind, np.ndarray):
        return lambda value: encode(FrozenArray(value))
    if issubclass(kind, np.generic):
        return lambda value: encode(value.item())
    if issubclass(kind, Mapping):
        return _encode_mapping
    for base in (float, int, str, tuple, list, frozenset):
        if issubclass(kind, base):
            return _ENCODERS[base]
    raise TypeError(f"no canonical encoding for {kind.__name__}; use numbers, strings, arrays or dataclasses")


def _digest_encoder(name: str) -> Callable[[Digested], str]:
    return lambda value: f'{{"${name}":"{value.digest}"}}'


# Not the ASCII form of JSON strings: it writes a pair of lone surrogates as it writes the character they stand for.
_encode_text: Callable[[str], str] = json.encoder.encode_basestring  # pyright: ignore[reportAttributeAccessIssue]

_ENCODERS = _Encoders({
    type(None): lambda value: "null",
    bool: lambda value: "true" if value else "false",
    int: int.__repr__,
    float: _encode_float,
    complex: _encode_complex,
    str: _encode_text,
    bytes: lambda value: f'{{"$bytes":"{value.hex()}"}}',
    tuple: _encode_items,
    list: _encode_items,
    dict: _encode_mapping,
    frozenset: _encode_set,
})  # fmt: skip


def digest_of(value: Any) -> str:
    """Content digest of any value that `encode` accepts."""
    return _hash(_bytes(encode(value)))


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which file names may hold
        return text.encode("utf-8", "surrogatepass")


def _hash(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=_DIGEST_BYTES).hexdigest()
