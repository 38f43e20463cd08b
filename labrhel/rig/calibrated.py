"""A calibration at work on parameters: knobs are set so that the rig *is* what is asked for.

    is = factor * set + added           by entry, `stiffness[3].factor`, `friction[0,1].added` of a calibration set

`CalibratedParameters` inverts that in front of the map of the configuration; `as_they_are` says what parameters are
that nobody sets or trains, such as the friction of a bench.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.frozen import Digested
from labrhel.rig.calibration import CalibrationSet
from labrhel.rig.wiring import LinearParameterMap


@dataclass(frozen=True, slots=True, eq=False)
class CalibratedParameters(Digested):
    """A `labrhel.rig.wiring.ParameterMap`: the calibration, then `base`."""

    base: LinearParameterMap
    calibration: CalibrationSet

    def to_knobs(self, parameters: Arrays) -> dict[str, Array]:
        """Parameters as they shall be [model units] -> knobs [knob units]."""
        return self.base.to_knobs(
            {name: self._set(name, np.asarray(value, float)) for name, value in parameters.items()}
        )

    def to_parameters(self, knobs: Arrays) -> dict[str, Array]:
        """Knobs -> parameters as they are; inverse of `to_knobs`."""
        found = self.base.to_parameters(knobs)
        return {name: is_for(self.calibration, name, value) for name, value in found.items()}

    def jacobian(self, name: str, size: int) -> Array:
        """D knob / d parameter (size, size)."""
        knob = self.base.knobs.get(name)
        shape = (size,) if knob is None else (len(knob.offset.values),)
        factor, _ = entries(self.calibration, name, shape)
        return self.base.jacobian(name, size) / factor.ravel()[None, :]

    def _set(self, name: str, value: Array) -> Array:
        factor, added = entries(self.calibration, name, value.shape)
        return (value - added) / factor


def as_they_are(calibration: CalibrationSet, theta: Arrays, names: Collection[str]) -> dict[str, Array]:
    """`theta` with those of `names` that are calibrated as they are where they are set to what `theta` says."""
    touched = calibration.parameters()
    return {
        name: is_for(calibration, name, np.asarray(value, float)) if name in names and name in touched else value
        for name, value in theta.items()
    }


def is_for(calibration: CalibrationSet, name: str, setting: Array) -> Array:
    """What a parameter is that is set to `setting`."""
    factor, added = entries(calibration, name, setting.shape)
    return factor * setting + added


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
