"""How the instruments of a bench are made safe: first what goes off, then what stays on at a level.

1. Every output whose safe state is off gets OFF, in a message of its own; nothing comes before that.
2. Levels that are safe are ramped there from where they are, low order first, those of one order together:

       volts(t) = start + (safe - start) * t / seconds

   in as many steps as the wire allows, and stay on.  A ramp that fails ends in the level, set at once.

A ramp never delays an OFF: it begins when every OFF has been tried, or takes longer than `TURN`.

Nothing here stands behind anything that may fail: every instrument is tried whatever becomes of the others, an
exception of any kind is one instrument's own, and where no thread can be had, as at the end of an interpreter, one is
tried after the other.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass

from drivers.roles import Digitizer, Generator, Instrument, LevelSource
from drivers.transport.permit import making_safe
from labrhel.config.station import StationDocument
from labrhel.errors import ConfigurationError

TURN = 2.0
"""Seconds that one group of instruments may keep the next waiting; in an emergency a quarter of what ramps may take."""

_PACE = 2e-3  # s between steps at least: a wire that answers faster is not flooded
_THERE = 5e-3  # V from its safe value at which a level is set without a ramp


@dataclass(frozen=True, slots=True)
class Ramp:
    """Way of a level to its safe value: `seconds` long, in the turn of its `order`; by default at once, and first.

    It begins within the `limits` [V], wherever the level was turned by hand.
    """

    seconds: float = 0.0
    order: int = 0
    limits: tuple[float, float] = (-math.inf, math.inf)

    def begin(self, volts: float) -> float:
        """Where it begins for a level at `volts`."""
        return min(max(volts, self.limits[0]), self.limits[1])


AT_ONCE = Ramp()


def ramps_of(document: StationDocument) -> dict[str, Ramp]:
    """Those of a station file, by INSTRUMENT.TERMINAL."""
    allowed = document.terminals.of_all
    return {
        terminal: Ramp(item.time, item.order, allowed([terminal]))
        for terminal, item in document.station.rig.ramps.items()
    }


def check_ramps(document: StationDocument, instruments: Mapping[str, Instrument]) -> None:
    """Raises ConfigurationError, with its line, for a ramp of what is no level, or goes off."""
    for terminal in document.station.rig.ramps:
        box, _, own = terminal.partition(".")
        source = instruments.get(box)
        with document.at("rig", "ramps", terminal):
            if not isinstance(source, LevelSource) or own not in source.levels:
                raise ConfigurationError(
                    f"there is no level {terminal}: outputs of generators idle where they are safe"
                )
            if own not in source.held:
                raise ConfigurationError(
                    f"{terminal} is switched off when it is made safe, at once: to be ramped it needs a safe level, "
                    f"init: {{safe: {{{own}: ...}}}} of {box}"
                )


class SafeLevels:
    """The ramps of a bench, by INSTRUMENT.TERMINAL; one way to the safe levels at a time, whoever asks for it.

    `clock` [s] and `sleep` are those of the host.
    """

    def __init__(
        self,
        ramps: Mapping[str, Ramp],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ramps, self._clock, self._sleep = dict(ramps), clock, sleep
        self._one = threading.Lock()
        self._ends: list[float] = []  # by when those who ask want it [s]; the first of them counts

    def make_safe(self, groups: Iterable[Sequence[Instrument]], longest: float = math.inf) -> dict[str, Exception]:
        """Switch off group after group, then ramp, for `longest` [s], all of them; what went wrong, by instrument.

        Nothing waits for an instrument that drives nothing.
        """
        off: dict[str, Attempt] = {}
        boxes: dict[str, Instrument] = {}
        for group in groups:
            boxes |= {box.name: box for box in group}
            off |= {box.name: Attempt(box.switch_off) for box in group}
            wait_for_all((off[name] for name, box in boxes.items() if drives(box)), min(TURN, longest / 4))
        swift = [box for name, box in boxes.items() if off[name].ended]
        late = [box for name, box in boxes.items() if not off[name].ended]
        problems = self.ramp(swift, longest)
        wait_for_all(off.values())
        problems |= self.ramp(late, longest) if late else {}
        return problems | {name: item.error for name, item in off.items() if item.error is not None}

    def ramp(self, boxes: Iterable[Instrument], longest: float = math.inf) -> dict[str, Exception]:
        """Bring every level that stays on to its safe value; what goes off is off.  What went wrong, by instrument.

        All ramps together take `longest` [s], and one that is under way for somebody else has no more time than that.
        """
        end = self._clock() + longest
        self._ends.append(end)
        try:
            with self._one, making_safe():
                return self._in_turn([box for box in boxes if isinstance(box, LevelSource)])
        finally:
            self._ends.remove(end)

    def _in_turn(self, boxes: Sequence[LevelSource]) -> dict[str, Exception]:
        turns: dict[int, dict[str, Callable[[], None]]] = {}
        for box in boxes:
            for order, seconds in self._turns(box).items():
                turns.setdefault(order, {})[box.name] = lambda box=box, seconds=seconds: self._go(box, seconds)
        problems: dict[str, Exception] = {}
        for order in sorted(turns):
            problems |= at_once(turns[order])
        return problems

    def _turns(self, box: LevelSource) -> dict[int, dict[str, float]]:
        """By order, the levels of a source and how long their ramps are [s]."""
        turns: dict[int, dict[str, float]] = {}
        for own in box.held:
            ramp = self._ramps.get(f"{box.name}.{own}", AT_ONCE)
            turns.setdefault(ramp.order, {})[own] = ramp.seconds
        return turns

    def _go(self, box: LevelSource, seconds: Mapping[str, float]) -> None:
        """The levels of one source and one order; whatever fails on the way, they are set at once.

        Without a ramp nothing is asked before they are.
        """
        try:
            if not any(seconds.values()):
                box.set_levels({own: box.held[own] for own in seconds})
                return
            now, begun = box.get_levels(list(seconds)), self._clock()
            start = {own: self._ramps.get(f"{box.name}.{own}", AT_ONCE).begin(volts) for own, volts in now.items()}
            ways = {own: box.held[own] - start[own] for own in seconds}
            lengths = {own: min(long, min(self._ends) - begun) for own, long in seconds.items()}
            lengths = {own: long if abs(ways[own]) > _THERE else 0.0 for own, long in lengths.items()}
            while True:
                now = self._clock()
                gone = math.inf if now >= min(self._ends) else now - begun
                left = {own: 0.0 if gone >= long else 1 - gone / long for own, long in lengths.items()}
                box.set_levels({own: box.held[own] - left[own] * way for own, way in ways.items()})
                if not any(left.values()):
                    return
                self._sleep(_PACE)
        except Exception:  # whatever it is, the level comes first
            box.make_safe()


def drives(box: Instrument) -> bool:
    """Whether it has outputs: what only looks does not."""
    return not isinstance(box, Digitizer) or isinstance(box, (Generator, LevelSource))


class Attempt:
    """One thing done in a thread of its own, or here and now where none can be had; `error` is what it raised.

    It may send what the thread may that begins it (drivers.transport.permit).
    """

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        self.error: Exception | None = None
        self._thread = threading.Thread(target=copy_context().run, args=(self._do,), daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # at the end of an interpreter, or at the limit of the system
            self._thread = None
            self._do()

    def _do(self) -> None:
        try:
            self._action()
        except Exception as error:  # one instrument's own trouble, of whatever kind
            self.error = error

    @property
    def ended(self) -> bool:
        """Whether it has come to its end."""
        return self._thread is None or not self._thread.is_alive()

    def wait(self, seconds: float | None = None) -> None:
        """For its end."""
        if self._thread is not None:
            self._thread.join(seconds)


def wait_for_all(attempts: Iterable[Attempt], seconds: float = math.inf) -> None:
    """Until all have ended, or `seconds` have passed."""
    end = time.monotonic() + seconds
    for attempt in attempts:
        attempt.wait(None if math.isinf(end) else max(0.0, end - time.monotonic()))


def at_once(actions: Mapping[str, Callable[[], None]]) -> dict[str, Exception]:
    """Do all at once, since one may wait for its wire; what went wrong, by name."""
    attempts = {name: Attempt(action) for name, action in actions.items()}
    wait_for_all(attempts.values())
    return {name: item.error for name, item in attempts.items() if item.error is not None}


def try_all(actions: Iterable[Callable[[], None]]) -> Exception | None:
    """Do all, whatever fails; the first failure."""
    first: Exception | None = None
    for action in actions:
        try:
            action()
        except Exception as error:  # the others are to be done
            first = first or error
    return first
