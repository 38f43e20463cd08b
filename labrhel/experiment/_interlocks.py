"""From the `interlocks` section to the conditions and guards of an executor."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from labrhel.arrays import Array
from labrhel.config import Document
from labrhel.config.problems import nearest
from labrhel.executor import Condition, Guard
from labrhel.executor.guards import Divergence, OverRange, Reading, Scalar
from labrhel.rig.wiring import Wiring
from labrhel.safety import estop
from labrhel.shots.rig import Rig


def interlocks_of(document: Document, rig: Rig, wiring: Wiring) -> tuple[tuple[Condition, ...], tuple[Guard, ...]]:
    """The emergency stop, and what the file names; ConfigurationError for a reading that the rig does not have."""
    section = document.config.interlocks
    conditions = [Condition("emergency stop", estop.watch())]
    known = [knob.name for knob in rig.capabilities.knobs]
    for name, item in section.readings.items():
        if name not in known:
            words = f"the rig reads no {name!r}; {nearest(name, known)}"
            raise document.source.error(words, "interlocks", "readings", name)
        reading = Reading(InModelUnits(rig, wiring), name, item.low, item.high, item.every, time.monotonic)
        conditions.append(Condition(name, reading.violated))
    guards: list[Guard] = []
    if section.over_range is not None:
        guards.append(OverRange(section.over_range))
    if section.retrace is not None:
        words = "the echo no longer comes back; calibrate again, or raise protocol.lock"
        guards.append(Scalar("retrace", "retrace_error", section.retrace, words))
    if section.response is not None:
        guards.append(Scalar("response", "response_ratio", section.response, "lower eps"))
    return tuple(conditions), tuple(guards)


def guards_of_loss(document: Document) -> tuple[Guard, ...]:
    """What looks at the loss, which is that of all rigs together where there are several."""
    factor = document.config.interlocks.divergence
    return () if factor is None else (Divergence(factor),)


@dataclass(frozen=True, slots=True)
class InModelUnits:
    """Reads knobs of a rig in the units of their parameters, in which the file gives their range."""

    rig: Rig
    wiring: Wiring

    def read(self, names: Sequence[str]) -> dict[str, Array]:
        """The readings by name."""
        return self.wiring.to_parameters(self.rig.read(names))
