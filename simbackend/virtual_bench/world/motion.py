"""The oscillators of the bench, and their motion since they were last at rest.

The motion is integrated by the propagator that simulated rigs use, on a grid of `step` seconds that begins when the
first output moves; each kick is the mean of what reaches a port over its interval, which is exact for outputs that
hold their samples however the grids lie.  Between kicks positions move in straight lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import InstrumentError
from labrhel.rig.capabilities import Kind
from labrhel.shots.compiled import CompiledPass
from labrhel.shots.program import Acquire
from simbackend.dynamics.compiled import CompiledNetwork, runs_compiled
from simbackend.dynamics.propagator import Propagator, Push
from simbackend.dynamics.readable import ReadableLeapfrog
from simbackend.imperfections import Device, Imperfections, Knobs, Moment, Place
from simbackend.models.simulable import Simulable
from simbackend.rigs.simulated import capabilities_of
from simbackend.virtual_bench.world.leads import Drive, Turn
from simbackend.virtual_bench.world.signals import Ramp, Track, Varying

ACTS_OUT = frozenset({
    Place.PARTS, Place.DRIFT, Place.KNOBS, Place.SETTLING, Place.COUPLINGS, Place.MOTION, Place.PORTS,
    Place.CHANNELS, Place.CHANNEL_DELAYS,
})  # fmt: skip
"""Where imperfections act on a virtual bench: on the oscillators here, on the leads in `leads`.

Converters, noise, triggers and coupling are those of its instruments, and nothing flips momenta."""

_STEPS_PER_RADIAN = 50  # of the fastest mode; straight lines between kicks are then good to 5e-5
_STILL, _BALANCED = 1e-14, 1e-9  # relative change of a place of rest, and what may be left of the force there
_MOST_STEPS = 1_000_000  # in one go; what was longer ago is forgotten


class Oscillators:
    """The model with its imperfections, what drives it and what sets its parameters."""

    def __init__(
        self,
        model: Simulable,
        errors: Imperfections,
        drives: Sequence[Drive],
        turns: Sequence[Turn],
        step: float | None = None,
    ) -> None:
        self.model, self._errors, self._turns = model, errors, turns
        ideal = capabilities_of(model, "bench")
        self._device = Device(errors, model, ideal)
        self._settled = Knobs(errors.knobs, {item.name: model.parameters[item.name].nominal for item in ideal.knobs})
        self._names = [port.name for port in ideal.ports]
        self._paths = [errors.ports.of(item.port, self._kind(item), errors.seed) for item in drives]
        self._drives = list(drives)
        self.unit = model.time_unit
        largest = model.largest_step({})
        self.step = step or (largest if math.isfinite(largest) else 1.0) / (2 * _STEPS_PER_RADIAN) * self.unit
        self.tracks: dict[str, Track] = {item.terminal: Track() for item in drives}
        self.sources: dict[str, Varying] = {item.terminal: Ramp() for item in turns}
        self.shots = 0

    def _kind(self, drive: Drive) -> Kind:
        return Kind.INPUT if drive.port in self.model.inputs else Kind.FORCE

    def still_from(self) -> float:
        """From when on no port moves [s]."""
        ends = [self.tracks[item.terminal].still_from + item.delay for item in self._drives]
        return max(ends, default=-math.inf)

    def parameters(self, moment: float) -> Arrays:
        """What the parameters really are, as the sources stand at a moment."""
        knobs = {name: np.array(value) for name, value in self._settled.settings.items()}
        for turn in self._turns:
            knobs[turn.parameter][turn.index] = turn.at_zero + turn.per_volt * self.sources[turn.terminal].at(moment)
        changed = {name: value for name, value in knobs.items() if (value != self._settled.settings[name]).any()}
        if changed:
            self._settled.turn(changed, self.shots)
        return self._device.parameters(self._settled.real(self.shots), self.shots)

    def turn(self, terminal: str, moving: Varying, moment: float) -> None:
        """A source goes elsewhere from a moment on; a knob with backlash has felt where it was until then."""
        if self._errors.knobs.hysteresis:
            self.parameters(moment)
        self.sources[terminal] = moving

    def propagator(self, moment: float) -> Propagator:
        """The equations of motion as the sources stand at a moment."""
        theta = self.parameters(moment)
        usual = CompiledNetwork if runs_compiled(self.model) else ReadableLeapfrog
        n = self.model.size
        return usual(self.model, theta, self._settled.settings, np.eye(n), self._device.one_sided_pull(theta), 1)

    def reaching(self, edges: Array) -> Array:
        """The mean of what reaches each port between `edges` (m + 1,) [s]: (ports, m)."""
        total = np.zeros((len(self._names), len(edges) - 1))
        for item, path in zip(self._drives, self._paths, strict=True):
            played = self.tracks[item.terminal].mean(edges - item.delay - path.delay * self.unit)
            total[self._names.index(item.port)] += path.gain * item.arriving(played) + path.offset
        return total

    def shaking(self, friction: Array, steps: int, chunk: int) -> Array | None:
        """Random forces (1, n, steps)."""
        return self._device.shaking(friction, steps, [Moment(self.shots, chunk, self.step / self.unit)])

    def place_of_rest(self, propagator: Propagator, forces: Array, moment: float) -> Array:
        """Where constant forces on the ports hold the oscillators, as near to zero as Powell's method gets there.

        Raises InstrumentError if there is no such place.
        """
        pull, zero = propagator.ports_to_force @ forces + propagator.bias, np.zeros(self.model.size)
        if not pull.any():
            return zero
        from scipy.optimize import root  # a quarter of a second, which a bench at rest need not wait

        theta = self.parameters(moment)
        found = root(
            lambda q: pull + self.model.force(q, theta), zero, jac=lambda q: -self.model.hessian(q, theta), tol=_STILL
        )
        if not np.abs(found.fun).max() <= _BALANCED * np.abs(pull).max():
            raise InstrumentError("nothing holds the oscillators of the virtual bench at these levels: lower the drive")
        return found.x


class Motion:
    """Positions from `start` [s] on, where the oscillators are at rest."""

    def __init__(self, oscillators: Oscillators, start: float) -> None:
        self._of, self.step, self.unit = oscillators, oscillators.step, oscillators.unit
        self._propagator: Propagator | None = None  # made when it is needed: sources often turn together
        self._chunks = 0
        self.end = start
        self._times: list[Array] = []
        self._places: list[Array] = []
        self._rest_at(start)

    def extend(self, until: float) -> None:
        """Integrate up to a moment; there may be nothing to do."""
        if until <= self.end:
            return
        steps = math.ceil((until - self.end) / self.step - 1e-9)
        if steps > _MOST_STEPS:
            self._rest_at(until - _MOST_STEPS * self.step)
            steps = _MOST_STEPS
        edges = self.end + self.step * np.arange(steps + 1)
        drive, propagator = self._of.reaching(edges), self._now()
        shaking = self._of.shaking(propagator.friction, steps, self._chunks)
        push = Push(list(range(len(drive))), drive[None], shaking)
        item = CompiledPass(steps, {}, {}, Acquire(), None, keep=False)
        motion = propagator.run(self._q, self._p, push, item, self.step / self.unit, 1, (True, False))
        if not np.isfinite(self._q).all():
            self._rest_at(float(edges[-1]))
            raise InstrumentError("the oscillators of the virtual bench diverged: lower the drive")
        self._times.append((edges[:-1] + edges[1:]) / 2)
        self._places.append(motion.q[0])
        self.end = float(edges[-1])
        self._chunks += 1

    def rest(self, until: float) -> None:
        """Be at rest up to a moment."""
        if until > self.end:
            self._rest_at(until)

    def renew(self) -> None:
        """Go on with the parameters as the sources will stand."""
        self._propagator = None

    def _now(self) -> Propagator:
        if self._propagator is None:
            self._propagator = self._of.propagator(self.end)
        return self._propagator

    def seen(self, oscillator: int) -> tuple[Array, Array]:
        """Times [s] and positions [model unit] of one oscillator."""
        return np.concatenate(self._times), np.concatenate([place[oscillator] for place in self._places])

    def _rest_at(self, moment: float) -> None:
        forces = self._of.reaching(np.array([moment - self.step, moment]))[:, 0]
        place = self._of.place_of_rest(self._now(), forces, moment)
        since = self.end if self._times else moment - self.step
        self._times.append(np.array([since, moment]))
        self._places.append(np.repeat(place[:, None], 2, axis=1))
        self._q, self._p = place[None].copy(), np.zeros((1, len(place)))
        self.end = moment
