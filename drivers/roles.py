"""What a bench rig asks of its instruments, whatever their make: outputs, inputs, levels, and somebody who triggers.

An instrument is one box behind one link and has terminals, each with its own name (`ch1`).  All values are volts: of
outputs, at the load that the output is set for; of inputs, at the connector.  Times are seconds from the trigger.
Opening an instrument resets nothing and changes no output.  Every waveform is one finite burst that idles at the safe
level; `make_safe` may be called at any time, from any thread, twice, and works while an exchange is stuck.  Several
instruments are loaded, armed, or read, at the same time, each from one thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from labrhel.arrays import Array


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """What one generator output can do: range [V at the load it is set for], bits, memory [samples], rates [Hz].

    `rates` is a range (slowest, fastest) of sample rates; `latency` from the trigger to the first sample [s].
    """

    low: float
    high: float
    bits: int
    memory: int
    rates: tuple[float, float]
    latency: float = 0.0


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What one digitizer input can do: bits, memory [samples], the sample rates it has [Hz], fastest last.

    `pre_trigger`: how many samples of its memory may lie before the trigger; None: all of them.
    """

    bits: int
    memory: int
    rates: tuple[float, ...]
    pre_trigger: int | None = None


@dataclass(frozen=True, slots=True)
class Burst:
    """Samples [V] for one output at `rate` [Hz]; before and after it the output stays at `idle` [V].

    The first and the last sample are `idle`: many generators idle at the first sample of what they hold.
    """

    samples: Array
    rate: float
    idle: float = 0.0


@dataclass(frozen=True, slots=True)
class Window:
    """What a digitizer records, in seconds after the trigger (negative: before it), at `rate` [Hz] or faster.

    `ranges`: by terminal, the (low, high) [V] that must fit.
    """

    start: float
    duration: float
    rate: float
    ranges: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Record:
    """Readings of one input: codes with volts = codes * scale + offset, taken at t0 + k dt [s after the trigger].

    `over_range` counts samples at the ends of the converter.
    """

    codes: NDArray[np.int32]
    scale: float
    offset: float
    t0: float
    dt: float
    over_range: int = 0

    @property
    def volts(self) -> Array:
        """Readings [V]."""
        return self.codes * self.scale + self.offset


@runtime_checkable
class Instrument(Protocol):
    """One instrument, as a station sees it."""

    @property
    def name(self) -> str:
        """Name of the instrument in the station file."""
        ...

    @property
    def identity(self) -> str:
        """What the instrument says it is, firmware included."""
        ...

    def switch_off(self) -> None:
        """Switch off every output whose safe state is off, in a message each; levels that stay on are left alone."""
        ...

    def make_safe(self) -> None:
        """Switch off what goes off, then bring every other output to its safe level, at once."""
        ...

    def close(self) -> None:
        """Make safe and give the link back."""
        ...

    def release(self) -> None:
        """Give the link back, with the outputs as they are."""
        ...


@runtime_checkable
class Generator(Instrument, Protocol):
    """Plays bursts on its outputs when triggered."""

    outputs: Mapping[str, OutputSpec]

    def load(self, bursts: Mapping[str, Burst]) -> dict[str, Array]:
        """Upload; returns the samples [V] as its converters have them.  LimitError beyond range or memory."""
        ...

    def arm(self, *, source: str) -> None:
        """Outputs on, idling, waiting for a trigger from `source`: "external" or "software"."""
        ...

    def fire(self) -> None:
        """Trigger it by software; its trigger output triggers the others."""
        ...

    def wait(self, seconds: float) -> None:
        """Until the burst has ended; DeadlineError if it has not by then."""
        ...


@runtime_checkable
class Digitizer(Instrument, Protocol):
    """Records windows of its inputs, all of them at once."""

    inputs: Mapping[str, InputSpec]

    def prepare(self, window: Window, trigger: str, level: float) -> float:
        """Set time base, ranges and trigger (a terminal, or "external", at `level` [V]); the rate it took [Hz]."""
        ...

    def arm(self) -> None:
        """Wait for one trigger, from now on."""
        ...

    def wait(self, seconds: float) -> None:
        """Until the record is complete; DeadlineError if no trigger came by then."""
        ...

    def read(self, terminals: Sequence[str]) -> dict[str, Record]:
        """The records of these inputs."""
        ...


@runtime_checkable
class LevelSource(Instrument, Protocol):
    """Holds slow voltages; `levels` are its terminals with their range (low, high) [V].

    `held`: the safe levels [V] of the terminals that stay on; the others are off when they are safe.
    """

    levels: Mapping[str, tuple[float, float]]
    held: Mapping[str, float]

    def set_levels(self, volts: Mapping[str, float]) -> dict[str, float]:
        """Set terminals [V]; returns what they read back as.  LimitError outside the range, and nothing moves."""
        ...

    def get_levels(self, terminals: Sequence[str]) -> dict[str, float]:
        """What terminals read back as [V]."""
        ...
