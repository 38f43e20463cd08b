"""What a calibration asks for: every number by which the rig at hand may differ from its nominal model.

    f1.gain, f1.offset, f1.delay            a port:     reaches(t) = gain * played(t - delay) + offset
    q4.gain, q4.offset, q4.delay            a channel:  shows(t) = (there(t - delay) - offset) / gain
    stiffness[3].factor, coupling[0].factor parameters: what it is, over what it was set to; entries counted from 0
    cubic[2].added, friction[0,1].added     ... or added to what it was set to

as `labrhel.rig.calibration` names them.  Through the wires alone some of these cannot be told apart: a channel's gain
from a mass, and, on a rig that does not flip at a time of its own, the delays of ports from those of channels.  A
*reference* names what is trusted: with `masses` the first channel's gain is 1, and all masses are as declared; with
`gains` every channel's gain is 1 and the first mass is as declared, and the others are asked for.  Where couplings are
directed, no symmetry ties one oscillator's scale to another's, so that `both` have to be trusted.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.model.interface import Model
from labrhel.rig.capabilities import Capabilities, Kind

GAIN, SPRING, FRICTION = 0.2, 0.2, 0.5
"""What is plausible: standard deviations of gains, of springs, and of the e-folds that friction adds to a pass."""

DIRECTED = 0.05
"""The same of directed couplings, in the stiffness of an oscillator."""


class Reference(enum.StrEnum):
    """What is trusted, since the wires cannot tell it."""

    MASSES = "masses"
    GAINS = "gains"
    BOTH = "both"

    def for_model(self, model: Model) -> Reference:
        """What has to be trusted to calibrate this model."""
        directed = any(spec.kind == "directed" for spec in model.parameters.values())
        return Reference.BOTH if directed else self


@dataclass(frozen=True, slots=True)
class Unknown:
    """One number: its name, where the search starts, the standard deviation of what is plausible, its unit."""

    name: str
    start: float
    spread: float
    unit: str = "1"

    @property
    def subject(self) -> str:
        """The part before the last dot."""
        return self.name.rpartition(".")[0]

    @property
    def quantity(self) -> str:
        """The part after the last dot."""
        return self.name.rpartition(".")[2]


def path_unknowns(
    capabilities: Capabilities,
    ports: Sequence[str],
    channels: Sequence[str],
    step: float,
    reference: Reference,
    sizes: Mapping[str, float],
) -> list[Unknown]:
    """Of the ports and channels named; `sizes` is the typical value at each, by name."""
    found = []
    for name in ports:
        unit = capabilities.port(name).unit or "1"
        found += [
            Unknown(f"{name}.gain", 1.0, GAIN),
            Unknown(f"{name}.offset", 0.0, GAIN * sizes[name], unit),
            Unknown(f"{name}.delay", 0.0, 2 * step, "s"),
        ]
    for name in channels:
        unit, first = capabilities.channel(name).unit or "1", name == channels[0]
        if reference is Reference.MASSES and not first:
            found.append(Unknown(f"{name}.gain", 1.0, GAIN))
        found.append(Unknown(f"{name}.offset", 0.0, GAIN * sizes[name], unit))
        found.append(Unknown(f"{name}.delay", 0.0, 2 * step, "s"))
    return found


def parameter_unknowns(
    model: Model, theta: Arrays, duration: float, reference: Reference, size: float
) -> list[Unknown]:
    """Of springs, friction and, where gains are trusted, masses; `size` is the typical position."""
    found = []
    linear = float(np.mean(np.abs(np.diag(_stiffness(model, theta)))))
    for name, spec in model.parameters.items():
        value = np.asarray(theta.get(name, spec.nominal), float)
        if spec.kind == "potential":
            for index in np.ndindex(value.shape):
                # What is zero in the model has no size of its own; a power of q counts by its force at the typical q.
                power = {"quadratic": 2, "cubic": 3, "quartic": 4}.get(name, 1)
                if value[index]:
                    found.append(Unknown(f"{name}[{_place(index)}].factor", 1.0, SPRING))
                elif power > 1 and power < 4:
                    spread = 0.1 * linear * size ** (1 - power)
                    found.append(Unknown(f"{name}[{_place(index)}].added", 0.0, spread, spec.unit))
        elif spec.kind == "friction":
            scale = FRICTION / duration * float(np.mean(model.mass(theta)))
            for i, j in zip(*np.triu_indices(model.size), strict=True):
                spread = max(scale, SPRING * abs(float(value[i, j])))
                found.append(Unknown(f"{name}[{i},{j}].added", 0.0, spread, spec.unit))
        elif spec.kind == "directed":
            for index in np.ndindex(value.shape):
                spread = max(DIRECTED * linear, SPRING * abs(float(value[index])))
                if not _is_told_by_others(model, index[0]):
                    found.append(Unknown(f"{name}[{_place(index)}].added", 0.0, spread, spec.unit))
        elif spec.kind == "kinetic" and reference is Reference.GAINS:
            # Masses, springs and forces all twice as large move alike: one mass has to be trusted.
            free = list(np.ndindex(value.shape))[1:]
            found += [Unknown(f"{name}[{_place(index)}].factor", 1.0, SPRING) for index in free]
    return found


def _is_told_by_others(model: Model, link: int) -> bool:
    """Whether springs and the same link the other way round say all that this directed coupling could."""
    links = [tuple(item) for item in np.asarray(getattr(model, "links", np.empty((0, 2)))).tolist()]
    edges = [set(item) for item in np.asarray(getattr(model, "edges", np.empty((0, 2)))).tolist()]
    return links[link][::-1] in links[:link] and set(links[link]) in edges


def moved(model: Model, theta: Arrays, values: Mapping[str, float]) -> dict[str, Array]:
    """`theta` with the parameters among `values` as they are: factors first, then what is added."""
    found = {name: np.array(theta.get(name, spec.nominal), float) for name, spec in model.parameters.items()}
    for name, (parameter, index, adds) in _entries(tuple(values)):
        value = values[name]
        if not adds:
            found[parameter][index] *= value
            continue
        found[parameter][index] += value
        if model.parameters[parameter].kind == "friction" and index[0] != index[1]:
            found[parameter][index[::-1]] += value
    return found


class _Entry(NamedTuple):
    parameter: str
    place: tuple[int, ...]
    adds: bool


@lru_cache(maxsize=64)
def _entries(names: tuple[str, ...]) -> tuple[tuple[str, _Entry], ...]:
    """Those of the parameters among the names, factors first: a fit asks for the same names thousands of times."""
    found = [(name, entry) for name in names if (entry := _entry(name)) is not None]
    return tuple(sorted(found, key=lambda item: item[1].adds))


def _entry(name: str) -> _Entry | None:
    """What `parameter[index].factor` or `.added` names; None for ports and channels."""
    subject, _, quantity = name.rpartition(".")
    if quantity not in ("factor", "added") or not subject.endswith("]"):
        return None
    parameter, _, place = subject[:-1].partition("[")
    return _Entry(parameter, tuple(int(part) for part in place.split(",") if part), quantity == "added")


def force_columns(model: Model, theta: Arrays, capabilities: Capabilities) -> dict[str, Array]:
    """By port, the force (n,) on the oscillators for one unit at it."""
    zero = np.zeros((len(model.inputs), 1))
    rest = model.input_force(zero, theta)
    columns = {}
    for index, name in enumerate(model.inputs):
        unit = zero.copy()
        unit[index] = 1.0
        columns[name] = (model.input_force(unit, theta) - rest)[:, 0]
    for index, name in enumerate(capabilities.ports_of(Kind.FORCE)):
        columns[name] = capabilities.drive_matrix.values[:, index]
    return columns


def _stiffness(model: Model, theta: Arrays) -> Array:
    h = 1e-6
    eye = np.eye(model.size) * h
    return -(model.force(eye, theta) - model.force(-eye, theta)) / (2 * h)


def _place(index: tuple[int, ...]) -> str:
    return ",".join(map(str, index))
