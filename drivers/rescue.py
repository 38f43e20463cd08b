"""Stations made safe by another program than the one that opened them: its guardian, or whoever takes up the rest.

The instruments are opened anew, all at once, each is switched off, and levels that stay on are ramped, as
drivers.making_safe does.  What another program still holds is waited for; what a dying one holds is taken from it.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.transport.address import canonical_address
from labrhel.config.station import StationDocument, station_from
from labrhel.errors import LabrhelError, NotSafeError
from labrhel.safety import ledger
from labrhel.safety.ledger import Entry, Remembered

if TYPE_CHECKING:
    from drivers.roles import Instrument

_WAIT = 4.0  # s for another program, such as the guardian, to give an instrument back
_BACK = 1.0  # s for an instrument to come back to its wire, in one attempt


def drivers_of(document: StationDocument, names: Collection[str] = ()) -> dict[str, str]:
    """Import the drivers of instruments, all if none are named; what went wrong, by name.

    Here, one after the other: QCoDeS cannot be imported by two threads at once.
    """
    from drivers.instruments import import_driver

    problems = {}
    for name, section in document.station.instruments.items():
        if names and name not in names:
            continue
        try:
            import_driver(section)
        except LabrhelError as error:
            problems[name] = str(error)
    return problems


def make_all_safe(
    document: StationDocument, names: Collection[str] = (), *, wait: float = 0.0, dying: int | None = None
) -> dict[str, str]:
    """Open instruments, all if none are named, and switch them off, all at once, then ramp what stays on.

    What went wrong, by name.  `wait` [s]: how long another program may take to give one back; from the process `dying`
    it is taken then.
    """
    from drivers.instruments import open_section
    from drivers.making_safe import TURN, Attempt, SafeLevels, at_once, ramps_of, wait_for_all
    from drivers.transport.permit import making_safe

    sections = document.station.instruments
    missing = drivers_of(document, names)
    boxes: dict[str, Instrument] = {}

    def off(name: str) -> None:
        boxes[name] = box = open_section(name, sections[name], wait=wait, dying=dying, patience=_BACK)
        box.switch_off()

    levels = SafeLevels(ramps_of(document))
    with making_safe():  # whatever holds this program back
        off_now = {name: Attempt(lambda name=name: off(name)) for name in names or sections if name not in missing}
    wait_for_all(off_now.values(), TURN)
    swift = {name: box for name, box in list(boxes.items()) if off_now[name].ended}
    levels.ramp(swift.values())  # what goes wrong is said when it is closed, which makes it safe once more
    problems = at_once({name: box.close for name, box in swift.items()})
    wait_for_all(off_now.values())
    late = {name: box for name, box in boxes.items() if name not in swift}
    levels.ramp(late.values())
    problems |= at_once({name: box.close for name, box in late.items()})
    problems |= {name: item.error for name, item in off_now.items() if name not in boxes and item.error is not None}
    return missing | {name: str(error) or type(error).__name__ for name, error in problems.items()}


def take_up(left: Remembered) -> None:
    """Make a station safe that a program has left, and forget it; raises NotSafeError if that cannot be done now."""
    entry = left.entry
    levels = dict(entry.outputs)
    try:
        problems = make_all_safe(document_of(entry), wait=_WAIT, dying=entry.pid)
        levels = {name: volts for name, volts in levels.items() if name.partition(".")[0] in problems}
    except LabrhelError as error:  # a station that cannot be read any more
        problems = {"": str(error)}
    if not levels or not left.stands:  # what does not answer drives nothing, or somebody else has seen it safe
        return left.forget()
    why = next(iter(problems.values()))
    left.let_go(levels, why)
    raise NotSafeError(levels, f"{entry.station}, which process {entry.pid} has left: {why}")


def of_the_same(document: StationDocument) -> list[Remembered]:
    """What was left of the instruments of a station, by whatever station file."""
    addresses = _addresses(document)
    found = []
    for item in ledger.left():
        if item.is_driven:
            continue
        with suppress(LabrhelError):
            if addresses & _addresses(document_of(item.entry)):
                found.append(item)
    return found


def _addresses(document: StationDocument) -> set[str]:
    return {canonical_address(section.resource) for section in document.station.instruments.values()}


def document_of(entry: Entry) -> StationDocument:
    """A station as it was when it was opened, whatever has become of its file; raises ConfigurationError."""
    return station_from(entry.text, Path(entry.station))
