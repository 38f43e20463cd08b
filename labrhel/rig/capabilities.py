"""What a rig declares about itself: data, read by the compiler, the protocols and the limit checks.

Rates, times and frequencies are in SI; values at ports, channels and knobs are in the unit named beside them.
`None` means "no such limit" (a simulated rig has no bits), never "unknown": an unknown limit must be found out
before the rig is used.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from labrhel.errors import ConfigurationError, ProgramError
from labrhel.frozen import Digested, FrozenArray


@dataclass(frozen=True, slots=True, eq=False)
class Limits(Digested):
    """Safe range [unit] and slew [unit/s] of a port or knob.  Checked on every value that leaves the host."""

    tag = "Limits"
    low: float = -np.inf
    high: float = np.inf
    slew: float | None = None

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ProgramError(f"a limit needs low <= high, not [{self.low}, {self.high}]")


@dataclass(frozen=True, slots=True, eq=False)
class SafeState(Digested):
    """Where an output goes on every exit path (a bias is not zero volts); how it goes there is the rig's affair."""

    tag = "SafeState"
    value: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Converter(Digested):
    """An ADC or DAC: `bits` over [low, high] [device unit]."""

    tag = "Converter"
    bits: int
    low: float
    high: float

    @property
    def lsb(self) -> float:
        """Size of one code [device unit]."""
        return (self.high - self.low) / (2**self.bits - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Timing(Digested):
    """Clock and trigger of a port or channel, by the names of its domains, and what its sampling allows."""

    tag = "Timing"
    clock: str = "host"
    trigger: str = "host"
    rates: tuple[float, ...] = ()  # [Hz] allowed sample rates; empty: any
    start_grid: float = 0.0  # [s] every pass starts at a multiple of this after the trigger of its shot; 0: any
    skew: float = 0.0  # [s] known delay against the trigger domain, before calibration
    memory: int | None = None  # samples


class Kind(enum.StrEnum):
    """What a port does or a channel sees."""

    INPUT = "input"  # port: enters through the model's input map W
    FORCE = "force"  # port: a force, through the rig's drive matrix
    POSITION = "position"
    VELOCITY = "velocity"  # at the kick: mean of the velocities before and after it
    AMPLITUDE = "amplitude"  # complex, of I/Q rigs


@dataclass(frozen=True, slots=True, eq=False)
class Port(Digested):
    """An output of the host that drives the rig."""

    tag = "Port"
    name: str
    kind: Kind
    unit: str = ""
    iq: bool = False
    timing: Timing = Timing()
    converter: Converter | None = None
    limits: Limits = Limits()
    safe: SafeState = SafeState()


@dataclass(frozen=True, slots=True, eq=False)
class Channel(Digested):
    """A reading of the rig."""

    tag = "Channel"
    name: str
    kind: Kind
    unit: str = ""
    iq: bool = False
    timing: Timing = Timing()
    converter: Converter | None = None
    noise: float = 0.0  # [unit] rms per sample


@dataclass(frozen=True, slots=True, eq=False)
class Knob(Digested):
    """A setting of the rig that a parameter map turns."""

    tag = "Knob"
    name: str
    shape: tuple[int, ...] = ()
    unit: str = ""
    limits: Limits = Limits()
    resolution: float = 0.0  # [unit] smallest step; 0: continuous
    settle: float = 0.0  # [s]
    safe: tuple[SafeState, ...] = ()  # one for each entry; empty: stays where it is
    reads_back: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ClockDomain(Digested):
    """A set of converters that count one clock."""

    tag = "ClockDomain"
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class TriggerDomain(Digested):
    """What starts together.  Domains are armed from low `arming_order` to high, the source last.

    A shot that starts later than `latest` after it was planned is a DeadlineError.
    """

    tag = "TriggerDomain"
    name: str
    source: str = ""
    arming_order: int = 0
    re_arm: float = 0.0  # [s] from the end of a shot until it can be armed again
    jitter: float = 0.0  # [s] rms
    latest: float = np.inf  # [s] infinite where a state waits unharmed, as in a simulation


@dataclass(frozen=True, slots=True, eq=False)
class Capabilities(Digested):
    """Everything a protocol or the compiler may know of a rig.

    `drive_matrix` (n, force ports): forces on the n oscillators from the force ports, in the order of `ports`.
    `position_matrix` (position channels, n): what each position channel sees; `velocity_matrix` the same.
    Of rigs in the rotating frame the matrices are complex, and `position_matrix` has a row for each channel of an
    amplitude: a terminal that plays x drives with D x, and a channel shows Re(M a).
    """

    tag = "Capabilities"
    rig: str
    size: int
    ports: tuple[Port, ...]
    channels: tuple[Channel, ...]
    knobs: tuple[Knob, ...]
    drive_matrix: FrozenArray
    position_matrix: FrozenArray
    velocity_matrix: FrozenArray
    clocks: tuple[ClockDomain, ...] = (ClockDomain("host"),)
    triggers: tuple[TriggerDomain, ...] = (TriggerDomain("host"),)
    prepares: frozenset[str] = frozenset({"rest"})  # of "rest", "state", "hold"
    reversals: frozenset[Reversal] = frozenset()
    accumulates: frozenset[str] = frozenset()  # observables summed on the rig
    reads_state: bool = False  # end_state of a pass
    settle_time: float = 0.0  # [s] after a knob moved
    ring_down_time: float = 0.0  # [s] to rest
    time_unit: float = 1.0  # [s] per unit of model time
    firmware: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        names = [item.name for item in (*self.ports, *self.channels)]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ConfigurationError(f"rig {self.rig} has two ports or channels named {twice[0]!r}; rename one")

    @property
    def pause(self) -> float:
        """Shortest time from the end of a shot to the start of the next [s]: to come to rest, and to arm again."""
        return max([self.ring_down_time, *(item.re_arm for item in self.triggers)])

    def port(self, name: str) -> Port:
        """The port of that name, or ProgramError naming those that exist."""
        return _named(self.ports, name, "port", self.rig)

    def channel(self, name: str) -> Channel:
        """The channel of that name, or ProgramError naming those that exist."""
        return _named(self.channels, name, "channel", self.rig)

    def knob(self, name: str) -> Knob:
        """The knob of that name, or ProgramError naming those that exist."""
        return _named(self.knobs, name, "knob", self.rig)

    @property
    def places(self) -> tuple[str, ...]:
        """Names of the channels of the rows of `position_matrix`: positions, or quadratures of amplitudes."""
        return self.channels_of(Kind.POSITION) or self.channels_of(Kind.AMPLITUDE)

    def ports_of(self, kind: Kind) -> tuple[str, ...]:
        """Names of the ports of that kind, in the order of the matrices."""
        return tuple(port.name for port in self.ports if port.kind is kind)

    def channels_of(self, kind: Kind) -> tuple[str, ...]:
        """Names of the channels of that kind, in the order of the matrices."""
        return tuple(channel.name for channel in self.channels if channel.kind is kind)


N = TypeVar("N", Port, Channel, Knob)


def _named(items: tuple[N, ...], name: str, what: str, rig: str) -> N:
    for item in items:
        if item.name == name:
            return item
    offered = ", ".join(item.name for item in items) or "none"
    raise ProgramError(f"rig {rig} has no {what} {name!r}; it has: {offered}")


class Reversal(enum.StrEnum):
    """Ways to time-reverse a state.  A rig declares which it offers, the compiler takes the cheapest.

    `state_restore`: bring back the stored end state of the pass before and reverse it; one pass a shot.
    `momentum_flip`: (q, p) -> (q, -p) at the end of a pass.  `conjugation`: a -> conj(a) of complex amplitudes.
    `by_drive`: no flip hardware; from rest, a preparation pass plays the drive that ends in the reversed state.
    """

    STATE_RESTORE = "state_restore"
    MOMENTUM_FLIP = "momentum_flip"
    CONJUGATION = "conjugation"
    BY_DRIVE = "by_drive"
