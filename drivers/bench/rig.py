"""A bench as a rig: shots become bursts, triggers and records.

A shot plays all of its passes as one burst on every output, started by one trigger; the state is reversed by drive, so
nothing has to happen in between.  Outputs idle at their safe level before and after, and are loaded with the next shot
while the digitizers are read.  A shot begins when the oscillators have come to rest, `ring_down` after the last burst
has ended, and its boxes can be armed again.  A reading at the end of a converter's range is an error: what was there is
not known.
"""

from __future__ import annotations

import atexit
import math
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from drivers.bench.arming import in_turn
from drivers.bench.bursts import bursts_of, check_shared
from drivers.bench.capabilities import capabilities_of
from drivers.bench.driven import Driven, outputs_of
from drivers.bench.side_by_side import SideBySide
from drivers.bench.views import Eyes, View, check_views, views_of
from drivers.bench.wiring import wiring_of
from drivers.guardian import Guardian
from drivers.making_safe import SafeLevels, check_ramps, drives, ramps_of, try_all
from drivers.roles import Digitizer, Generator, Instrument, LevelSource
from drivers.transport import TrafficLog
from drivers.transport.permit import StoppedError, as_long_as
from drivers.transport.replayed import ReplayedTraffic
from labrhel.arrays import Array, Arrays
from labrhel.config.station import StationDocument
from labrhel.errors import DeadlineError, NotSafeError, ProgramError
from labrhel.model.interface import Model
from labrhel.safety.ending import Ending
from labrhel.shots.capture import Capture, PassCapture, Trace, together
from labrhel.shots.compiled import CompiledShot
from labrhel.shots.program import Rest

_PATIENCE = 5.0  # s beyond its length that a shot may take
_FRESH = 2.0  # s after which another attempt to make a bench safe is worth its time
_GIVEN_UP = 15.0  # s for which what drives nothing, and did not answer, is left alone: each attempt takes a second


class BenchRig:
    """`labrhel.shots.rig.Rig` of the instruments of a station, for kicks every `step` [model time].

    `guardian` makes the bench safe if this process dies; `log` is that of the instruments' links, closed with them.
    `clock` [s] and `sleep` are those of the host.  After a failure the bench is safe.
    """

    def __init__(
        self,
        document: StationDocument,
        instruments: Mapping[str, Instrument],
        model: Model,
        step: float,
        name: str = "bench",
        *,
        guardian: Guardian | None = None,
        log: TrafficLog | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        check_shared(document)
        check_views(document)
        check_ramps(document, instruments)
        self.wiring = wiring_of(document, model)
        self.capabilities = capabilities_of(document, instruments, model, step, name)
        self._terminals = document.terminals
        self._station, self._instruments = document.station.rig, instruments
        self._step, self._clock, self._sleep = step * model.time_unit, clock, sleep
        self._generators = {key: item for key, item in instruments.items() if isinstance(item, Generator)}
        self._digitizers = {key: item for key, item in instruments.items() if isinstance(item, Digitizer)}
        self._eyes = Eyes(self._station, self._digitizers, self._step)
        self._guardian, self._log = guardian, log
        self._safe = SafeLevels(ramps_of(document), clock=clock, sleep=sleep)
        self._levels: dict[str, dict[str, float]] = {}  # what was configured, by source
        self._driven = Driven(outputs_of(document))
        self._closed = False
        self._failed: tuple[float, Exception] | None = None  # when making it safe failed last [s], and how
        self._silent: dict[str, float] = {}  # what drives nothing and did not answer when it was made safe last [s]
        self._made_safe = 0  # how often; what began before the last time must not go on
        self._connected: dict[str, float] = {}  # levels of the switches
        self._restored = 0  # the last time after which the levels were turned back
        self._arming, self._side_by_side = in_turn(self.capabilities.triggers), SideBySide()
        self._latest = document.station.rig.trigger.latest
        self._idles_on = any(section.safe for section in document.station.rig.ports.values())
        self._cold = self._idles_on  # the first arming takes outputs from off to where they idle, which pushes
        self._moved = clock()  # when an output moved last
        atexit.register(self._close_at_exit)

    def configure(self, knobs: Arrays) -> dict[str, Array]:
        """Set levels [V]; returns what they read back as."""
        wanted: dict[str, dict[str, float]] = {}
        for name, value in knobs.items():
            knob, section = self.capabilities.knob(name), self._station.knobs[name]
            if np.shape(value) not in ((), knob.shape):
                raise ProgramError(f"knob {name} has shape {knob.shape}, or takes one number; not {np.shape(value)}")
            volts = np.broadcast_to(value, knob.shape).ravel()
            for terminal, level in zip(section.terminals, volts, strict=True):
                self._terminals.require(terminal, float(level), float(level), name)
                box, _, own = terminal.partition(".")
                wanted.setdefault(box, {})[own] = float(level)
        begun = self._made_safe
        with self._safe_if_it_fails(), as_long_as(lambda: self._require_going_on(begun)):
            got = self._set_levels(wanted)
            self._require_going_on(begun)
        for box, levels in wanted.items():
            self._levels.setdefault(box, {}).update(levels)
        return {name: self._levels_of(name, got) for name in knobs}

    def _turn_back(self) -> None:
        """The knobs to where they were configured, each from the side that its approach says."""
        beyond: dict[str, float] = {}
        for name, section in self._station.knobs.items():
            approach = self.wiring.knobs[name].approach
            for terminal in section.terminals if approach.overshoot else ():
                box, _, own = terminal.partition(".")
                if own in self._levels.get(box, {}):
                    limits = self._terminals.of_all([terminal])
                    beyond[terminal] = float(approach.beyond(np.array(self._levels[box][own]), *limits))
        self._set_levels(_by_box(beyond))
        self._set_levels(self._levels)

    def _set_levels(self, wanted: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        got = {}
        self._driven.told({f"{box}.{own}": volts for box, levels in wanted.items() for own, volts in levels.items()})
        for box, levels in wanted.items():
            source = self._instruments[box]
            assert isinstance(source, LevelSource)
            got |= {f"{box}.{own}": level for own, level in source.set_levels(levels).items()}
        if wanted:
            self._sleep(self._station.settle)
        return got

    def read(self, names: Sequence[str]) -> dict[str, Array]:
        """Knobs, as their levels read back [V]."""
        found = {}
        for name in names:
            self.capabilities.knob(name)
            got = {}
            for terminal in self._station.knobs[name].terminals:
                box, _, own = terminal.partition(".")
                source = self._instruments[box]
                assert isinstance(source, LevelSource)
                got[terminal] = source.get_levels([own])[own]
            found[name] = self._levels_of(name, got)
        return found

    def settings(self) -> dict[str, dict[str, Any]]:
        """What the instruments are set to, by instrument and parameter (`labrhel.shots.rig.OfInstruments`)."""
        from drivers.bench.settings import settings_of  # QCoDeS takes half a second to import

        return settings_of(self._instruments)

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        """Run the shots in turn; made safe meanwhile, by whomever, none is fired any more: InstrumentError."""
        begun = self._made_safe
        following: Sequence[CompiledShot | None] = [*shots[1:], *([None] if shots else [])]
        return [
            self._run_shot(shot, after, begun, is_loaded=number > 0)
            for number, (shot, after) in enumerate(zip(shots, following, strict=True))
        ]

    def make_safe(self) -> None:
        """Every output to its safe level, in the station's `safe_order`; all are tried whatever becomes of the others.

        Raises NotSafeError, naming outputs that may be on; another error if what failed drives none.  What goes off
        goes first, then levels are ramped (drivers.making_safe).  The next `run` turns the knobs back to where they
        were configured.
        """
        self.make_safe_within(math.inf)

    def make_safe_within(self, seconds: float) -> None:
        """The same, with no more than so many seconds for all ramps together, as in an emergency."""
        if self._closed:
            return self._say_what_is_left("it was closed so, and is left to its guardian")
        self._made_safe += 1
        self._connected, self._cold = {}, self._idles_on
        moves = self._driven.moves()
        groups = [[box for box in group if self._may_answer(box)] for group in self._in_safe_order()]
        problems = self._safe.make_safe(groups, seconds)
        self._silent |= {name: self._clock() for name in problems if not drives(self._instruments[name])}
        self._driven.seen_safe(self._instruments.keys() - problems.keys(), moves)
        self._failed = None
        for error in problems.values():
            self._failed = self._clock(), error
            self._say_what_is_left(str(error), error)
            raise error
        return None

    def _say_what_is_left(self, why: str, cause: Exception | None = None) -> None:
        """Raises NotSafeError if anything may be on; in a replay nothing can be."""
        if isinstance(self._log, ReplayedTraffic):
            return
        if left := self._driven.left():
            guarded = "" if self._guardian is None else f"; its guardian (process {self._guardian.pid}) keeps trying"
            raise NotSafeError(left, f"{why}{guarded}; switch them off by hand") from cause

    def _may_answer(self, box: Instrument) -> bool:
        """False for what drives nothing and did not answer just now: a run whose scope is dead has to end."""
        return self._clock() - self._silent.get(box.name, -math.inf) > _GIVEN_UP

    def _in_safe_order(self) -> list[list[Instrument]]:
        """Groups one after the other, each at once: as the station says, then the other generators, then levels."""
        named = [[self._instruments[name] for name in group] for group in self._station.safe_order]
        others = [item for item in self._instruments.values() if not any(item in group for group in named)]
        levels: list[Instrument] = [item for item in others if isinstance(item, LevelSource)]
        return [*named, [item for item in others if item not in levels], levels]

    @contextmanager
    def _safe_if_it_fails(self) -> Iterator[None]:
        """The first failure is what matters, unless outputs may be on: NotSafeError, after which nothing is retried."""
        good = False
        with Ending(lambda: None if good else self.make_safe()):
            yield
            good = True

    def _require_going_on(self, begun: int) -> None:
        if self._made_safe != begun:
            raise StoppedError(f"{self.capabilities.rig} was made safe while it was in use: its outputs are safe")

    def close(self) -> None:
        """Make safe and give the instruments back; the guardian is released only if nothing may be on any more.

        Where making it safe has just failed it is left to the guardian at once, which begins with the same.
        """
        atexit.unregister(self._close_at_exit)
        first = try_all([self._make_safe_at_last, *(item.release for item in self._instruments.values())])
        self._closed = True
        self._side_by_side.close()
        if self._guardian is not None:
            if left := self._driven.left():
                self._guardian.take_over(left, first.why if isinstance(first, NotSafeError) else str(first))
            else:
                self._guardian.release()
        if self._log is not None:
            self._log.close()
            if self._log.problem:
                print(f"warning: {self._log.problem}", file=sys.stderr)
        if first is not None:
            raise first

    def _close_at_exit(self) -> None:
        """For a program that ends without closing it; QCoDeS would do so with a traceback of each instrument."""
        try:
            self.close()
        except Exception as error:
            print(f"error: {error}", file=sys.stderr)

    def _make_safe_at_last(self) -> None:
        if self._failed is not None and self._guardian is not None and self._clock() - self._failed[0] < _FRESH:
            self._say_what_is_left(str(self._failed[1]), self._failed[1])
        self.make_safe()

    def _levels_of(self, name: str, got: Mapping[str, float]) -> Array:
        """The volts of a knob, in its shape."""
        volts = np.array([got[terminal] for terminal in self._station.knobs[name].terminals])
        return volts.reshape(self.capabilities.knob(name).shape)

    def _run_shot(self, shot: CompiledShot, after: CompiledShot | None, begun: int, *, is_loaded: bool) -> Capture:
        """A shot; `after`, if there is one, is loaded while this one is read."""
        prepare = self._start_of(shot)
        if self._guardian is not None:
            self._guardian.renew()
        with self._safe_if_it_fails(), as_long_as(lambda: self._require_going_on(begun)):
            self._require_going_on(begun)
            if self._restored != begun:
                self._turn_back()
                self._restored = begun
            views = self._views(shot)
            if not is_loaded:
                self._side_by_side.do(self._loads_of(shot))
            left = shot.repeats * len(views)
            repeats = []
            for _ in range(shot.repeats):
                seen = []
                for view in views:
                    left -= 1
                    seen.append(self._fire(shot, prepare, view, begun, None if left else after))
                repeats.append(_as_one(seen))
        passes = tuple(together(readings) for readings in zip(*(fired.passes for fired in repeats), strict=True))
        ran = len(shot.passes) * len(views)
        return Capture(shot, passes, ran, repeats[0].planned, repeats[0].started)

    def _start_of(self, shot: CompiledShot) -> Rest:
        """How a shot begins; ProgramError for one that this bench cannot run."""
        if not isinstance(shot.prepare, Rest):
            raise ProgramError("a bench starts its shots from rest")
        if abs(shot.dt * self.capabilities.time_unit - self._step) > 1e-9 * self._step:
            raise ProgramError(f"the bench was opened for another step than {shot.dt:g}: open it with that")
        return shot.prepare

    def _loads_of(self, shot: CompiledShot) -> dict[str, Callable[[], object]]:
        """By box, what makes it ready for a shot: its bursts loaded, or its window set; all of it is in the ledger."""
        self._start_of(shot)
        loads = bursts_of(shot, self._station.ports, self._terminals, self._step)
        for box, bursts in loads.items():
            self._driven.told({f"{box}.{own}": burst.idle for own, burst in bursts.items()})
        jobs: dict[str, Callable[[], object]] = {
            box: partial(self._generators[box].load, bursts) for box, bursts in loads.items()
        }
        view = self._views(shot)[0]
        for box in self._eyes.terminals(view):
            jobs[box] = _one_after_the_other(jobs.get(box), partial(self._prepare, box, shot, view))
        return jobs

    def _prepare(self, box: str, shot: CompiledShot, view: View) -> None:
        """Set the window of a digitizer; one that has it already is told nothing."""
        seen, length = self._station.trigger.seen_by[box], self._step * sum(item.steps for item in shot.passes)
        self._digitizers[box].prepare(self._eyes.window(box, view, length), seen.terminal, seen.level)

    def _views(self, shot: CompiledShot) -> list[View]:
        read = [name for name in self._station.channels if any(name in item.acquire.channels for item in shot.passes)]
        return views_of(self._station, read) or [View({}, ())]

    def _fire(self, shot: CompiledShot, prepare: Rest, view: View, begun: int, after: CompiledShot | None) -> _Fired:
        """What is seen of a shot that is loaded; `after` is loaded meanwhile, once the burst has ended."""
        fired_by = self._station.trigger.fired_by
        pause = max(self.capabilities.pause, prepare.wait * self.capabilities.time_unit)
        length = self._step * sum(item.steps for item in shot.passes)
        if view.levels != self._connected:
            self._connected = {}
            for terminal, volts in view.levels.items():
                self._terminals.require(terminal, volts, volts, "a switch")
            self._set_levels(_by_box(view.levels))
            self._connected = dict(view.levels)
        boxes = self._eyes.terminals(view)
        for box in boxes:
            self._prepare(box, shot, view)
        planned = self._rested(pause)
        self._arm(boxes)
        if self._cold:
            self._moved, self._cold = self._clock(), False
            planned = self._rested(pause)
        self._require_going_on(begun)  # after the arming: whoever makes it safe from now on disarms this generator
        started = self._clock()
        self._generators[fired_by].fire()
        if not (late := self._clock() - planned) <= self._latest:
            raise DeadlineError(
                f"a shot started {late:.3g} s after it was due, and trigger.latest allows {self._latest:g} s: look for "
                "what holds the links or the computer up"
            )
        seconds = length + _PATIENCE
        loads = {} if after is None else self._loads_of(after)  # made while the burst is played
        self._generators[fired_by].wait(seconds)
        self._moved = self._clock()
        # A new amplitude may make an output click, so nothing is loaded before everything is on record.
        self._side_by_side.do({box: partial(self._digitizers[box].wait, seconds) for box in boxes})
        read: dict[str, list[dict[str, Trace]]] = {}
        jobs = {
            box: _one_after_the_other(partial(self._read, box, inputs, shot, view, read), loads.pop(box, None))
            for box, inputs in boxes.items()
        }
        self._side_by_side.do(jobs | loads)
        return _Fired(self._eyes.together(shot, list(read.values())), planned, started)

    def _read(
        self, box: str, inputs: Sequence[str], shot: CompiledShot, view: View, read: dict[str, list[dict[str, Trace]]]
    ) -> None:
        """Add what a digitizer has seen of a shot, pass by pass, to what was `read`."""
        read[box] = self._eyes.read(shot, view, box, self._digitizers[box].read(inputs))

    def _rested(self, pause: float) -> float:
        """Wait until `pause` [s] after an output moved last; when that was over [s]."""
        due = max(self._moved + pause, self._clock())
        self._sleep(max(0.0, due - self._clock()))
        return due

    def _arm(self, recording: Collection[str]) -> None:
        """In the declared order: a box that plays waits for its trigger, one of those `recording` for its own."""
        trigger = self._station.trigger
        playing = {trigger.fired_by, *(item.terminal.partition(".")[0] for item in self._station.ports.values())}

        def arm(box: str) -> None:
            if box in playing:
                self._generators[box].arm(source="software" if box == trigger.fired_by else "external")
            if box in recording:
                self._digitizers[box].arm()

        for turn in self._arming:
            self._side_by_side.do({box: partial(arm, box) for box in turn if box in playing or box in recording})


@dataclass(frozen=True, slots=True)
class _Fired:
    """Readings of one firing of a shot, when it was due, and when it was fired [s, the host's clock]."""

    passes: list[PassCapture]
    planned: float
    started: float


def _as_one(seen: Sequence[_Fired]) -> _Fired:
    """What all views together have seen of a shot."""
    passes = [
        PassCapture({name: trace for part in parts for name, trace in part.traces.items()})
        for parts in zip(*(fired.passes for fired in seen), strict=True)
    ]
    return replace(seen[0], passes=passes)


def _one_after_the_other(*jobs: Callable[[], object] | None) -> Callable[[], object]:
    """Both jobs of one box; None is none."""

    def both() -> None:
        for job in jobs:
            if job is not None:
                job()

    return both


def _by_box(levels: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Levels by INSTRUMENT.TERMINAL, by instrument."""
    boxes: dict[str, dict[str, float]] = {}
    for terminal, volts in levels.items():
        box, _, own = terminal.partition(".")
        boxes.setdefault(box, {})[own] = volts
    return boxes
