"""Values to JSON and back, with arrays by digest: how programs and checkpoints get into a record.

    from_data(to_data(value, put), get) == value,    and the digest stays the same.

`put` stores an array once and answers with its name, usually its digest; `get` is its inverse.  The JSON is strict
(no NaN literals) and canonical (`dumps` sorts keys), so equal values give equal text.  Anything that JSON has no
word for is an object with one key that starts with `$`:

    {"$Pass": {field: value}}    a dataclass of the vocabulary        {"$array": name}     a FrozenArray
    {"$Role": "NUDGE"}           a member of an enumeration           {"$ndarray": name}   a numpy array
    {"$float": "nan"}            a float that is not finite           {"$number": [dtype, value]}   a numpy scalar
    {"$complex": [re, im]}       {"$set": [...]}       {"$list": [...]}, as a bare array is a tuple
    {"$map": {...}}              a mapping one of whose keys starts with $
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import RecordError
from labrhel.frozen import FrozenArray
from labrhel.rig.capabilities import (
    Capabilities,
    Channel,
    ClockDomain,
    Converter,
    Kind,
    Knob,
    Limits,
    Port,
    Reversal,
    SafeState,
    Timing,
    TriggerDomain,
)
from labrhel.rig.wiring import Approach, LinearKnob, Wire, Wiring
from labrhel.shots.program import Acquire, Drive, GivenState, Hold, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Interpolation, Waveform

Put = Callable[[FrozenArray], str]
Get = Callable[[str], Array]

_PROGRAM = (Rest, GivenState, Hold, Drive, Acquire, Pass, ShotProgram, Waveform)
_RIG = (Capabilities, Port, Channel, Knob, Limits, SafeState, Converter, Timing, ClockDomain, TriggerDomain)
_WIRING = (Wiring, Wire, LinearKnob, Approach)
_DATACLASSES = {cls.tag: cls for cls in (*_PROGRAM, *_RIG, *_WIRING)}
_TAGS = {cls: tag for tag, cls in _DATACLASSES.items()}
_GONE = {
    "SafeState": ("ramp_order", "ramp_time"),
    "Channel": ("group", "pre_trigger"),
    "ClockDomain": ("reference", "frequency"),
}
"""Words that records of labrhel 0.1 hold, and that nothing ever obeyed: read, and left out."""
_ENUMS: dict[str, type[enum.Enum]] = {cls.__name__: cls for cls in (Role, Reversal, Interpolation, Kind)}
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
_PLAIN = frozenset({str, int, bool, type(None)})


def dumps(data: Any) -> str:
    """Canonical JSON text of what `to_data` returned."""
    return _ENCODER.encode(data)


def to_data(value: Any, put: Put) -> Any:
    """Data for JSON.  Raises TypeError for a value of a kind that a record cannot hold, naming the kind."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    if kind is tuple:
        return [to_data(item, put) for item in value]
    if kind is FrozenArray:
        return {"$array": put(value)}
    if kind in _TAGS:
        return {f"${_TAGS[kind]}": {name: to_data(getattr(value, name), put) for name in _field_names(kind)}}
    if kind.__name__ in _ENUMS:
        return {f"${kind.__name__}": value.name}
    return _rarer(value, put)


def _rarer(value: Any, put: Put) -> Any:
    if isinstance(value, np.ndarray):
        return {"$ndarray": put(FrozenArray(value))}
    if isinstance(value, np.generic):
        plain = value.item()
        return {"$number": [value.dtype.str, to_data(plain, put)]}
    if isinstance(value, complex):
        return {"$complex": [to_data(value.real, put), to_data(value.imag, put)]}
    if isinstance(value, list):
        return {"$list": [to_data(item, put) for item in value]}
    if isinstance(value, frozenset):
        return {"$set": [to_data(item, put) for item in sorted(value)]}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        data = {key: to_data(item, put) for key, item in value.items()}
        return {"$map": data} if any(key.startswith("$") for key in data) else data
    raise TypeError(
        f"a record cannot hold a {type(value).__name__}; "
        "use numbers, strings, None, lists, mappings with string keys, arrays, or the dataclasses of a shot program"
    )


def from_data(data: Any, get: Get) -> Any:
    """The value that `to_data` was given.  Raises RecordError for a word that this version does not know."""
    if isinstance(data, list):
        return tuple(from_data(item, get) for item in data)
    if not isinstance(data, dict):
        return data
    if len(data) != 1 or not next(iter(data)).startswith("$"):
        return {key: from_data(item, get) for key, item in data.items()}
    ((word, content),) = data.items()
    match word:
        case "$array":
            return FrozenArray(get(content))
        case "$ndarray":
            return np.array(get(content))
        case "$float":
            return float(content)
        case "$number":
            return np.dtype(content[0]).type(from_data(content[1], get))
        case "$complex":
            return complex(*from_data(content, get))
        case "$list":
            return [from_data(item, get) for item in content]
        case "$set":
            return frozenset(from_data(item, get) for item in content)
        case "$map":
            return {key: from_data(item, get) for key, item in content.items()}
    return _of_the_vocabulary(word[1:], content, get)


def _of_the_vocabulary(name: str, content: Any, get: Get) -> Any:
    values: Any = content
    if isinstance(content, dict):
        gone = _GONE.get(name, ())
        values = {key: from_data(item, get) for key, item in content.items() if key not in gone}
        if name == "Knob" and values.get("safe") is None:  # as labrhel 0.1 wrote what stays where it is
            values["safe"] = ()
    try:
        return _ENUMS[name][values] if name in _ENUMS else _DATACLASSES[name](**values)
    except (KeyError, TypeError) as error:
        raise RecordError(
            f"the record holds a {name} that this version of labrhel does not know ({error}); "
            "read it with the version that its manifest names"
        ) from error


@cache
def _field_names(cls: type) -> tuple[str, ...]:
    assert is_dataclass(cls)
    return tuple(field.name for field in fields(cls))


def plain_declared(value: Capabilities | Wiring) -> dict[str, Any]:
    """What a rig declares as plain data, for a manifest."""
    return to_data(value, lambda array: json.dumps(_listed(array.values)))


def declared(plain: Any) -> Any:
    """What `plain_declared` was given."""
    return from_data(plain, lambda text: _array(json.loads(text)))


def _listed(values: Array) -> Any:
    """A matrix as nested lists; one of a rig in the rotating frame by its real and imaginary parts."""
    if np.iscomplexobj(values):
        return {"re": np.real(values).tolist(), "im": np.imag(values).tolist()}
    return values.tolist()


def _array(plain: Any) -> Array:
    if isinstance(plain, dict):
        return np.array(plain["re"], float) + 1j * np.array(plain["im"], float)
    return np.array(plain, float)
