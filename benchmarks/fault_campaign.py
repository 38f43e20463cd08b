"""Random faults at random instants of runs and calibrations on a virtual bench: what was left on, and what was said.

    python -m benchmarks.fault_campaign [--from SEED] [--count N] [--keep FILE]

A trial is good if no output is on unsaid:

1. within 5 s of the wires being back every output is safe, or the command said OUTPUTS MAY STILL BE ON with status 3;
   where owner and guardian were killed, `labrhel estop` makes it safe;
2. the command ended within 15 s of a fault that ends it, without a traceback, in less than 500 MB.

Time for which the machine stood still (`benchmarks.standstill`) counts as none.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from benchmarks.campaign import Outcome, asked, each, pursue, say, told
from benchmarks.faulty_lab import GIVE_UP, PROCESSES, Attempt, Lab, Trial, estop, lab
from benchmarks.figure import Figure
from benchmarks.standstill import Standstill

BACK = 5.0
"""Seconds after the wires are back by which every output is safe, or was named."""
END = 15.0
"""Seconds after a fault by which the command has ended that the fault ends."""
MEMORY = 500e6
"""Bytes of memory that a command may take."""

_LASTING = 4.0  # s that a command goes on with a fault that does not end it, before it is interrupted
_SAID = "OUTPUTS MAY STILL BE ON: "


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a trial: exit `status` (None: it hung), seconds until it ended and until all was safe, its words."""

    status: int | None
    ended: float
    safe: float | None
    said: bool
    memory: float
    words: str

    def __str__(self) -> str:
        safe = "never" if self.safe is None else f"after {self.safe:.2f} s"
        words = f"status {self.status} after {self.ended:.1f} s, safe {safe}"
        return words + ("; said so" if self.said else "")

    def faults(self, kind: str, *, ends: bool) -> Iterator[str]:
        """What is wrong, for a fault that ends a command, or one that lasts."""
        if self.status is None:
            yield "it hung"
        elif ends and kind not in PROCESSES and self.ended > END:
            yield f"it took {self.ended:.1f} s to end"
        in_time = self.safe is not None and self.safe <= BACK
        if not in_time and not (self.said and self.status == 3):
            yield "outputs were left on unsaid"
        if self.safe is None:
            yield "outputs were left on for good"
        if "Traceback" in self.words:
            yield "a traceback"
        if self.memory > MEMORY:
            yield f"it took {self.memory / 1e6:.0f} MB"


def attempt(lab: Lab, trial: Trial) -> tuple[Found, tuple[str, ...]]:
    """Begin the command, do the harm, wait for the end, mend, and look: what came of it, and what is wrong with it."""
    tried = Attempt(lab, trial)
    with Standstill() as still, closing(tried):
        tried.wait_for_levels()
        begin = time.monotonic()
        tried.harm()
        if not tried.ends and tried.command.ended_within(_LASTING) is None:
            tried.command.send("INT")
        status = tried.command.ended(GIVE_UP)
        ended = (now := time.monotonic()) - begin - still.between(begin, now)
        tried.mend()
        if trial.kind == "both killed":  # nobody is left who could: the next word has to
            estop(tried.state)
        safe = _safe(lab, still)
        if lab.on():
            estop(tried.state)
        words = tried.command.said()
        found = Found(status, ended, safe, _SAID in words, tried.command.memory, words[-3000:])
        return found, tuple(found.faults(trial.kind, ends=tried.ends))


def _safe(lab: Lab, still: Standstill) -> float | None:
    """Seconds until every output is; None if none of the time that is waited suffices."""
    back = time.monotonic()
    while (now := time.monotonic()) < back + 4 * BACK:
        if not lab.on():
            return now - back - still.between(back, now)
        time.sleep(0.02)
    return None


def outcome(lab: Lab, seed: int) -> Outcome:
    """The trial of a seed."""
    trial = Trial.of(seed, lab.kinds)
    found, faults = attempt(lab, trial)
    facts = {"status": found.status, "ended": found.ended, "safe": found.safe, "memory": found.memory}
    facts |= {"command": trial.command, "words": found.words if faults else ""}
    return Outcome(seed, trial.kind, f"{trial.command}, {found}", faults, facts)


def targets(count: int = 150) -> Iterator[Figure]:
    """For the table of `benchmarks.targets`."""
    with lab(disk=True) as place:
        tally = pursue(each(partial(outcome, place), range(count)), say=lambda words: None)
    words = f"{len(tally.bad)} failed {'; '.join(map(str, tally.bad))}"
    yield Figure(f"{count} faults in runs and calibrations of a bench: nothing left on unsaid", words, not tally.bad)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run trials, print each, and a table of tried and failed; 1 if any failed."""
    chosen = asked(__doc__, 150, arguments)
    with lab(disk=True) as place:
        seeds = range(chosen.first, chosen.first + chosen.count)
        return told(pursue(each(partial(outcome, place), seeds), chosen.keep, say))


if __name__ == "__main__":
    sys.exit(main())
