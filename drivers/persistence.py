"""A bench that cannot be made safe at once is tried again: its owner is dead or has given up, and its wires may be cut.

At first four times a second, then every other second, after a minute every ten seconds, for `LONGEST`.  After that the
bench is gone for good, and what it may have on stays in the ledger (labrhel.safety.ledger).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress

from drivers.bench.driven import outputs_of
from drivers.rescue import make_all_safe
from labrhel.config.station import StationDocument
from labrhel.safety.ledger import Remembered

LONGEST = 3600.0
"""Seconds for which a guardian keeps trying."""

_WAIT = 2.0  # s for an owner that is dying to give back what it holds
_PAUSES = 0.25, 2.0, 10.0  # s between two attempts, at first, soon, and at last; each pause half as long again
_SOON = 60.0  # s of pauses after which a bench is hardly about to come back: an attempt takes a core for a while


def keep_trying(
    document: StationDocument,
    owner: int,
    entry: Remembered | None,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Until every instrument was made safe, by this process or by another that took the station up, or it is too late.

    True if it was.
    """
    names: Collection[str] = list(document.station.instruments)
    driving = {terminal.partition(".")[0] for terminal in outputs_of(document)}
    end, pauses = clock() + LONGEST, _pauses()
    is_first = True
    while entry is None or entry.stands:
        problems = make_all_safe(document, names, wait=_WAIT, dying=owner)
        if not driving & problems.keys():
            if entry is not None:
                entry.forget()
            return True
        if clock() > end:
            return False
        names = driving & problems.keys()
        if is_first:
            _say_and_part({name: problems[name] for name in names})
            is_first = False
        sleep(next(pauses))
    return True


def _pauses() -> Iterator[float]:
    pause, soon, longest = _PAUSES
    paused = 0.0
    while True:
        yield pause
        paused += pause
        pause = min(1.5 * pause, soon if paused < _SOON else longest)


def _say_and_part(problems: Mapping[str, str]) -> None:
    """Say what is not safe, and let the terminal go: who reads the owner's errors must not wait for the guardian."""
    with suppress(OSError):
        for name, words in problems.items():
            print(f"guardian: {name} is NOT SAFE: {words}; it keeps trying", file=sys.stderr, flush=True)
    with suppress(OSError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stderr.fileno())
