"""What an array declares about its numbers: scale, offset, what stands for a missing one, and its unit.

As the CF conventions and the netCDF user's guide say:

    value = scale_factor * stored + add_offset, where stored is neither _FillValue nor missing_value

and lies in valid_range, or from valid_min to valid_max; _Unsigned: the stored whole numbers are unsigned.  Files of
HDF5 use the same words.  Done in float64, so that nothing is rounded but once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.data.formats.interface import UnreadableError

_UNITS = (
    "units",
    "unit",
    "Units",
    "Unit",
    "UNITS",
    "UNIT",
    "NI_UnitDescription",
    "unit_string",
    "y_unit",
    "unit_of_measure",
    "uom",
)
_ABOUT = (
    "scale_factor",
    "add_offset",
    "_FillValue",
    "missing_value",
    "valid_range",
    "valid_min",
    "valid_max",
    "_Unsigned",
)
_INTERVALS = ("sample_interval", "sampling_interval", "wf_increment", "x_increment", "xincrement", "dt")
_RATES = ("sample_rate", "sampling_rate", "samplerate", "sampling_frequency", "fs")


def unit_of(attributes: Mapping[str, Any]) -> str:
    """The unit, "" if there is none; one that stands in an array of one element, or as bytes, too."""
    for name in _UNITS:
        if name in attributes:
            return text_of(attributes[name]).strip()
    return ""


def text_of(value: Any) -> str:
    """Text, however a file keeps it."""
    array = np.asarray(value)
    if array.size == 1:
        value = array.ravel()[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) if array.size == 1 else ""


def is_declared(attributes: Mapping[str, Any]) -> bool:
    """Whether stored numbers are not yet the values."""
    return any(name in attributes for name in _ABOUT)


def declared(stored: Array, attributes: Mapping[str, Any], name: str) -> Array:
    """The values; missing ones are NaN.  Raises UnreadableError for a declaration that cannot be obeyed."""
    if not is_declared(attributes) or stored.dtype.kind not in "iuf":
        return stored
    if text_of(attributes.get("_Unsigned", "")).lower() == "true" and stored.dtype.kind == "i":
        stored = stored.view(f"{stored.dtype.byteorder}u{stored.dtype.itemsize}")
    missing = np.zeros(stored.shape, bool)
    for key in ("_FillValue", "missing_value"):
        for value in _numbers(attributes, key, name):
            missing |= np.isnan(stored) if np.isnan(value) else stored == np.asarray(value).astype(stored.dtype)
    low, high = _valid(attributes, name)
    with np.errstate(invalid="ignore"):
        missing |= (stored < low) | (stored > high)
    scale, offset = (
        _one(attributes, key, default, name) for key, default in (("scale_factor", 1.0), ("add_offset", 0.0))
    )
    if scale == 1.0 and offset == 0.0 and not missing.any():
        return stored
    values = stored.astype(float) * scale + offset
    values[missing] = np.nan
    return values


def interval_of(attributes: Mapping[str, Any]) -> float | None:
    """Seconds between samples, if attributes say it in one of the usual words; None if they do not."""
    known = {key.lower(): value for key, value in attributes.items()}
    for names, power in ((_INTERVALS, 1), (_RATES, -1)):
        for name in names:
            try:
                value = float(np.asarray(known[name]).item())
            except (KeyError, ValueError, TypeError):
                continue
            if np.isfinite(value) and value > 0:
                return value**power
    return None


def _valid(attributes: Mapping[str, Any], name: str) -> tuple[float, float]:
    both = _numbers(attributes, "valid_range", name)
    if len(both) == 2:
        return float(both[0]), float(both[1])
    return _one(attributes, "valid_min", -np.inf, name), _one(attributes, "valid_max", np.inf, name)


def _one(attributes: Mapping[str, Any], key: str, default: float, name: str) -> float:
    found = _numbers(attributes, key, name)
    if len(found) > 1:
        raise UnreadableError(f"{key} of {name!r} is not one number")
    return float(found[0]) if len(found) else default


def _numbers(attributes: Mapping[str, Any], key: str, name: str) -> Array:
    if key not in attributes:
        return np.empty(0)
    value = attributes[key]
    if isinstance(value, str | bytes):
        value = text_of(value)
    try:
        array = np.atleast_1d(np.asarray(value))
        return array if array.dtype.kind in "iuf" else array.astype(float)
    except (ValueError, TypeError):
        raise UnreadableError(f"{key} of {name!r} is not a number") from None
