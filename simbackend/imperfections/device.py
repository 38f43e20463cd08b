"""One simulated device: its imperfections, drawn from its seed, each applied where it acts.

The rig (simbackend.rigs.simulated) asks it, in the order of a shot: what the parameters are, what reaches the kicks,
what shakes the rig, how the momenta come out of a flip, and what the channels show.  What may be left out, because
nothing acts there, follows from where the imperfections say that they act: a device with everything off gives the bits
of the ideal rig.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.rig.capabilities import Capabilities, Kind, TriggerDomain
from labrhel.shots.capture import State, Trace
from labrhel.shots.compiled import CompiledPass
from simbackend.imperfections.converters import ConverterErrors
from simbackend.imperfections.draws import stream
from simbackend.imperfections.drift import Drift
from simbackend.imperfections.flip import FlipErrors
from simbackend.imperfections.friction import HiddenFriction
from simbackend.imperfections.imperfection import Acting, Imperfection, Moment, Place, Site, acting
from simbackend.imperfections.knobs import KnobErrors
from simbackend.imperfections.mismatch import Mismatch
from simbackend.imperfections.noise import ForceNoise
from simbackend.imperfections.paths import PathErrors
from simbackend.imperfections.ports import arriving
from simbackend.imperfections.readings import sampled, shown
from simbackend.imperfections.reciprocity import NonReciprocity
from simbackend.imperfections.timing import ClockErrors, ReplayErrors
from simbackend.models.simulable import Simulable

_FROM_SHOT_TO_SHOT = {Place.DRIFT, Place.SETTLING}
_ANEW = {*_FROM_SHOT_TO_SHOT, Place.MOTION, Place.TRIGGERS, Place.PORT_SIGNALS, Place.CHANNEL_SIGNALS}
_WAYS_IN = {Place.CLOCK, Place.TRIGGERS, Place.ECHO, Place.PORTS, Place.PORT_COUPLING, Place.PORT_SIGNALS}
_WHEN_READ = {Place.CLOCK, Place.TRIGGERS, Place.CHANNEL_DELAYS, Place.CHANNEL_COUPLING}
_WAYS_OUT = {*_WHEN_READ, Place.CHANNELS, Place.CHANNEL_SIGNALS, Place.CHANNEL_CONVERTERS}


@dataclass(frozen=True, slots=True)
class Imperfections:
    """All that may be wrong with a rig, in model units, and the seed that draws it; everything is off by default.

    `noise`: rms of every sample of a reading [unit of the channel]; `others`: registered ones, by name.
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
    others: Mapping[str, Imperfection] = field(default_factory=dict)

    @property
    def named(self) -> list[tuple[str, Imperfection]]:
        """Those that act on their own, in the order in which they act, with what their settings' keys begin with."""
        own: list[Imperfection] = [
            self.mismatch, self.drift, self.friction, self.reciprocity, self.knobs, self.force, self.flip, self.replay,
            self.clock,
        ]  # fmt: skip
        return [*(("", part) for part in own), *((f"{name}.", part) for name, part in self.others.items())]

    @property
    def drifts(self) -> bool:
        """True if a part of the rig changes from shot to shot, so that the device has a past to remember."""
        return any(place is Place.DRIFT for _, part in self.named for _, place in part.acts())


IDEAL = Imperfections()
"""Everything off."""


class Device:
    """The device of one seed.  `capabilities` is what its data sheet says; hidden errors are not in it."""

    def __init__(self, errors: Imperfections, model: Simulable, ideal: Capabilities) -> None:
        self.errors, self._site = errors, Site(model, errors.seed)
        for _, part in errors.named:
            part.check(self._site)
        self._ports = {port.name: errors.ports.of(port.name, port.kind, errors.seed) for port in ideal.ports}
        self._channels = {item.name: errors.channels.of(item.name, item.kind, errors.seed) for item in ideal.channels}
        self.acts = self._acting()
        places = {place for _, place in self.acts}
        self._steady = places.isdisjoint(_FROM_SHOT_TO_SHOT)
        self._repeats = places.isdisjoint(_ANEW)
        self._plays_truly = places.isdisjoint(_WAYS_IN)
        self._reads_in_time = places.isdisjoint(_WHEN_READ)
        self._reads_truly = places.isdisjoint(_WAYS_OUT)
        self._of_parts = self._that_act(Place.PARTS, Place.DRIFT)
        self._shaking = self._that_act(Place.MOTION)
        self._flipping = self._that_act(Place.REVERSAL)
        self._on_ports = self._that_act(Place.PORT_SIGNALS)
        self._on_channels = self._that_act(Place.CHANNEL_SIGNALS)
        self._turning = self._that_act(Place.QUADRATURES)
        self._offset = [name for name, path in self._ports.items() if path.offset]
        self.capabilities = self._declared(ideal)
        self._units = {channel.name: channel.unit for channel in ideal.channels}
        self._held = {port.name for port in self.capabilities.ports if port.timing.rates}

    def _acting(self) -> Acting:
        errors = self.errors
        found = acting(
            ("dac_bits", errors.dac.bits is not None, Place.PORT_CONVERTERS),
            ("adc_bits", errors.adc.bits is not None, Place.CHANNEL_CONVERTERS),
            ("noise", errors.noise, Place.CHANNEL_SIGNALS),
        )
        found |= errors.ports.acts_on_ports(self._ports.values())
        found |= errors.channels.acts_on_channels(self._channels.values())
        return found | {(first + key, place) for first, part in errors.named for key, place in part.acts()}

    def _that_act(self, *places: Place) -> list[Imperfection]:
        return [part for _, part in self.errors.named if any(place in places for _, place in part.acts())]

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
        theta = knobs
        for part in self._of_parts:
            theta = part.drifted(part.parameters(theta, self._site), self._site, shot)
        return theta

    def gain(self, name: str) -> float:
        """The gain of a port or channel [1], on average over the shots."""
        return (self._ports[name] if name in self._ports else self._channels[name]).gain

    def one_sided_pull(self, theta: Arrays) -> Array:
        """N of the extra force N q: (n, n), or (0, 0) for none."""
        return self.errors.reciprocity.matrix(self._site.model, theta, self.errors.seed)

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
            return self._reached(np.full(item.steps, path.offset), name, moment)
        late = errors.clock.late("ports", errors.seed, moment.shot, moment.pass_index)
        if item.reversal is not None and port.kind is Kind.INPUT:
            late += errors.replay.delay
            path = replace(path, gain=path.gain * (1 + errors.replay.gain))
        kicks = moment.step * np.arange(item.steps)
        held, idle = name in self._held, port.safe.value
        reached = arriving(played, path, kicks, late, errors.clock.skew, held=held, idle=idle)
        return self._reached(reached, name, moment)

    def _reached(self, values: Array, name: str, moment: Moment) -> Array:
        for part in self._on_ports:
            values = part.reaching(values, name, self._site, moment)
        return values

    def shaking(self, friction: Array, steps: int, moments: Sequence[Moment]) -> Array | None:
        """Random forces (batch, n, steps), one row for each moment; None if nothing shakes the rig."""
        if not self._shaking:
            return None
        parts = [[part.forces(friction, steps, self._site, at) for at in moments] for part in self._shaking]
        return np.sum(parts, axis=0)

    def reversed(self, position: Array, momentum: Array) -> tuple[Array, Array]:
        """Positions and momenta (batch, n) after a reversal; of amplitudes, their quadratures."""
        flipped, left = -momentum, 1.0 + 0.0j
        for part in self._flipping:
            flipped = part.flipped(flipped, self._site)
            left *= part.conjugated(self._site)
        if left == 1:
            return position, flipped
        turned = left * (position + 1j * flipped)
        return turned.real, turned.imag

    @property
    def turns(self) -> bool:
        """True if terminals of a rig in the rotating frame have other axes than they should."""
        return bool(self._turning)

    def turned(self, terminal: str, shot: int) -> complex:
        """What a terminal multiplies with what it plays, and divides what it reads by."""
        found = 1.0 + 0.0j
        for part in self._turning:
            found *= part.turning(terminal, self._site, shot)
        return found

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
                clock = errors.clock
                arrived = sampled(motion, ends[name], moment.step, path, late, clock.skew, clock.apart)[::every]
            arrived = self._arrived(arrived, name, moment)
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
        pairs = self.capabilities.channels_of(Kind.AMPLITUDE)
        places = self.capabilities.channels_of(Kind.POSITION) or pairs[0::2]
        speeds = self.capabilities.channels_of(Kind.VELOCITY) or pairs[1::2]
        for names, values in ((places, position), (speeds, momentum / mass)):
            if self._on_channels:
                each = zip(names, values, strict=True)
                values = np.array([self._arrived(np.array([x]), name, moment)[0] for name, x in each])  # noqa: PLW2901
            noise = self.errors.noise * random.standard_normal(len(values))
            rows = zip(names, values, noise, strict=True)
            converter = self.errors.adc.declared
            shown_as.append(
                np.array(
                    [float(shown(np.asarray(x), self._channels[name], e, converter).values) for name, x, e in rows]
                )
            )
        return State(shown_as[0][None], (shown_as[1] * mass)[None])

    def _arrived(self, values: Array, name: str, moment: Moment) -> Array:
        for part in self._on_channels:
            values = part.arriving(values, name, self._site, moment)
        return values

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
