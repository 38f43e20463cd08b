"""The force that a forward record leaves unexplained, and how it depends on the parameters.

With v- and v+ the velocities before and after a kick, as the positions have them,

    r(theta) = M (v+ - v-)/d + G (v+ + v-)/2 - F(q; theta) - W (u + o)        zero for the true parameters

Masses and friction are in the first two terms alone and linearly, springs and what couples one way in F alone: what a
parameter has no part in is computed once.  A pass that starts with a momentum p(0) starts with v- = p(0)/m, which
depends on the mass.

Source: `protocols.inference.inverse_dynamics`, taken apart; tested against differences of it as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.model.interface import Model
from labrhel.shots.program import GivenState
from protocols.forward.forward import ForwardPass
from protocols.inference.inverse_dynamics import InverseDynamics

INERT = ("kinetic", "friction", "gyroscopic")
"""Kinds of parameters that masses and friction are made of, and no force of positions."""


def unexplained(model: Model, theta: Arrays, item: ForwardPass, step: float) -> Array:
    """R (n, steps): the force that would have been needed, less the one that was played."""
    return Unexplained(model, theta, item, step).whole


def start_momentum(model: Model, item: ForwardPass) -> Array:
    """p(0) (n,) of a forward pass."""
    started = item.program.prepare
    return started.momentum.values if isinstance(started, GivenState) else np.zeros(model.size)


def entries_of(
    value: Array, relative: float, *, symmetric: bool = False
) -> Iterator[tuple[float, Callable[..., Array]]]:
    """The entries of `value`, with shifts `relative` to them or to one.

    Of a `symmetric` matrix those of the upper triangle, each with its mirror image.
    """
    for index in np.ndindex(value.shape):
        if symmetric and index[0] > index[1]:
            continue

        at = (index, index[::-1]) if symmetric else (index,)
        yield relative * max(abs(float(value[index])), 1.0), partial(_moved, value, at)


def _moved(value: Array, at: Sequence[tuple[int, ...]], by: float) -> Array:
    made = value.copy()
    for index in at:
        made[index] = value[index] + by
    return made


@dataclass(frozen=True)
class Unexplained:
    """R of one record at `theta`, and of parameters beside it; of the last kick, whose outcome no path shows, that of
    the one before.
    """

    model: Model
    theta: Arrays
    item: ForwardPass
    step: float

    @property
    def whole(self) -> Array:
        """R (n, steps)."""
        return self._less(self._inertia, self._pull)

    def moved(self, name: str, value: Array) -> Array:
        """R (n, steps) with another value of one parameter, but for one of the inputs: to the bit that of a new one."""
        theta = {**self.theta, name: value}
        if self.model.parameters[name].kind in INERT:
            return self._less(self._inertia_at(theta), self._pull)
        return self._less(self._inertia, self._pull_at(theta))

    def slope(self, name: str, shift: float, moved: Callable[[float], Array]) -> Array:
        """Central difference (n, steps) by an entry of a parameter, exact where the force is linear in it."""
        return (self.moved(name, moved(shift)) - self.moved(name, moved(-shift))) / (2 * shift)

    @cached_property
    def _inertia(self) -> Array:
        return self._inertia_at(self.theta)

    @cached_property
    def _pull(self) -> Array:
        return self._pull_at(self.theta)

    @cached_property
    def _played(self) -> Array:
        return self.model.input_force(self.item.u, self.theta)

    def _inertia_at(self, theta: Arrays) -> Array:
        if self.item.steps < 2:
            return np.zeros_like(self.item.q)
        return InverseDynamics(self.model, theta, self.step).inertia(self.item.q, start_momentum(self.model, self.item))

    def _pull_at(self, theta: Arrays) -> Array:
        return self.model.force(self.item.q[:, : max(1, self.item.steps - 1)], theta)

    def _less(self, inertia: Array, pull: Array) -> Array:
        found = inertia.copy()
        found[:, : pull.shape[1]] -= pull
        if self.item.steps > 1:
            found[:, -1] = found[:, -2]
        return found - self._played


@dataclass(frozen=True, slots=True)
class InertiaSlopes:
    """What masses and friction are multiplied with in one record, (n, steps) each.

    `changes`: (v+ - v-)/d; `means`: (v+ + v-)/2; `starts`: what a mass adds to `means` by the velocity that the pass
    starts with.  One kick alone shows nothing of them.
    """

    model: Model
    theta: Arrays
    changes: Array
    means: Array
    starts: Array

    @classmethod
    def of(cls, model: Model, theta: Arrays, item: ForwardPass, step: float) -> InertiaSlopes:
        """Those of a record at `theta`."""
        changes, means, starts = (np.zeros_like(item.q) for _ in range(3))
        if item.steps > 1:
            mass, momentum = model.mass(theta), start_momentum(model, item)
            after = np.diff(item.q, axis=1) / step
            before = np.concatenate([(momentum / mass)[:, None], after[:, :-1]], axis=1)
            changes[:, :-1] = (after - before) / step
            changes[:, 0] = after[:, 0] / step  # of the first kick p(0) is given, and no mass is in it
            means[:, :-1] = (after + before) / 2
            starts[:, 0] = -momentum / mass**2 / 2
            for rows in (changes, means, starts):
                rows[:, -1] = rows[:, -2]
        return cls(model, theta, changes, means, starts)

    def summed(self, weights: Array, name: str, relative: float, of_masses: Array | None = None) -> Array:
        """sum_k weights_k . dr_k by each entry of a parameter of the kinds `INERT`, shaped like it.

        How masses and friction depend on it is differenced.  `of_masses` (n,): what else goes with the masses.
        """
        by_mass = np.sum(weights * self.changes + (self.model.friction(self.theta).T @ weights) * self.starts, axis=1)
        if of_masses is not None:
            by_mass += of_masses
        by_friction, found, value = weights @ self.means.T, [], np.asarray(self.theta[name], float)
        for shift, moved in entries_of(value, relative):
            ends = [{**self.theta, name: moved(sign * shift)} for sign in (1, -1)]
            mass, friction = (made(ends[0]) - made(ends[1]) for made in (self.model.mass, self.model.friction))
            found.append(float(mass @ by_mass + np.sum(friction * by_friction)) / (2 * shift))
        return np.reshape(found, value.shape)
