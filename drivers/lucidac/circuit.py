"""What a network of oscillators is patched as: two integrators each, and a lane with a coefficient for every term.

In machine units, x = q/Q and y = v/V with the full scales Q and V, an integrator forms dx/dt = -k0 sum(c * input):

    q' = v                                                 x' = -k0 c y,           c = -V/(Q T k0)
    m_i v_i' = -(k_i + sum K) q_i + sum K q_j - b_i q_i^3  y' = -k0 sum(c * ...),  c = (minus the force) * s

with s = 1/(m_i V T k0), T the unit of time [s], and x^3 by two multipliers.  Coefficients are linear in the parameters.
Integrator i holds q_i, integrator n + i holds v_i.  Source: the vendor's lucipy (lucipy.circuits, lucipy.simulator).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError, LimitError
from labrhel.model.interface import Model

INTEGRATORS, MULTIPLIERS, LANES = 8, 4, 32
RATE = 1e4
"""k0 of a fast integrator [1/s]: it goes from 0 to 1 in 100 us under an input of 1."""
LARGEST = 10.0
"""A coefficient is within -1 and 1, and ten times that where its lane is amplified."""

_SPRINGS = ("stiffness", "coupling", "cubic")
_FIXED = ("mass", "friction", "initial_position", "initial_momentum")


@dataclass(frozen=True, slots=True)
class Lane:
    """From the output `source` to the input `target` of the machine's elements, as lucipy counts them.

    Its coefficient is `fixed` + sum of `by` entry of a parameter; `what` names it.
    """

    source: int
    target: int
    what: str
    by: Mapping[tuple[str, int], float]
    fixed: float = 0.0


@dataclass(frozen=True, slots=True)
class Scales:
    """Full scales: `position` Q and `velocity` V [model units], and the unit of model time T [s]."""

    position: float
    velocity: float
    time_unit: float

    @classmethod
    def of(cls, position: float, velocity: float | None, time_unit: float) -> Scales:
        """By default V = Q T k0, for which the lanes from velocities to positions are at -1."""
        return cls(position, position * time_unit * RATE if velocity is None else velocity, time_unit)

    def force(self, mass: float) -> float:
        """s: coefficient per force on an oscillator."""
        return 1 / (mass * self.velocity * self.time_unit * RATE)


class Circuit:
    """`model` as lanes; raises ConfigurationError for one that does not fit the machine."""

    def __init__(self, model: Model, scales: Scales) -> None:
        self.model, self.scales = model, scales
        if 2 * model.size > INTEGRATORS:
            raise ConfigurationError(
                f"the machine has {INTEGRATORS} integrators, two for an oscillator: {INTEGRATORS // 2} oscillators at "
                f"most, not {model.size}"
            )
        self.bent = np.flatnonzero(self._nominal("cubic"))
        _check_terms(model, len(self.bent))
        self.knobs = tuple(name for name in _SPRINGS if (self.bent if name == "cubic" else self._nominal(name)).size)
        self.lanes = tuple(self._lanes())
        if len(self.lanes) > LANES:
            raise ConfigurationError(
                f"this network takes {len(self.lanes)} lanes of the machine's {LANES}: take fewer couplings (two lanes "
                "each), or leave out cubic springs (five each)"
            )
        places = [(name, index) for name in self.knobs for index in range(self._nominal(name).size)]
        self._matrix = np.array([[lane.by.get(place, 0.0) for place in places] for lane in self.lanes])
        self._fixed = np.array([lane.fixed for lane in self.lanes])

    def coefficients(self, knobs: Arrays) -> Array:
        """The coefficient of each lane (lanes,); raises LimitError, by name, for what none can be."""
        off = np.flatnonzero(np.delete(np.asarray(knobs.get("cubic", self._nominal("cubic"))), self.bent))
        if off.size:
            raise LimitError("a cubic spring can be trained where it is not 0 to start with: it takes two multipliers")
        found = self._matrix @ np.concatenate([np.ravel(knobs[name]) for name in self.knobs]) + self._fixed
        worst = int(np.argmax(np.abs(np.where(np.isfinite(found), found, np.inf))))
        if not abs(found[worst]) <= LARGEST:
            raise LimitError(
                f"the lane {self.lanes[worst].what} would need a coefficient of {found[worst]:.4g}; allowed is "
                f"[{-LARGEST:g}, {LARGEST:g}]; nothing was sent; lower it, or change the scales: "
                "position=... and velocity=... of the URL"
            )
        return found

    def require_resolved(self, knobs: Arrays, step: float) -> None:
        """Raise ConfigurationError for a lane that would round to nothing, in steps of `step` [of full scale]."""
        for lane, coefficient in zip(self.lanes, self.coefficients(knobs), strict=True):
            if 0 < abs(coefficient) < step / 2:
                raise ConfigurationError(
                    f"the lane {lane.what} would need a coefficient of {coefficient:.2g}, and the smallest is "
                    f"{step:.2g}: integrators move at {RATE:g} rad/s, so choose model.units.time, or position= and "
                    "velocity= of the URL, for which the frequencies of the model come near that"
                )

    def parameters(self, coefficients: Array) -> dict[str, Array]:
        """The parameters that coefficients stand for, the nearest where both ways of a coupling differ."""
        values, *_ = np.linalg.lstsq(self._matrix, coefficients - self._fixed, rcond=None)
        sizes = [self._nominal(name).size for name in self.knobs]
        return dict(zip(self.knobs, np.split(values, np.cumsum(sizes)[:-1]), strict=True))

    def largest(self, knob: str) -> float:
        """The largest entry of a knob that some lane could hold by itself."""
        column = [abs(share) for lane in self.lanes for (name, _), share in lane.by.items() if name == knob]
        return LARGEST / min(column)

    def _nominal(self, name: str) -> Array:
        known = self.model.parameters.get(name)
        return np.zeros(0) if known is None else np.asarray(known.nominal, float)

    def _lanes(self) -> Iterator[Lane]:
        n, scales = self.model.size, self.scales
        force = [scales.force(mass) for mass in self.model.mass({})]
        edges = [(int(i), int(j)) for i, j in getattr(self.model, "edges", ())]
        for i in range(n):
            speed = scales.velocity / (scales.position * scales.time_unit * RATE)
            yield Lane(n + i, i, _named("v", i, "q", i), {}, -speed)
        for i in range(n):
            share = scales.position * force[i]
            springs = {("coupling", k): share for k, edge in enumerate(edges) if i in edge}
            yield Lane(i, n + i, _named("q", i, "v", i), {("stiffness", i): share} | springs)
        for k, edge in enumerate(edges):
            for i, j in (edge, edge[::-1]):
                yield Lane(j, n + i, _named("q", j, "v", i), {("coupling", k): -scales.position * force[i]})
        for i, j in np.argwhere(self.model.friction({})):
            rubbed = float(self.model.friction({})[i, j]) * scales.velocity * force[i]
            yield Lane(n + int(j), n + int(i), _named("v", j, "v", i), {}, rubbed)
        for pair, i in enumerate(map(int, self.bent)):
            square, cube, inputs = 8 + 2 * pair, 9 + 2 * pair, 8 + 4 * pair
            for source, target in ((i, inputs), (i, inputs + 1), (square, inputs + 2), (i, inputs + 3)):
                yield Lane(source, target, f"of the cubic spring of q{i + 1}", {}, 1.0)
            yield Lane(cube, n + i, f"from q{i + 1}^3 to v{i + 1}", {("cubic", i): scales.position**3 * force[i]})


def _named(source: str, j: int, target: str, i: int) -> str:
    return f"from {source}{j + 1} to {target}{i + 1}"


def _check_terms(model: Model, bent: int) -> None:
    for name, spec in model.parameters.items():
        if name not in (*_SPRINGS, *_FIXED) and np.any(spec.nominal):
            way = "it has no port: say input: 0, and let data.start say where oscillators start"
            words = way if name.startswith("input") else f"it has {', '.join(_SPRINGS)} and friction"
            raise ConfigurationError(f"the machine is not patched for {name} that is not 0; {words}")
    if 2 * bent > MULTIPLIERS:
        raise ConfigurationError(
            f"the machine has {MULTIPLIERS} multipliers, two for a cubic spring: {MULTIPLIERS // 2} at most, not {bent}"
        )
