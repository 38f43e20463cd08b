"""Finite differences and SPSA: gradients that assume nothing of a rig, and cost a shot for all they learn.

Finite differences move one entry that is trained at a time,

    dL/dtheta_i ~ [L(theta + h s_i e_i) - L(theta - h s_i e_i)] / (2 h s_i),             error of order h^2

and SPSA all of them together, by a random sign each, in `directions` directions,

    dL/dtheta_i ~ mean of [L(theta + h s D) - L(theta - h s D)] / (2 h s_i) D_i,         D_i = +-1

with s_i the typical size of the parameter (the rms of its entries, 1 if all are zero).  Read-out gain and offset belong
to the host, and have their exact gradient from the unmoved forward pass.  However a gradient ends, what was moved is
put back, except knobs that have a safe state of their own.

The signs are a function of `seed` and theta alone, so a resumed run draws them again.
Source: Spall, IEEE Trans. Autom. Control 37, 332 (1992).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError, ProgramError
from labrhel.learning.gradient import Gradient
from labrhel.learning.needs import Needs
from labrhel.learning.readout import READOUT
from labrhel.learning.rules import GradientRequest
from labrhel.learning.task import Task
from labrhel.shots.operations import Configure, Protocol
from protocols.echoes.inherited import with_inherited
from protocols.forward.moving import MovedLoss

_NEEDS = Needs(knobs=True, rotates=True)

Direction = Mapping[str, Array]
"""By parameter, how far it is moved for a step h of one."""


@dataclass(frozen=True, slots=True)
class FiniteDifferences:
    """The rule.  `step`: h, relative to the size of each parameter.  `repeats` of every pair give a standard error."""

    step: float = 0.01
    repeats: int = 1

    needs: ClassVar[Needs] = _NEEDS
    errs_by_step_squared: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check(self.step, self.repeats)

    def gradient(self, asked: GradientRequest) -> Protocol[Gradient]:
        """Gradient of the batch's loss for the parameters named in `wanted`: two shots an entry and sequence."""
        task, theta = asked.task, asked.theta
        rig = [name for name in asked.wanted if name not in READOUT]
        moved = {name: _moved(asked, name) for name in rig}
        directions = [item for name in rig for item in _entries(task, theta, name, moved[name])] * self.repeats
        measured = yield from _differences(asked, directions, self.step)
        rows = measured.slopes.reshape(self.repeats, -1)
        values = _assembled(task, theta, moved, rows.mean(axis=0))
        errors = None
        if self.repeats > 1:
            errors = _assembled(task, theta, moved, rows.std(axis=0, ddof=1) / np.sqrt(self.repeats))
        found = measured.gradient("finite_differences", values, errors, asked.wanted, self.repeats)
        return found if errors is None else with_inherited(found, FiniteDifferences(self.step), asked)


@dataclass(frozen=True, slots=True)
class SPSA:
    """The rule.  `step`: h; `directions`: how many random ones are averaged; two or more give a standard error."""

    step: float = 0.05
    directions: int = 1
    seed: int = 0

    needs: ClassVar[Needs] = _NEEDS

    def __post_init__(self) -> None:
        _check(self.step, self.directions)

    def gradient(self, asked: GradientRequest) -> Protocol[Gradient]:
        """Gradient of the batch's loss for the parameters named in `wanted`: two shots a direction and sequence."""
        task, theta = asked.task, asked.theta
        rig = [name for name in asked.wanted if name not in READOUT]
        random = random_at({name: theta[name] for name in rig}, self.seed)
        drawn = [
            {name: item * _moved(asked, name) for name, item in random_direction(task, theta, rig, random).items()}
            for _ in range(self.directions)
        ]
        measured = yield from _differences(asked, drawn, self.step)
        estimates = {
            name: np.stack([
                slope / _times(task, name) / np.where(item[name] == 0, np.inf, item[name])
                for slope, item in zip(measured.slopes, drawn, strict=True)
            ])
            for name in rig
        }  # fmt: skip
        values = {name: rows.mean(axis=0) for name, rows in estimates.items()}
        errors = None
        if self.directions > 1:
            share = np.sqrt(self.directions)
            errors = {name: rows.std(axis=0, ddof=1) / share for name, rows in estimates.items()}
        found = measured.gradient("spsa", values, errors, asked.wanted, self.directions)
        # Its mean is that of finite differences; its own signs would hide what a calibration does.
        return found if errors is None else with_inherited(found, FiniteDifferences(self.step), asked)


def random_at(theta: Arrays, seed: int) -> np.random.Generator:
    """A generator that is a function of `seed` and theta alone, so that a resumed run draws again what it drew."""
    content = b"".join(np.asarray(theta[name], float).tobytes() for name in sorted(theta))
    return np.random.default_rng([seed, zlib.crc32(content)])


def random_direction(task: Task, theta: Arrays, names: Sequence[str], random: np.random.Generator) -> Direction:
    """A random sign for every entry, times the size of its parameter; symmetric for friction."""
    found = {}
    for name in names:
        value = np.asarray(theta[name], float)
        signs = random.choice([-1.0, 1.0], size=value.shape)
        if _is_symmetric(task, name):
            signs = np.triu(signs) + np.triu(signs, 1).T
        found[name] = size_of(value) * signs
    return found


def size_of(value: Array) -> float:
    """Typical size of a parameter: the rms of its entries, 1 if all are zero."""
    return float(np.sqrt(np.mean(np.square(value)))) or 1.0


@dataclass(frozen=True, slots=True)
class _Measured:
    """Slopes of the loss along the directions, and the unmoved forward pass."""

    slopes: Array
    loss: float
    direct: Mapping[str, Array]
    spent: MovedLoss

    def gradient(
        self, rule: str, values: Arrays, errors: Arrays | None, wanted: Sequence[str], repeats: int
    ) -> Gradient:
        direct = {name: self.direct[name] for name in wanted if name in READOUT}
        return Gradient(
            values={**values, **direct},
            standard_error=None if errors is None else {**errors, **{name: 0 * term for name, term in direct.items()}},
            loss=self.loss,
            rule=rule,
            repeats=repeats,
            shots=self.spent.shots,
            passes=self.spent.passes,
            calibration=self.spent.calibration,
        )


def _differences(asked: GradientRequest, directions: Sequence[Direction], step: float) -> Protocol[_Measured]:
    asked = asked.at((yield Configure(asked.task.rig_parameters(asked.theta))))
    theta = asked.theta
    moved = MovedLoss(asked.task, asked.sequences, theta)
    captures = yield from moved.captures(theta)
    first, direct = moved.of(captures, theta), moved.direct(captures, theta)
    slopes = yield from moved.restoring(_slopes(moved, directions, step))
    return _Measured(np.array(slopes), first, direct, moved)


def _slopes(moved: MovedLoss, directions: Sequence[Direction], step: float) -> Protocol[list[float]]:
    found = []
    for direction in directions:
        high, low = yield from ends_along(moved, direction, step)
        found.append((high - low) / (2 * step))
    return found


def ends_along(moved: MovedLoss, direction: Direction, step: float) -> Protocol[tuple[float, float]]:
    """The losses L(theta + h D) and L(theta - h D)."""
    ends, reached = [], []
    for sign in (1, -1):
        shifted = {name: moved.theta[name] + sign * step * item for name, item in direction.items()}
        ends.append((yield from moved.at(shifted)))
        reached.append(moved.reached)
    meant = [name for name, item in direction.items() if item.any()]
    if meant and all(name in reached[0] and np.array_equal(*(item[name] for item in reached)) for name in meant):
        raise ProgramError(
            f"a step of {step:g} moves {', '.join(meant)} by less than the rig can set: give the rule a larger step"
        )
    return ends[0], ends[1]


def _moved(asked: GradientRequest, name: str) -> NDArray[np.bool_]:
    """The entries that are asked for; what is not trained may have nothing that moves it."""
    return np.broadcast_to(asked.trained.get(name, True), np.shape(asked.theta[name]))


def _entries(task: Task, theta: Arrays, name: str, moved: NDArray[np.bool_]) -> Iterator[Direction]:
    value = np.asarray(theta[name], float)
    size = size_of(value)
    for index in np.ndindex(value.shape):
        if not moved[index] or (_is_symmetric(task, name) and index[0] > index[1]):
            continue
        direction = np.zeros(value.shape)
        direction[index] = size
        yield {name: np.maximum(direction, direction.T) if _is_symmetric(task, name) else direction}


def _assembled(task: Task, theta: Arrays, moved: Mapping[str, NDArray[np.bool_]], slopes: Array) -> dict[str, Array]:
    """Slopes along `_entries` as arrays of the parameters' shapes."""
    found, place = {}, 0
    for name, entries in moved.items():
        value = np.asarray(theta[name], float)
        array, size = np.zeros(value.shape), size_of(value)
        for index in np.ndindex(value.shape):
            if not entries[index]:
                continue
            if _is_symmetric(task, name) and index[0] > index[1]:
                array[index] = array[index[::-1]]
                continue
            # An entry off the diagonal of a symmetric matrix was moved together with its mirror image.
            twice = 2 if _is_symmetric(task, name) and index[0] != index[1] else 1
            array[index] = slopes[place] / size / twice
            place += 1
        found[name] = array
    return found


def _times(task: Task, name: str) -> Array | float:
    """How often an entry of a random direction stands in a symmetric matrix."""
    if not _is_symmetric(task, name):
        return 1.0
    size = task.model.parameters[name].shape[0]
    return 2.0 - np.eye(size)


def _is_symmetric(task: Task, name: str) -> bool:
    return task.model.parameters[name].kind == "friction"


def _check(step: float, count: int) -> None:
    if not step > 0:
        raise ConfigurationError(f"step must be positive, not {step}")
    if count < 1:
        raise ConfigurationError(f"repeats and directions are 1 or more, not {count}")
