"""The one physics behind all virtual instruments: oscillators, the leads to them, and lines that carry triggers.

The oscillators move in continuous time under what the outputs play; the motion is computed when somebody wants to see
it, up to the present and never beyond, so that an output that is switched off in the middle of a burst has been.
When no output has moved for `ring_down` seconds they are at rest, at the place where the levels of the outputs hold
them, as if they had been damped between shots: a shot starts from rest if it comes later than that.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from simbackend.virtual_bench.world.clock import Clock
from simbackend.virtual_bench.world.leads import Line, Sense
from simbackend.virtual_bench.world.motion import Motion, Oscillators
from simbackend.virtual_bench.world.signals import Signal, Track, Varying

_NEAR = 0.5  # V; how near a level must be for a switch to take it
_REMEMBERED = 1.0  # s; more than any delay of a lead


class Watcher(Protocol):
    """Somebody who must see the motion before it is forgotten."""

    def poll(self) -> object:
        """Take the record if there is one to be taken."""
        ...

    @property
    def span(self) -> float:
        """How long after a trigger it looks [s]."""
        ...

    @property
    def pending(self) -> bool:
        """True if it has seen a trigger, and not yet all that it wants to see."""
        ...


class World:
    """See the module; `senses`: leads of inputs by terminal, such as `scope1.ch1`; `switched`: those at a switch.

    All under `clock.lock`.
    """

    def __init__(
        self,
        oscillators: Oscillators,
        senses: dict[str, Sense | Line],
        clock: Clock,
        ring_down: float,
        switched: dict[str, list[Sense]] | None = None,
    ) -> None:
        self.clock, self.ring_down = clock, ring_down
        self._oscillators, self._senses, self._switched = oscillators, senses, switched or {}
        self._motion: Motion | None = None
        self._lines: defaultdict[str, Track] = defaultdict(Track)
        self._pulses: defaultdict[str, list[float]] = defaultdict(list)
        self._listeners: defaultdict[str, list[tuple[float, Callable[[float], None]]]] = defaultdict(list)
        self._watchers: list[Watcher] = []
        self._depth = 0
        self.overdrive: dict[str, float] = {}

    def output(self, terminal: str) -> Track:
        """What an output plays [V without load]; one that leads nowhere plays for itself.

        One that leads to a parameter sets it: a generator may hold a level.
        """
        track = self._oscillators.tracks.setdefault(terminal, Track())
        if terminal in self._oscillators.sources:
            self._oscillators.sources[terminal] = track
        return track

    def volts(self, terminal: str) -> float:
        """What an output or a source is at now [V without load]."""
        source = self._oscillators.sources.get(terminal)
        return float((self.output(terminal) if source is None else source).at(self.clock.now()))

    def line(self, name: str) -> Track:
        """A logic line, such as `awg1.sync`."""
        return self._lines[name]

    def listen(self, line: str, delay: float, react: Callable[[float], None]) -> None:
        """Call `react` with the moment when a pulse of `line` arrives, `delay` seconds later."""
        self._listeners[line].append((delay, react))

    def watch(self, watcher: Watcher) -> None:
        """Let somebody see all that happens."""
        self._watchers.append(watcher)

    def pulses(self, line: str) -> Sequence[float]:
        """Moments of the latest pulses on a line [s]."""
        return self._pulses[line]

    def pulse(self, line: str, moment: float) -> None:
        """Send a trigger pulse down a line."""
        self._pulses[line] = [*self._pulses[line][-63:], moment]
        for delay, react in self._listeners[line]:
            react(moment + delay)

    @contextmanager
    def event(self, moment: float, *, fires: bool = False) -> Iterator[None]:
        """Around whatever changes an output at `moment`, with all that follows from it at once; `fires`: a shot."""
        if self._depth == 0:
            self._oscillators.shots += fires
            self._see(moment)
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0 and self.clock.skips:
                done = [track.still_from for track in self._oscillators.tracks.values()]
                end = max([moment, *(time for time in done if math.isfinite(time))])
                span = max((watcher.span for watcher in self._watchers), default=0.0)
                self.clock.skip_to(end + span + self.ring_down)
            self.clock.lock.notify_all()

    def at_rest(self, moment: float) -> bool:
        """True if no output has moved for the ring-down time."""
        return self._oscillators.still_from() + self.ring_down <= moment

    def signal(self, terminal: str, until: float, corner: float = 0.0) -> Signal:
        """What arrives at an input, up to `until` (or the present); `corner` [Hz] of its AC coupling."""
        until = min(until, self.clock.now())
        lead = self._senses.get(terminal) or self._connected(terminal, until)
        boost = self.overdrive.get(terminal, 1.0)
        if lead is None:
            return Signal(np.array([until]), np.zeros(1))
        if isinstance(lead, Line):
            return lead.signal(self._lines[lead.line], until)
        if self._motion is None:
            self._motion = Motion(self._oscillators, until)
        self._extend(self._motion, until)
        return lead.signal(self._motion, corner, boost)

    def keep_up(self) -> None:
        """Compute the motion up to now, so that nobody has to wait for much of it."""
        now = self.clock.now()
        if self._motion is not None and self._is_wanted(now):
            self._extend(self._motion, now)

    def _connected(self, terminal: str, moment: float) -> Sense | None:
        """The lead that a switch connects to an input at a moment, if any."""
        sources = self._oscillators.sources
        for lead in self._switched.get(terminal, ()):
            if all(name in sources and abs(sources[name].at(moment) - volts) < _NEAR for name, volts in lead.when):
                return lead
        return None

    def turn(self, terminal: str, moving: Varying) -> None:
        """Set a source to another voltage from now on."""
        now = self.clock.now()
        for watcher in self._watchers:
            watcher.poll()
        motion = self._motion if self._is_wanted(now) else None
        if motion is not None and now > motion.end:
            self._extend(motion, now)
        self._oscillators.turn(terminal, moving, now)
        if motion is not None:
            motion.renew()
        self._motion = motion

    def _is_wanted(self, moment: float) -> bool:
        """True if the motion is not over, or somebody has not seen all of it."""
        return not self.at_rest(moment) or any(item.pending for item in self._watchers)

    def _see(self, moment: float) -> None:
        for watcher in self._watchers:
            watcher.poll()
        if self._motion is not None and self._is_wanted(moment):
            self._extend(self._motion, min(moment, self.clock.now()))
            return
        self._motion = Motion(self._oscillators, moment)
        for track in (*self._oscillators.tracks.values(), *self._lines.values()):
            track.forget(moment - _REMEMBERED)

    def _extend(self, motion: Motion, until: float) -> None:
        motion.extend(min(until, self._oscillators.still_from() + self.ring_down))
        if self.at_rest(until):
            motion.rest(until)
