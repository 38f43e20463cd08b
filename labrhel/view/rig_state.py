"""What is known of a rig beside the record: the outputs that may be on, and how old its calibration is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from labrhel.rig.calibration import set_of
from labrhel.safety import ledger
from labrhel.safety.processes import programs


@dataclass(frozen=True, slots=True)
class Output:
    """A terminal that may be on, with its level [V] where it is known; `problem`: why it could not be made safe."""

    name: str
    volts: float | None
    problem: str


def outputs_of(run: str) -> list[Output]:
    """Terminals that the program which drives a run may have on, and those that a dead program left on."""
    driving = {program.pid for program in programs() if program.run == run}
    found: list[Output] = []
    for left in ledger.left():
        if left.entry.pid in driving or not left.is_driven:
            problem = left.entry.problem or ("" if left.is_driven else f"left by process {left.entry.pid}")
            found += [Output(name, volts, problem) for name, volts in left.entry.outputs.items()]
    return found


def calibration_words(plain: Mapping[str, Mapping[str, Any]], now: Callable[[], float] = time.time) -> str:
    """How good the calibration still is, in a sentence."""
    known = set_of(plain)
    if not known.values:
        return "none: the rig counts as ideal"
    expired = known.expired(now())
    if expired:
        return f"{len(expired)} of {len(known.values)} values have expired: {', '.join(expired[:3])}"
    until = [value.valid_until for value in known.values.values() if value.valid_until is not None]
    if not until:
        return f"{len(known.values)} values, which do not expire"
    return f"{len(known.values)} values, the first of which expires in {duration(min(until) - now())}"


def duration(seconds: float) -> str:
    """3 s, 12 min, 5 h, 9 days."""
    for size, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{max(0.0, seconds):.0f} s"
