"""What a bench declares as a rig, in volts: its station file, its instruments' own limits, and the model's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from drivers.bench.arming import triggers_of
from drivers.bench.readings import FIT_NOISE
from drivers.roles import Digitizer, Generator, InputSpec, Instrument, LevelSource, OutputSpec
from labrhel.config.problems import nearest
from labrhel.config.station import StationDocument
from labrhel.config.station_sections import ChannelSection, KnobSection, PortSection, SeenSection
from labrhel.errors import ConfigurationError
from labrhel.frozen import FrozenArray
from labrhel.model.interface import Model
from labrhel.rig.capabilities import (
    Capabilities,
    Channel,
    ClockDomain,
    Converter,
    Kind,
    Knob,
    Limits,
    Port,
    Reversal,
    SafeState,
    Timing,
)
from labrhel.rig.terminals import Terminals
from labrhel.units import interval

T = TypeVar("T")
_VOLTS = "V"


def capabilities_of(
    document: StationDocument, instruments: Mapping[str, Instrument], model: Model, step: float, name: str
) -> Capabilities:
    """The bench as a rig, for kicks every `step` [model time].

    An output holds each sample over the interval of its kick, so ports have one sample rate, 1/step.  Raises
    ConfigurationError, with the line of the station file, for what the model or an instrument does not have.
    """
    check_boxes(document, instruments)
    station, limits, n = document.station.rig, document.terminals, model.size
    forces, seen = [f"f{i + 1}" for i in range(n)], [f"q{i + 1}" for i in range(n)]
    rate, master = 1 / (step * model.time_unit), station.trigger.fired_by
    ports, channels, knobs = [], [], []
    for port, section in station.ports.items():
        with document.at("rig", "ports", port):
            kind = Kind.INPUT if port in model.inputs else Kind.FORCE
            _known(port, (*model.inputs, *forces), "port")
            spec, timing = outputs_of(instruments, section.terminal), _timing(section, master)
            ports.append(_port(port, kind, section, limits, spec, replace(timing, rates=(rate,), memory=spec.memory)))
    for channel, section in station.channels.items():
        with document.at("rig", "channels", channel):
            _known(channel, seen, "channel")
            seen_by = inputs_of(instruments, section.terminal)
            _check_select(instruments, section)
            channels.append(_channel(channel, section, seen_by, station.oversampling, _timing(section, master)))
    for group, names in enumerate(station.safe_order):
        for item in names:
            with document.at("rig", "safe_order", group):
                _known(item, tuple(instruments), "instrument")
    for box, item in station.trigger.seen_by.items():
        with document.at("rig", "trigger", "seen_by", box):
            _known(box, tuple(instruments), "instrument")
            _check_seen(instruments, box, item)
    for knob, section in station.knobs.items():
        with document.at("rig", "knobs", knob):
            _known(knob, tuple(model.parameters), "parameter")
            knobs.append(_knob(knob, section, model, limits, instruments, station.settle))
    driven = [int(port.name[1:]) - 1 for port in ports if port.kind is Kind.FORCE]
    watched = [int(channel.name[1:]) - 1 for channel in channels]
    return Capabilities(
        rig=name,
        size=n,
        ports=tuple(ports),
        channels=tuple(channels),
        knobs=tuple(knobs),
        drive_matrix=FrozenArray(np.eye(n)[:, driven]),
        position_matrix=FrozenArray(np.eye(n)[watched]),
        velocity_matrix=FrozenArray(np.zeros((0, n))),
        clocks=(ClockDomain(master),),
        triggers=triggers_of(document),
        prepares=frozenset({"rest"}),
        reversals=frozenset({Reversal.BY_DRIVE}),
        settle_time=station.settle,
        ring_down_time=station.ring_down,
        time_unit=model.time_unit,
        firmware="; ".join(f"{key}: {item.identity}" for key, item in instruments.items()),
    )


def check_boxes(document: StationDocument, instruments: Mapping[str, Instrument]) -> None:
    """Refuse one instrument under two names, by its serial number: limits of one name would not hold for the other.

    An instrument that says no serial number, or 0, cannot be told from its like.
    """
    first: dict[tuple[str, ...], str] = {}
    for name, box in instruments.items():
        fields = tuple(part.strip() for part in box.identity.split(","))[:3]
        if len(fields) < 3 or not fields[2].strip("0"):
            continue
        other = first.setdefault(fields, name)
        if other != name:
            with document.at("instruments", name):
                raise ConfigurationError(
                    f"{other} and {name} are one instrument, {', '.join(fields)}, under two names: keep one of them"
                )


def _port(name: str, kind: Kind, section: PortSection, terminals: Terminals, spec: OutputSpec, timing: Timing) -> Port:
    (rate,) = timing.rates
    if not spec.rates[0] <= rate <= spec.rates[1]:
        raise ConfigurationError(
            f"{section.terminal} plays {spec.rates[0]:g} to {spec.rates[1]:g} samples a second, the kicks come at "
            f"{rate:g}; choose another data.spacing or substeps"
        )
    low, high = terminals.of_all([section.terminal])
    _require_reach(section.terminal, (low, high), (spec.low, spec.high))
    return Port(
        name,
        kind,
        _VOLTS,
        timing=replace(timing, skew=section.delay),
        converter=Converter(spec.bits, low, high),
        limits=Limits(low, high),
        safe=SafeState(section.safe),
    )


def _timing(section: PortSection | ChannelSection, clock: str) -> Timing:
    """Every box is armed, and triggered, for itself."""
    return Timing(clock, section.terminal.partition(".")[0])


def _channel(name: str, section: ChannelSection, spec: InputSpec, oversampling: float, timing: Timing) -> Channel:
    low, high = section.range
    if not low < high:
        raise ConfigurationError(f"the range [{low:g}, {high:g}] V must be in order")
    converter = Converter(spec.bits, low, high)
    single = float(np.hypot(section.noise, converter.lsb / np.sqrt(12)))
    noise = single * FIT_NOISE / np.sqrt(oversampling)
    return Channel(name, Kind.POSITION, _VOLTS, timing=timing, converter=converter, noise=noise)


def _check_seen(instruments: Mapping[str, Instrument], box: str, item: SeenSection) -> None:
    """The trigger is seen where the instrument can be triggered from, by what it says of itself."""
    terminal = f"{box}.{item.terminal}"
    digitizer, own = _box(instruments, terminal, Digitizer, "a digitizer")
    if item.fiducial:
        inputs_of(instruments, terminal)
    triggers = getattr(digitizer, "triggers", None)
    if triggers is not None and own not in triggers:
        raise ConfigurationError(
            f"{_called(digitizer)} is triggered by {', '.join(triggers)}, not by {own!r}: correct seen_by"
        )


def _called(box: Instrument) -> str:
    """An instrument by its name and what it says it is."""
    model = "".join(part.strip() for part in box.identity.split(",")[1:2])
    return f"{box.name} ({model})" if model else box.name


def _check_select(instruments: Mapping[str, Instrument], section: ChannelSection) -> None:
    for terminal, volts in section.select.items():
        low, high = levels_of(instruments, terminal)
        if not low <= volts <= high:
            raise ConfigurationError(f"select: {terminal} reaches [{low:g}, {high:g}] V, not {volts:g} V")


def _knob(
    name: str,
    section: KnobSection,
    model: Model,
    limits: Terminals,
    instruments: Mapping[str, Instrument],
    settle: float,
) -> Knob:
    spec = model.parameters[name]
    if int(np.prod(spec.shape)) != len(section.terminals):
        raise ConfigurationError(
            f"{name} has {int(np.prod(spec.shape))} entries, and {len(section.terminals)} terminals are named"
        )
    for terminal in section.terminals:
        _require_reach(terminal, limits.of_all([terminal]), levels_of(instruments, terminal))
    low, high = limits.of_all(section.terminals)
    if not low < high:
        raise ConfigurationError(
            f"the terminals of {name} have no range in common: other knobs limit them, and its entries share one range"
        )
    resolution = max(getattr(_source(instruments, terminal), "resolution", 0.0) for terminal in section.terminals)
    held = [_source(instruments, terminal).held.get(terminal.partition(".")[2], 0.0) for terminal in section.terminals]
    safe = tuple(SafeState(volts) for volts in held)
    return Knob(name, spec.shape, _VOLTS, Limits(low, high), resolution, settle, safe, reads_back=True)


def _require_reach(terminal: str, limits: tuple[float, float], reach: tuple[float, float]) -> None:
    if not reach[0] <= limits[0] < limits[1] <= reach[1]:
        raise ConfigurationError(
            f"limits {interval(*limits, _VOLTS)} must be within what {terminal} reaches, {interval(*reach, _VOLTS)}"
        )


def outputs_of(instruments: Mapping[str, Instrument], terminal: str) -> OutputSpec:
    """The output INSTRUMENT.TERMINAL; raises ConfigurationError if there is none of that name."""
    box, own = _box(instruments, terminal, Generator, "a generator")
    return _terminal(box, box.outputs, own, terminal)


def inputs_of(instruments: Mapping[str, Instrument], terminal: str) -> InputSpec:
    """The input INSTRUMENT.TERMINAL."""
    box, own = _box(instruments, terminal, Digitizer, "a digitizer")
    return _terminal(box, box.inputs, own, terminal)


def levels_of(instruments: Mapping[str, Instrument], terminal: str) -> tuple[float, float]:
    """The range of the level INSTRUMENT.TERMINAL [V]."""
    source = _source(instruments, terminal)
    return _terminal(source, source.levels, terminal.partition(".")[2], terminal)


def _source(instruments: Mapping[str, Instrument], terminal: str) -> LevelSource:
    return _box(instruments, terminal, LevelSource, "a source of levels")[0]


def _box(instruments: Mapping[str, Instrument], terminal: str, role: type[T], words: str) -> tuple[T, str]:
    name, _, own = terminal.partition(".")
    _known(name, tuple(instruments), "instrument")
    box = instruments[name]
    if not isinstance(box, role):
        raise ConfigurationError(f"{name} is not {words}: {terminal} cannot be used here")
    return box, own


def _terminal(box: Instrument, known: Mapping[str, T], own: str, terminal: str) -> T:
    if own not in known:
        names = list(known)
        has = ", ".join(names) if len(names) < 5 else f"{names[0]} to {names[-1]}"
        raise ConfigurationError(
            f"there is no terminal {terminal}: {_called(box)} has {has}; {nearest(own, tuple(known))}"
        )
    return known[own]


def _known(name: str, known: Sequence[str], what: str) -> None:
    if name not in known:
        raise ConfigurationError(f"there is no {what} {name!r}; {nearest(name, known)}")
