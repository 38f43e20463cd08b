"""The memory of a digitizer: armed, triggered, and in the end a record of what came before and after the trigger."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array
from simbackend.imperfections.draws import stream
from simbackend.virtual_bench.world.signals import Signal
from simbackend.virtual_bench.world.world import World


class State(enum.Enum):
    """The states of a digitizer."""

    STOPPED = "stopped"
    FILLING = "filling"  # what lies before the trigger is not there yet; triggers are ignored
    WAITING = "waiting"
    TRIGGERED = "triggered"


@dataclass(frozen=True, slots=True)
class Setup:
    """When to trigger, and what to keep: seconds `before` and `after` the trigger.

    `source`: an input, such as `scope1.ch4`, or a line that is wired to the trigger input; `level` [V at the input].
    """

    source: str
    level: float
    rising: bool
    before: float
    after: float
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Record:
    """Acquisition `number`: the signals (by input) around `trigger` [s]."""

    number: int
    trigger: float
    signals: dict[str, Signal]

    def volts(self, terminal: str, times: Array, noise: float, seed: int) -> Array:
        """The voltage at `times` [s after the trigger], with noise [V rms] that is the same at every reading."""
        volts = self.signals[terminal].at(self.trigger + times)
        if noise:
            volts = volts + noise * stream(seed, "noise", terminal, self.number).standard_normal(len(times))
        return volts


class Recorder:
    """See the module.  `corners`: the AC coupling [Hz] of inputs that have it; `jitter` [s rms] of the trigger."""

    def __init__(self, world: World, inputs: Sequence[str], seed: int = 0, jitter: float = 0.0) -> None:
        self._world, self._inputs, self._seed, self._jitter = world, tuple(inputs), seed, jitter
        self.corners: dict[str, float] = {}
        self.record: Record | None = None
        self._setup: Setup | None = None
        self._armed_at = 0.0
        self._trigger: float | None = None
        self._count = 0
        world.watch(self)

    @property
    def pending(self) -> bool:
        """True from the trigger to the end of the record."""
        return self._trigger is not None

    @property
    def span(self) -> float:
        """How long after a trigger it looks, while armed."""
        return 0.0 if self._setup is None else self._setup.after + self._setup.delay

    def arm(self, setup: Setup) -> None:
        """Wait for one trigger."""
        self._setup, self._trigger, self.record = setup, None, None
        self._armed_at = self._world.clock.now()
        self._world.clock.skip_to(self._armed_at + setup.before)

    def stop(self) -> None:
        """Wait no longer."""
        self._setup = self._trigger = None

    def force(self) -> None:
        """Trigger now, if it is armed."""
        if self._setup is not None and self._trigger is None:
            self._trigger = max(self._world.clock.now(), self._armed_at + self._setup.before)
            self._world.clock.skip_to(self._trigger + self._setup.after)
            self.poll()

    def poll(self) -> State:
        """Look for the trigger and the end of the record, and say what it is doing."""
        setup, now = self._setup, self._world.clock.now()
        if setup is None:
            return State.STOPPED
        ready = self._armed_at + setup.before
        if self._trigger is None and now >= ready:
            self._trigger = self._search(setup, ready, now)
        if self._trigger is None:
            return State.WAITING if now >= ready else State.FILLING
        end = self._trigger + setup.after
        if now < end:
            return State.TRIGGERED
        self._keep(self._trigger, end)
        return State.STOPPED

    def keep_latest(self, setup: Setup) -> None:
        """A record that ends now, with no trigger."""
        now = self._world.clock.now()
        self._keep(now - setup.after, now)

    def complete(self, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Wait for the trigger and the end of the record."""
        self._world.clock.wait_for(lambda: self.poll() is State.STOPPED or cancelled())

    def _keep(self, trigger: float, end: float) -> None:
        self._count += 1
        signals = {item: self._world.signal(item, end, self.corners.get(item, 0.0)) for item in self._inputs}
        self.record = Record(self._count, trigger, signals)
        self.stop()

    def _search(self, setup: Setup, ready: float, now: float) -> float | None:
        if setup.source in self._inputs:
            signal = self._world.signal(setup.source, now, self.corners.get(setup.source, 0.0))
            found = signal.crossing(setup.level, setup.rising, ready)
        else:
            found = next((pulse for pulse in self._world.pulses(setup.source) if ready <= pulse <= now), None)
        if found is None:
            return None
        late = self._jitter and self._jitter * float(stream(self._seed, "jitter", self._count).standard_normal())
        return found + setup.delay + late


def codes_of(volts: Array, step: float, zero: float, lowest: int, highest: int) -> Array:
    """Codes of an ADC whose code `zero` is 0 V, `step` volts apart, clipped at its ends."""
    return np.clip(np.rint(volts / step + zero), lowest, highest)
