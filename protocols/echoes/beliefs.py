"""What a calibration knows only to an uncertainty: one calibrated value after the other, believed otherwise.

The rig stays what the calibration says, and what the host takes it for is moved by one standard error.  A path is

    model value = gain * device value + offset

so that another gain changes what the host makes of a reading, and what it sends for a force.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.learning.task import Flip, Task
from labrhel.rig.calibration import CalibratedValue, CalibrationSet

TRUE = CalibrationSet()
"""What wires are believed to be that are ideal."""


@dataclass(frozen=True, slots=True)
class Inherited:
    """By parameter, the standard error of a gradient that comes from the calibration; and whose fault most of it is.

    `worst`: the calibrated value that adds most to it, and its share of the squares; "" where nothing is uncertain.
    `relative`: the error of the rig's parameters over their gradient, both by the nominal model.
    """

    errors: Arrays
    worst: str = ""
    share: float = 0.0
    relative: float = 0.0


@dataclass(frozen=True, slots=True)
class Belief:
    """One calibrated value, one standard error off: what the host takes ideal wires, parameters and flip for."""

    name: str
    wires: CalibrationSet = TRUE
    theta: Arrays | None = None
    flip: Flip | None = None

    def becomes(self, theta: Arrays, configured: Arrays) -> dict[str, Array]:
        """What parameters become that this host sets to `configured`, on a rig at `theta` where it is set to its own.

        A factor that is believed otherwise is in all that is set; what is added is added.
        """
        if self.theta is None:
            return {name: np.asarray(value, float) for name, value in configured.items()}
        found = {}
        for name, value in configured.items():
            real, believed = np.asarray(theta[name], float), np.asarray(self.theta[name], float)
            share = np.divide(real, believed, out=np.ones_like(real), where=believed != 0)
            found[name] = share * value if self.name.endswith(".factor") else value + real - believed
        return found


def beliefs(task: Task, theta: Arrays) -> Iterator[Belief]:
    """Every calibrated value of this rig that is uncertain, moved by its standard error."""
    rig = task.capabilities
    paths = {item.name for item in (*rig.ports, *rig.channels)}
    for name, item in task.calibration.values.items():
        subject, _, quantity = name.rpartition(".")
        if not item.uncertainty > 0:
            continue
        if subject in paths:
            yield Belief(name, wires=_of_path(task.calibration, subject, quantity, item.uncertainty))
        elif name == "clock.rate":
            yield Belief(name, wires=_set({name: item.uncertainty}))
        elif subject.partition("[")[0] == "flip" and task.flip is not None:
            yield Belief(name, flip=_of_flip(task.flip, subject, quantity, item.uncertainty))
        elif quantity in ("factor", "added"):
            moved = _of_parameter(theta, subject, quantity, item)
            if moved:
                yield Belief(name, theta=moved)


def _of_path(known: CalibrationSet, subject: str, quantity: str, error: float) -> CalibrationSet:
    if quantity != "gain":
        return _set({f"{subject}.{quantity}": error})
    share = error / known.number(subject, "gain")
    return _set({f"{subject}.gain": 1 + share, f"{subject}.offset": -share * known.number(subject, "offset")})


def _set(values: Mapping[str, float]) -> CalibrationSet:
    return CalibrationSet({name: CalibratedValue(value, "", 0.0, "belief") for name, value in values.items()})


def _of_flip(flip: Flip, subject: str, quantity: str, error: float) -> Flip:
    if quantity == "gain":
        return replace(flip, gain=flip.gain + error)
    offset = flip.offset.copy()
    offset[int(subject.partition("[")[2].removesuffix("]"))] += error
    return replace(flip, offset=offset)


def _of_parameter(theta: Arrays, subject: str, quantity: str, item: CalibratedValue) -> dict[str, Array]:
    """Parameters of which one entry is what it would be if its factor, or what is added to it, were larger."""
    parameter, _, place = subject.removesuffix("]").partition("[")
    if parameter not in theta:
        return {}
    index = tuple(int(part) for part in place.split(",") if part)
    values = np.array(theta[parameter], float)
    if len(index) != values.ndim or any(i >= size for i, size in zip(index, values.shape, strict=True)):
        return {}
    moved = item.uncertainty if quantity == "added" else item.uncertainty / item.value * values[index]
    mirrored = index[::-1]
    values[index] += moved
    if mirrored != index:
        values[mirrored] += moved
    return {**theta, parameter: values}
