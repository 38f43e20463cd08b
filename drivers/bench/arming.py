"""In which order the boxes of a bench are armed: those that wait for a trigger first, and last the one that fires.

A box that is armed too late misses the trigger; one that fires before the others listen starts alone.  The station file
may say another order (`trigger.arming_order`), how long a box takes after a shot until it can be armed again
(`trigger.re_arm`), and how late a shot may start (`trigger.latest`).
"""

from __future__ import annotations

from collections.abc import Sequence

from labrhel.config.problems import nearest
from labrhel.config.station import StationDocument
from labrhel.errors import ConfigurationError
from labrhel.rig.capabilities import TriggerDomain


def triggers_of(document: StationDocument) -> tuple[TriggerDomain, ...]:
    """One domain for each box that plays or records, named after it; the one that fires is the source of the others.

    Raises ConfigurationError, with its line, for a box that does neither.
    """
    rig = document.station.rig
    trigger, first = rig.trigger, rig.trigger.fired_by
    playing = {section.terminal.partition(".")[0] for section in rig.ports.values()}
    boxes = sorted({first, *playing, *trigger.seen_by})
    for key, named in (("arming_order", trigger.arming_order), ("re_arm", list(trigger.re_arm))):
        for place, box in enumerate(named):
            with document.at("rig", "trigger", key, *((box,) if key == "re_arm" else (place,))):
                _check(box, boxes, named[:place])
    turns = {box: turn for turn, box in enumerate(trigger.arming_order)}
    others = len(turns)
    return tuple(
        TriggerDomain(
            box,
            source="" if box == first else first,
            arming_order=turns.get(box, others + (box == first)),
            re_arm=trigger.re_arm.get(box, 0.0),
            latest=trigger.latest,
        )
        for box in boxes
    )


def _check(box: str, boxes: Sequence[str], before: Sequence[str]) -> None:
    if box not in boxes:
        raise ConfigurationError(f"{box} neither plays nor records, so nothing arms it; {nearest(box, boxes)}")
    if box in before:
        raise ConfigurationError(f"{box} is named twice; keep one")


def in_turn(triggers: Sequence[TriggerDomain]) -> list[list[str]]:
    """The boxes, in the order in which they are armed; those of one turn, by name, at the same time."""
    turns: dict[int, list[str]] = {}
    for item in sorted(triggers, key=lambda item: (item.arming_order, item.name)):
        turns.setdefault(item.arming_order, []).append(item.name)
    return list(turns.values())
