"""From the leads of a bench's file to what they do: drives, senses, logic lines, triggers and parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from labrhel.config.problems import nearest
from labrhel.config.reader import Source
from labrhel.errors import ConfigurationError
from labrhel.rig.capabilities import Kind
from simbackend.imperfections import Imperfections
from simbackend.imperfections.imperfection import Acting
from simbackend.models.simulable import Simulable
from simbackend.virtual_bench.station.catalog import Entry
from simbackend.virtual_bench.station.spec import LeadSection
from simbackend.virtual_bench.world.leads import Drive, Line, Sense, Turn
from simbackend.virtual_bench.world.motion import ACTS_OUT

_ENTRY = re.compile(r"(\w+)\[(\d+(?:\s*,\s*\d+)*)\]")
_POSITION = re.compile(r"q(\d+)")
_LOGIC = ("sync", "trigger_out")


@dataclass(slots=True)
class Wiring:
    """All leads of a bench; `triggers`: from a line to a trigger input, with its delay [s].

    `switched`: the leads of which a switch connects one at a time to an input.
    """

    drives: list[Drive] = field(default_factory=list)
    senses: dict[str, Sense | Line] = field(default_factory=dict)
    switched: dict[str, list[Sense]] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)
    triggers: list[tuple[str, str, float]] = field(default_factory=list)


def refuse_what_is_not_acted_out(acts: Acting) -> None:
    """Raises ConfigurationError for imperfections that act where nothing on a virtual bench would act them out."""
    for name, place in sorted(acts, key=lambda pair: pair[0]):
        if place not in ACTS_OUT:
            raise ConfigurationError(
                f"imperfections: a virtual bench takes no {name}, which acts on {place.value}: its instruments have "
                "bits, noise, jitter and coupling of their own, and nothing there flips momenta; say it of the "
                "instruments, or leave it out"
            )


def wired(
    leads: list[LeadSection], entries: Mapping[str, Entry], model: Simulable, errors: Imperfections, source: Source
) -> Wiring:
    """Sort the leads; raises ConfigurationError, with its line, for one that cannot be."""
    wiring, ends = Wiring(), set[tuple[str, tuple[tuple[str, float], ...]]]()
    for place, lead in enumerate(leads):
        try:
            if (lead.to, lead.levels) in ends and lead.to not in _ports(model):
                raise ConfigurationError(f"two leads end at {lead.to}; an input takes one, or one for each `when`")
            ends.add((lead.to, lead.levels))
            _add(wiring, lead, entries, model, errors)
        except ConfigurationError as error:
            raise source.error(error.problem, "leads", place) from None
    return wiring


def _add(
    wiring: Wiring, lead: LeadSection, entries: Mapping[str, Entry], model: Simulable, errors: Imperfections
) -> None:
    if lead.gain == 0:
        raise ConfigurationError(f"the gain of the lead from {lead.wire} to {lead.to} must not be 0")
    position, entry = _POSITION.fullmatch(lead.wire), _ENTRY.fullmatch(lead.to)
    if position is not None:
        _check(lead.to, entries, "inputs")
        oscillator = int(position[1]) - 1
        if not 0 <= oscillator < model.size:
            raise ConfigurationError(f"there are oscillators q1 to q{model.size}, not {lead.wire}")
        path = errors.channels.of(lead.wire, Kind.POSITION, errors.seed)
        for source, _ in lead.levels:
            _check(source, entries, "outputs")
        sense = Sense(oscillator, path=path, when=lead.levels, **lead.numbers("gain", "offset", "delay"))
        if sense.when:
            wiring.switched.setdefault(lead.to, []).append(sense)
        else:
            wiring.senses[lead.to] = sense
        return
    if lead.levels:
        raise ConfigurationError(f"the lead from {lead.wire} to {lead.to} has no `when`: positions are switched")
    terminal = _check(lead.wire, entries, "outputs")
    if entry is not None:
        index = _index(entry[1], entry[2], model)
        wiring.turns.append(Turn(lead.wire, entry[1], index, **lead.numbers("at_zero", "per_volt")))
    elif lead.to in _ports(model):
        wiring.drives.append(Drive(lead.wire, lead.to, **lead.numbers("gain", "offset", "delay", "load")))
    elif lead.to.endswith(".trigger_in") and terminal in _LOGIC:
        _check(lead.to, entries, "inputs")
        wiring.triggers.append((lead.wire, lead.to, lead.numbers("delay").get("delay", 0.0)))
    elif terminal in _LOGIC:
        _check(lead.to, entries, "inputs")
        wiring.senses[lead.to] = Line(lead.wire, **lead.numbers("high", "delay"))
    else:
        ends = (*_ports(model), *(f"{name}[...]" for name in model.parameters))
        raise ConfigurationError(f"{lead.wire} cannot be wired to {lead.to}; an output goes to: {', '.join(ends)}")


def _ports(model: Simulable) -> tuple[str, ...]:
    return (*model.inputs, *(f"f{number}" for number in range(1, model.size + 1)))


def _check(terminal: str, entries: Mapping[str, Entry], kind: str) -> str:
    """The name of a terminal on its instrument; raises ConfigurationError if it has none of that kind."""
    name, _, own = terminal.partition(".")
    if name not in entries:
        raise ConfigurationError(f"{terminal}: there is no instrument {name!r}; {nearest(name, entries)}")
    known = getattr(entries[name], kind)
    if own not in known:
        raise ConfigurationError(
            f"{name} has no such terminal: its {kind} are {', '.join(known) or 'none'}, not {own!r}"
        )
    return own


def _index(parameter: str, text: str, model: Simulable) -> tuple[int, ...]:
    if parameter not in model.parameters:
        raise ConfigurationError(f"the model has no parameter {parameter!r}; {nearest(parameter, model.parameters)}")
    index = tuple(int(part) for part in text.split(","))
    shape = model.parameters[parameter].shape
    try:
        np.empty(shape)[index]
    except IndexError:
        raise ConfigurationError(f"{parameter} has shape {shape}; it has no entry [{text}]") from None
    if len(index) != len(shape):
        raise ConfigurationError(f"{parameter} has shape {shape}: an entry has {len(shape)} numbers, not [{text}]")
    return index
