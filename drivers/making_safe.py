"""How the instruments of a bench are made safe: first what goes off, then what stays on at a level.

1. Every output whose safe state is off gets OFF, in a message of its own; nothing comes before that.
2. Levels that are safe are ramped there from where they are, low order first, those of one order together:

       volts(t) = start + (safe - start) * t / seconds

   in as many steps as the wire allows, and stay on.  A ramp that fails ends in the level, set at once.

A ramp never delays an OFF: it begins when every OFF has been tried.  `longest` cuts all ramps short together, as the
emergency stop does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from drivers.roles import Instrument, LevelSource
from labrhel.errors import LabrhelError

_PACE = 2e-3  # s between steps at least: a wire that answers faster is not flooded


@dataclass(frozen=True, slots=True)
class Ramp:
    """Way of a level to its safe value: `seconds` long, in the turn of its `order`; the default is at once, and first."""

    seconds: float = 0.0
    order: int = 0


AT_ONCE = Ramp()


def make_bench_safe(
    groups: Iterable[Sequence[Instrument]],
    ramps: Mapping[str, Ramp],
    *,
    longest: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Switch off group after group, then ramp; all is tried, and the first failure raised.

    `ramps` by INSTRUMENT.TERMINAL; `longest` [s] for all of them together.
    """
    groups = [list(group) for group in groups]
    boxes = [box for group in groups for box in group]
    off = [lambda group=group: at_once([box.switch_off for box in group]) for group in groups]
    try_all([*off, lambda: ramp_levels(boxes, ramps, longest=longest, clock=clock, sleep=sleep)])


def ramp_levels(
    boxes: Iterable[Instrument],
    ramps: Mapping[str, Ramp],
    *,
    longest: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Bring every level that stays on to its safe value, as `make_bench_safe` does when what goes off is off."""
    latest = clock() + longest
    by_order: dict[int, dict[str, tuple[LevelSource, dict[str, float]]]] = {}
    for box in boxes:
        if isinstance(box, LevelSource):
            for own in box.held:
                ramp = ramps.get(f"{box.name}.{own}", AT_ONCE)
                _, seconds = by_order.setdefault(ramp.order, {}).setdefault(box.name, (box, {}))
                seconds[own] = ramp.seconds
    try_all(
        lambda parts=parts: at_once(
            [lambda box=box, seconds=seconds: _ramp(box, seconds, latest, clock, sleep) for box, seconds in parts]
        )
        for parts in (list(by_order[order].values()) for order in sorted(by_order))
    )


def _ramp(
    box: LevelSource,
    seconds: Mapping[str, float],
    latest: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    """The levels of one source and one order."""
    try:
        start, begun = box.get_levels(list(seconds)), clock()
        lengths = {own: min(length, latest - begun) for own, length in seconds.items()}
        while True:
            gone = clock() - begun
            done = {own: 1.0 if gone >= length else gone / length for own, length in lengths.items()}
            box.set_levels({own: start[own] + share * (box.held[own] - start[own]) for own, share in done.items()})
            if min(done.values()) == 1.0:
                return
            sleep(_PACE)
    except LabrhelError:
        box.make_safe()


def at_once(actions: Sequence[Callable[[], None]]) -> None:
    """Do all, each in a thread of its own, since one may wait for its wire; then raise the first failure."""
    with ThreadPoolExecutor(max(1, len(actions))) as pool:
        try_all([pool.submit(action).result for action in actions])


def try_all(actions: Iterable[Callable[[], None]]) -> None:
    """Do all, whatever fails; then raise the first failure."""
    first: LabrhelError | None = None
    for action in actions:
        try:
            action()
        except LabrhelError as error:
            first = first or error
    if first is not None:
        raise first
