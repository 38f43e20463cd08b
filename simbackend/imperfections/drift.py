"""Slow drift of the parts of a rig, a function of how many shots the device has fired in its life.

    theta_real = theta * (1 + (rate * c + bend * c^2) * s + walk * W(c)),     c = shots fired before this one

with a direction s = +-1 and a random walk W of unit step for each entry.  W is a Brownian path that any c can be
asked of: its value at a span of 2^40 shots is drawn first, then mid-points between known values (Levy's construction;
mean of the ends, variance a quarter of the span), so the walk of a device needs no memory but its shot counter.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array, Arrays
from simbackend.imperfections.draws import stream
from simbackend.imperfections.imperfection import Acting, Imperfection, Place, Site, acting
from simbackend.imperfections.mismatch import parts_of, scaled
from simbackend.models.simulable import Simulable

_SPAN = 2**40  # shots in a device's life; at one a microsecond, twelve days
_REMEMBERED = 128  # mid-points; two neighbouring shots share all but a few of their 40


@dataclass(frozen=True, slots=True)
class Drift(Imperfection):
    """`rate`: relative change per shot [1]; `walk`: rms of the relative step from shot to shot [1]; `bend`: relative
    change per shot squared [1]; 0: off.
    """

    rate: float = 0.0
    walk: float = 0.0
    bend: float = 0.0

    def acts(self) -> Acting:
        return acting(
            ("drift", self.rate, Place.DRIFT),
            ("walk", self.walk, Place.DRIFT),
            ("drift_bend", self.bend, Place.DRIFT),
        )

    def drifted(self, theta: Arrays, site: Site, shot: int) -> Arrays:
        """Every part times its factor in that shot."""
        parts = site.once(type(self), lambda: DriftingParts(self, site.model, site.seed))
        return scaled(site.model, theta, parts.factors(shot))


class DriftingParts:
    """The drift of one device."""

    def __init__(self, drift: Drift, model: Simulable, seed: int) -> None:
        self._drift, self._seed = drift, seed
        self._shapes = {name: model.parameters[name].shape for name in parts_of(model)}
        self._count = sum(int(np.prod(shape)) for shape in self._shapes.values())
        self._direction = np.where(stream(seed, "drift", "direction").standard_normal(self._count) < 0, -1.0, 1.0)
        self._known: OrderedDict[tuple[int, int], Array] = OrderedDict()

    def factors(self, shot: int) -> dict[str, Array]:
        """Factor on every part, by parameter, as shot number `shot` of the device's life finds it."""
        change = (self._drift.rate * shot + self._drift.bend * shot**2) * self._direction
        if self._drift.walk:
            change = change + self._drift.walk * self._path(shot)
        factors, start = {}, 0
        for name, shape in self._shapes.items():
            stop = start + int(np.prod(shape))
            factors[name] = 1 + change[start:stop].reshape(shape)
            start = stop
        return factors

    def _path(self, shot: int) -> Array:
        """W (entries,) after `shot` steps."""
        low, high = 0, _SPAN
        at_low, at_high = np.zeros(self._count), np.sqrt(_SPAN) * self._normal(0, 0)
        while shot != low:
            middle = (low + high) // 2
            between = (at_low + at_high) / 2 + np.sqrt(high - low) / 2 * self._normal(low, high)
            if shot < middle:
                high, at_high = middle, between
            else:
                low, at_low = middle, between
        return at_low

    def _normal(self, low: int, high: int) -> Array:
        if (low, high) not in self._known:
            self._known[low, high] = stream(self._seed, "drift", "walk", low, high).standard_normal(self._count)
        self._known.move_to_end((low, high))
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return self._known[low, high]
