"""What the two halves of a station file say of an instrument with somebody else's driver must fit together.

Its section says which terminals there are, and of what kind; the section `rig` wires them.  Drivers of ours say the
first for themselves, so there it is compared when they are opened; here no driver is needed.
"""

from __future__ import annotations

from collections.abc import Iterator

from labrhel.config.foreign_drivers import module_and_class, problem_of, problem_of_arguments
from labrhel.config.problems import nearest
from labrhel.config.reader import KeyPath, Source
from labrhel.config.station_sections import InstrumentSection, Station
from labrhel.units import interval

_WHAT = {"outputs": "a generator", "inputs": "a digitizer", "levels": "a source of levels"}


def check_foreign(station: Station, source: Source) -> None:
    """Raise ConfigurationError, with its line, for what cannot be meant."""
    foreign = {name: section for name, section in station.instruments.items() if section.is_foreign}
    for name, section in foreign.items():
        _check_driver(name, section, source)
    for place, terminal, key in _wired(station):
        name, _, own = terminal.partition(".")
        if name not in foreign:
            continue
        section = foreign[name]
        if (role := getattr(section, key)) is None:
            words = f"{name} is {_spoken(section)}, not {_WHAT[key]}: {terminal} cannot be used here"
            raise source.error(words, *place)
        if own not in role.terminals:
            raise source.error(_missing(name, own, role.terminals, f"{key}.terminals"), *place)
    for terminal in station.rig.ramps:
        name, _, own = terminal.partition(".")
        if name in foreign and (levels := foreign[name].levels) is not None and own not in levels.safe:
            words = f"{terminal} goes off when it is safe: give it a safe level, instruments.{name}.levels.safe"
            raise source.error(words, "rig", "ramps", terminal)
    _check_ports(station, foreign, source)
    _check_trigger(station, foreign, source)


def _check_driver(name: str, section: InstrumentSection, source: Source) -> None:
    place = ("instruments", name)
    try:
        module_and_class(section.type)
    except ValueError as error:
        key = "kind" if (*place, "kind") in source.lines else "type"
        raise source.error(str(error), *place, key) from None
    if problem := problem_of(section.init):
        raise source.error(problem[1], *place, "init", problem[0])
    if problem := problem_of_arguments(section.arguments):
        raise source.error(problem[1], *place, "arguments", problem[0])
    if section.levels is not None:
        for own in section.levels.safe:
            if own not in section.levels.terminals:
                words = _missing(name, own, section.levels.terminals, "levels.terminals")
                raise source.error(words, *place, "levels", "safe", own)


def _wired(station: Station) -> Iterator[tuple[KeyPath, str, str]]:
    """Every terminal that `rig` names, where, and the key of the section that lists it."""
    rig = station.rig
    for name, port in rig.ports.items():
        yield ("rig", "ports", name, "terminal"), port.terminal, "outputs"
    for name, channel in rig.channels.items():
        yield ("rig", "channels", name, "terminal"), channel.terminal, "inputs"
        for terminal in channel.select:
            yield ("rig", "channels", name, "select", terminal), terminal, "levels"
    for name, knob in rig.knobs.items():
        for index, terminal in enumerate(knob.terminals):
            yield ("rig", "knobs", name, "terminals", index), terminal, "levels"
    for terminal in rig.ramps:
        yield ("rig", "ramps", terminal), terminal, "levels"


def _check_ports(station: Station, foreign: dict[str, InstrumentSection], source: Source) -> None:
    rig = station.rig
    limited = [("ports", "outputs", name, [port.terminal], port.limits) for name, port in rig.ports.items()]
    limited += [("knobs", "levels", name, knob.terminals, knob.limits) for name, knob in rig.knobs.items()]
    for kind, role, name, terminals, (low, high) in limited:
        for terminal in terminals:
            box = terminal.partition(".")[0]
            section = foreign.get(box)
            if section is None or (own := getattr(section, role)) is None:
                continue
            lowest, highest = own.limits
            if not lowest <= low <= high <= highest:
                raise source.error(
                    f"the limits {interval(low, high, 'V')} of {name} must be within those of {terminal}, "
                    f"{interval(lowest, highest, 'V')} (instruments.{box}.{role}.limits)",
                    "rig", kind, name, "limits",
                )  # fmt: skip
    for name, port in rig.ports.items():
        if port.safe and port.terminal.partition(".")[0] in foreign:
            raise source.error(
                f"{port.terminal} is off when it is safe, at 0 V, and cannot idle at {port.safe:g} V: leave `safe` out",
                "rig", "ports", name, "safe",
            )  # fmt: skip


def _check_trigger(station: Station, foreign: dict[str, InstrumentSection], source: Source) -> None:
    trigger = station.rig.trigger
    if (section := foreign.get(trigger.fired_by)) is not None:
        if section.outputs is None:
            words = f"{trigger.fired_by} is {_spoken(section)}, not a generator: it cannot fire"
            raise source.error(words, "rig", "trigger", "fired_by")
        if not section.outputs.fire:
            raise source.error(
                f"{trigger.fired_by} is to fire, and has no steps `fire`: say in "
                f"instruments.{trigger.fired_by}.outputs.fire what triggers it by software",
                "rig", "trigger", "fired_by",
            )  # fmt: skip
    for name, seen in trigger.seen_by.items():
        if (section := foreign.get(name)) is None:
            continue
        place = ("rig", "trigger", "seen_by", name)
        if section.inputs is None:
            raise source.error(f"{name} is {_spoken(section)}, not a digitizer: it sees no trigger", *place)
        known = section.inputs.triggers or section.inputs.terminals
        if seen.terminal not in known:
            key = "inputs.triggers" if section.inputs.triggers else "inputs.terminals"
            raise source.error(_missing(name, seen.terminal, known, key), *place, "terminal")
        if seen.fiducial and seen.terminal not in section.inputs.terminals:
            words = _missing(name, seen.terminal, section.inputs.terminals, "inputs.terminals")
            raise source.error(f"{words}; a fiducial is recorded", *place, "terminal")


def _missing(name: str, own: str, known: list[str], key: str) -> str:
    return (
        f"there is no terminal {name}.{own}: instruments.{name}.{key} lists {', '.join(known)}; {nearest(own, known)}"
    )


def _spoken(section: InstrumentSection) -> str:
    return " and ".join(words for key, words in _WHAT.items() if getattr(section, key) is not None)
