"""What a station file says of each terminal: the ranges and levels that have to agree (labrhel.rig.terminals).

The level that makes a source safe is the `safe` of its `init`, by terminal, and 0 V where that says nothing; the
`limits` of an `init` count as those of everything else.  Of an instrument with somebody else's driver, `outputs` or
`levels` say both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeGuard

from labrhel.config.station_sections import InstrumentSection, Station
from labrhel.errors import ConfigurationError
from labrhel.rig.terminals import Claim, Terminals


def terminals_of(station: Station, error: Callable[..., ConfigurationError]) -> Terminals:
    """The table of a station; `error(words, *place)` names the place.

    Raises ConfigurationError for claims that contradict each other, and for a knob that names a terminal twice.
    """
    for name, section in station.rig.knobs.items():
        twice = [terminal for terminal in section.terminals if section.terminals.count(terminal) > 1]
        if twice:
            words = f"{twice[0]} is named twice: each entry of {name} needs a terminal of its own"
            raise error(words, "rig", "knobs", name, "terminals")
    return Terminals.of(_claims(station), error)


def _claims(station: Station) -> Iterator[Claim]:
    rig = station.rig
    for name, port in rig.ports.items():
        place = ("rig", "ports", name)
        yield Claim(port.terminal, f"port {name}", (*place, "limits"), limits=(port.limits[0], port.limits[1]))
        yield Claim(port.terminal, f"the safe level of port {name}", (*place, "safe"), level=port.safe)
    for name, knob in rig.knobs.items():
        place = ("rig", "knobs", name)
        for terminal in knob.terminals:
            yield Claim(terminal, f"knob {name}", (*place, "limits"), limits=(knob.limits[0], knob.limits[1]))
    for name, channel in rig.channels.items():
        for terminal, volts in channel.select.items():
            yield Claim(terminal, f"select of {name}", ("rig", "channels", name, "select", terminal), level=volts)
    sources = [terminal for knob in rig.knobs.values() for terminal in knob.terminals]
    sources += [terminal for channel in rig.channels.values() for terminal in channel.select]
    named = dict.fromkeys([*(port.terminal for port in rig.ports.values()), *sources])
    for box, section in station.instruments.items():
        key, limits, _ = _own(section)
        place = ("instruments", box, key, "limits")
        if isinstance(limits, Mapping):
            pairs = {f"{box}.{own}": pair for own, pair in limits.items()}
        else:
            pairs = {terminal: limits for terminal in named if terminal.startswith(f"{box}.")}
        for terminal, pair in pairs.items():
            if _is_range(pair):  # the driver refuses what is none
                yield Claim(terminal, f"the {key} of {box}", place, limits=(float(pair[0]), float(pair[1])))
    for terminal in dict.fromkeys(sources):
        box, _, own = terminal.partition(".")
        if box in station.instruments:
            key, _, safe = _own(station.instruments[box])
            level = safe.get(own, 0.0) if isinstance(safe, Mapping) else 0.0
            if isinstance(level, int | float):  # the driver refuses what is no number
                place = ("instruments", box, key, "safe")
                yield Claim(terminal, f"the safe level of {box}", place, level=float(level))


def _own(section: InstrumentSection) -> tuple[str, object, object]:
    """The key under which an instrument has its own limits and safe levels, and what these are."""
    if section.outputs is not None:
        return "outputs", section.outputs.limits, None
    if section.levels is not None:
        return "levels", section.levels.limits, section.levels.safe
    return "init", section.init.get("limits"), section.init.get("safe")


def _is_range(pair: object) -> TypeGuard[Sequence[float]]:
    return isinstance(pair, Sequence) and len(pair) == 2 and all(isinstance(volts, int | float) for volts in pair)
