"""One simulated device: its imperfections, drawn from its seed, each applied where it acts.

The rig (simbackend.rigs.simulated) asks it, in the order of a shot: what the parameters are, what reaches the kicks,
what shakes the rig, how the momenta come out of a flip, and what the channels show.  What is off answers without
arithmetic, so that a device with everything off gives the bits of the ideal rig.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.rig.capabilities import Capabilities, Kind, TriggerDomain
from labrhel.shots.capture import State, Trace
from labrhel.shots.compiled import CompiledPass
from simbackend.imperfections.converters import ConverterErrors
from simbackend.imperfections.draws import stream
from simbackend.imperfections.drift import Drift, DriftingParts
from simbackend.imperfections.flip import FlipErrors
from simbackend.imperfections.friction import HiddenFriction
from simbackend.imperfections.knobs import KnobErrors
from simbackend.imperfections.mismatch import Mismatch, scaled
from simbackend.imperfections.noise import ForceNoise
from simbackend.imperfections.paths import Path, PathErrors
from simbackend.imperfections.ports import arriving
from simbackend.imperfections.readings import sampled, shown
from simbackend.imperfections.reciprocity import NonReciprocity
from simbackend.imperfections.timing import ClockErrors, ReplayErrors
from simbackend.models.simulable import Simulable

_PERFECT = Path()


@dataclass(frozen=True, slots=True)
class Imperfections:
    """All that may be wrong with a rig, in model units, and the seed that draws it; everything is off by default.

    `noise`: rms of every sample of a reading [unit of the channel].
    """

    seed: int = 0
    mismatch: Mismatch = field(default_factory=Mismatch)
    friction: HiddenFriction = field(default_factory=HiddenFriction)
    reciprocity: NonReciprocity = field(default_factory=NonReciprocity)
    drift: Drift = field(default_factory=Drift)
    knobs: KnobErrors = field(default_factory=KnobErrors)
    force: ForceNoise = field(default_factory=ForceNoise)
    flip: FlipErrors = field(default_factory=FlipErrors)
    replay: ReplayErrors = field(default_factory=ReplayErrors)
    clock: ClockErrors = field(default_factory=ClockErrors)
    ports: PathErrors = field(default_factory=PathErrors)
    channels: PathErrors = field(default_factory=PathErrors)
    dac: ConverterErrors = field(default_factory=ConverterErrors)
    adc: ConverterErrors = field(default_factory=ConverterErrors)
    noise: float = 0.0


IDEAL = Imperfections()
"""Everything off."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Where in the life of the device: shot number and pass, and the step [time] of its kicks."""

    shot: int
    pass_index: int
    step: float


class Device:
    """The device of one seed.  `capabilities` is what its data sheet says; hidden errors are not in it."""

    def __init__(self, errors: Imperfections, model: Simulable, ideal: Capabilities) -> None:
        self.errors = errors
        self._model, seed = model, errors.seed
        errors.reciprocity.check(model)
        self._factors = {} if errors.mismatch.is_off else errors.mismatch.factors(model, seed)
        self._rubbed = None if errors.friction.is_off else errors.friction.added(model)
        self._drifting = None if errors.drift.is_off else DriftingParts(errors.drift, model, seed)
        self._ports = {port.name: errors.ports.of(port.name, port.kind, seed) for port in ideal.ports}
        self._channels = {
            channel.name: errors.channels.of(channel.name, channel.kind, seed) for channel in ideal.channels
        }
        clock = errors.clock.is_off
        self._plays_truly = (
            clock and errors.replay == ReplayErrors() and _perfect(self._ports) and not errors.ports.jitter
        )
        self._reads_in_time = clock and not any(path.delay or path.corner for path in self._channels.values())
        self._reads_truly = (
            self._reads_in_time and _perfect(self._channels) and not errors.noise and errors.adc.bits is None
        )
        self._steady = self._drifting is None and not errors.knobs.settling
        jitters = errors.noise or errors.clock.jitter or errors.ports.jitter
        self._repeats = self._steady and errors.force.is_off and not jitters
        self._offset = [name for name, path in self._ports.items() if path.offset]
        self.capabilities = self._declared(ideal)
        self._units = {channel.name: channel.unit for channel in ideal.channels}
        self._held = {port.name for port in self.capabilities.ports if port.timing.rates}

    @property
    def is_steady(self) -> bool:
        """True if the parameters are those of the knobs at every shot, so that shots may run as one batch."""
        return self._steady

    @property
    def repeats_itself(self) -> bool:
        """True if the same shot fired twice gives the same bits."""
        return self._repeats

    @property
    def reads_every_kick(self) -> bool:
        """True if a reading needs the motion at every kick, however seldom it is sampled."""
        return not self._reads_in_time

    def parameters(self, knobs: Arrays, shot: int) -> Arrays:
        """What the parameters really are in shot number `shot`, the real knob values being `knobs`."""
        theta = scaled(knobs, self._factors) if self._factors else knobs
        if self.errors.mismatch.added:
            theta = {**theta, **{name: theta[name] + more.values for name, more in self.errors.mismatch.added.items()}}
        if self._drifting is not None:
            theta = scaled(theta, self._drifting.factors(shot))
        if self._rubbed is not None:
            theta = {**theta, "friction": theta["friction"] + self._rubbed}
        return theta

    def gain(self, name: str) -> float:
        """The gain of a port or channel [1], on average over the shots."""
        return (self._ports[name] if name in self._ports else self._channels[name]).gain

    def one_sided_pull(self, theta: Arrays) -> Array:
        """N of the extra force N q: (n, n), or (0, 0) for none."""
        return self.errors.reciprocity.matrix(self._model, theta, self.errors.seed)

    def pushing(self, item: CompiledPass) -> list[str]:
        """Ports that push in a pass: those that play, and those whose offset is there all the time."""
        pushing = {*item.achieved, *self._offset}
        return [name for name in self._ports if name in pushing]

    def arriving(self, name: str, item: CompiledPass, moment: Moment, *, calibrated: bool) -> Array:
        """What reaches the kicks of a pass from a port (steps,).

        A `calibrated` shot has been made for another device than the ideal one, and may be wrong: what leaves the wire
        counts, not what the host thinks that it achieves.
        """
        if self._plays_truly and not calibrated:
            return item.achieved[name].values
        port, errors = self.capabilities.port(name), self.errors
        path = errors.ports.jittered(self._ports[name], name, errors.seed, moment.shot)
        played = item.played.get(name)
        if played is None:
            return np.full(item.steps, path.offset)
        late = errors.clock.late("ports", errors.seed, moment.shot, moment.pass_index)
        if item.reversal is not None and port.kind is Kind.INPUT:
            late += errors.replay.delay
            path = replace(path, gain=path.gain * (1 + errors.replay.gain))
        kicks = moment.step * np.arange(item.steps)
        held, idle = name in self._held, port.safe.value
        return arriving(played, path, kicks, late, errors.clock.skew, held=held, idle=idle)

    def shaking(self, friction: Array, steps: int, moments: Sequence[Moment]) -> Array | None:
        """Random forces (batch, n, steps), one row for each moment; None if nothing shakes the rig."""
        force, seed = self.errors.force, self.errors.seed
        if force.is_off:
            return None
        draws = [stream(seed, "force", moment.shot, moment.pass_index) for moment in moments]
        return np.stack([force.forces(draw, friction, steps, moments[0].step) for draw in draws])

    def reversed(self, momentum: Array) -> Array:
        """Momenta (batch, n) after a reversal."""
        return self.errors.flip.reversed(momentum, self.errors.seed)

    def traces(
        self, motions: dict[str, Array], ends: dict[str, tuple[float, float]], every: int, moment: Moment
    ) -> dict[str, Trace]:
        """What the channels show of the motion at the kicks, by channel (steps,).

        `motions` holds every kick if `reads_every_kick`, else every `every`-th; `ends` the values half a step before
        and after.
        """
        errors, spacing = self.errors, moment.step * every
        units = self._units
        if self._reads_truly:
            return {name: Trace(motion[None], units[name], 0.0, spacing) for name, motion in motions.items()}
        late = errors.clock.late("readings", errors.seed, moment.shot, moment.pass_index)
        random = stream(errors.seed, "noise", moment.shot, moment.pass_index)
        traces, converter = {}, errors.adc.declared
        for name, motion in motions.items():
            path, arrived = self._channels[name], motion
            if not self._reads_in_time:
                arrived = sampled(motion, ends[name], moment.step, path, late, errors.clock.skew)[::every]
            noise = errors.noise * random.standard_normal(len(arrived)) if errors.noise else 0.0
            reading = shown(arrived, path, noise, converter)
            codes = None if reading.codes is None else reading.codes[None]
            grid = (1.0, 0.0) if converter is None else (converter.lsb, converter.low)
            traces[name] = Trace(reading.values[None], units[name], 0.0, spacing, reading.over_range, codes, *grid)
        return traces

    def state(self, position: Array, momentum: Array, mass: Array, moment: Moment) -> State:
        """The end state (n,) as the channels show it; the momenta through the velocity channels."""
        if self._reads_truly:
            return State(position[None].copy(), momentum[None].copy())
        random = stream(self.errors.seed, "state", moment.shot, moment.pass_index)
        shown_as = []
        for kind, values in ((Kind.POSITION, position), (Kind.VELOCITY, momentum / mass)):
            names = self.capabilities.channels_of(kind)
            noise = self.errors.noise * random.standard_normal(len(values))
            rows = zip(names, values, noise, strict=True)
            converter = self.errors.adc.declared
            shown_as.append(
                np.array(
                    [float(shown(np.asarray(x), self._channels[name], e, converter).values) for name, x, e in rows]
                )
            )
        return State(shown_as[0][None], (shown_as[1] * mass)[None])

    def _declared(self, ideal: Capabilities) -> Capabilities:
        """What a data sheet would say: converters, noise, jitter; and no sums on board where readings are not true."""
        errors = self.errors
        dac, adc = errors.dac.declared, errors.adc.declared
        declared = ideal
        if dac is not None:
            declared = replace(declared, ports=tuple(replace(port, converter=dac) for port in ideal.ports))
        if adc is not None or errors.noise:
            channels = tuple(replace(channel, converter=adc, noise=errors.noise) for channel in ideal.channels)
            declared = replace(declared, channels=channels)
        if errors.clock.jitter:
            trigger = TriggerDomain("host", jitter=errors.clock.jitter * ideal.time_unit)
            declared = replace(declared, triggers=(trigger,))
        return declared if self._reads_truly else replace(declared, accumulates=frozenset())


def _perfect(paths: dict[str, Path]) -> bool:
    return all(path == _PERFECT for path in paths.values())
