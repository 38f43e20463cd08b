"""A calibration at work on parameters: knobs are set so that the rig *is* what is asked for.

    is = factor * set + added           by entry, `stiffness[3].factor`, `friction[0,1].added` of a calibration set

`setting_for` inverts that in front of the wiring of the knobs; `as_they_are` says what parameters are that nobody sets
or trains, such as the friction of a bench.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.rig.calibration import CalibrationSet


def as_they_are(calibration: CalibrationSet, theta: Arrays, names: Collection[str]) -> dict[str, Array]:
    """`theta` with those of `names` that are calibrated as they are where they are set to what `theta` says."""
    touched = calibration.parameters()
    return {
        name: is_for(calibration, name, np.asarray(value, float)) if name in names and name in touched else value
        for name, value in theta.items()
    }


def is_for(calibration: CalibrationSet, name: str, setting: Array) -> Array:
    """What a parameter is that is set to `setting`."""
    if not calibration.values:
        return setting
    factor, added = entries(calibration, name, setting.shape)
    return factor * setting + added


def setting_for(calibration: CalibrationSet, name: str, wanted: Array) -> Array:
    """What a parameter must be set to, to be `wanted`; inverse of `is_for`."""
    if not calibration.values:
        return wanted
    factor, added = entries(calibration, name, wanted.shape)
    return (wanted - added) / factor


def entries(calibration: CalibrationSet, name: str, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Factor and added of a parameter, by entry; those of a matrix named once stand in both halves."""
    factor, added = np.ones(shape), np.zeros(shape)
    for key in calibration.values:
        subject, _, quantity = key.rpartition(".")
        parameter, bracket, place = subject.removesuffix("]").partition("[")
        if not bracket or parameter != name or quantity not in ("factor", "added"):
            continue
        index = tuple(int(part) for part in place.split(",") if part)
        if len(index) != len(shape) or any(i >= size for i, size in zip(index, shape, strict=True)):
            continue
        array = factor if quantity == "factor" else added
        array[index] = array[index[::-1]] = calibration.values[key].value
    return factor, added
