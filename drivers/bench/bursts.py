"""What every output of a bench plays in a shot [V]: all passes in a row, between two samples at the safe level."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from drivers.roles import Burst
from labrhel.arrays import Array
from labrhel.config.station import StationDocument
from labrhel.config.station_sections import PortSection
from labrhel.errors import ConfigurationError
from labrhel.rig.terminals import Terminals
from labrhel.shots.compiled import CompiledPass, CompiledShot


def check_shared(document: StationDocument) -> None:
    """Check that ports of one output share safe voltage, idle voltage and delay.  Raises ConfigurationError."""
    first: dict[str, tuple[str, PortSection]] = {}
    for name, section in document.station.rig.ports.items():
        other, known = first.setdefault(section.terminal, (name, section))
        if (section.safe, section.offset, section.delay) != (known.safe, known.offset, known.delay):
            with document.at("rig", "ports", name):
                raise ConfigurationError(
                    f"{other} and {name} share {section.terminal}: give them the same safe voltage, offset and delay"
                )


def bursts_of(
    shot: CompiledShot, ports: Mapping[str, PortSection], terminals: Terminals, step: float
) -> dict[str, dict[str, Burst]]:
    """By instrument and output, the sum of what the ports at that output play; `step` [s] between kicks.

    While a shot runs, an output that plays nothing is where its ports are 0.  Raises LimitError beyond the limits of a
    terminal, before anything is sent.
    """
    shared: dict[str, dict[str, PortSection]] = {}
    for name, section in ports.items():
        shared.setdefault(section.terminal, {})[name] = section
    bursts: dict[str, dict[str, Burst]] = {}
    for terminal, sections in shared.items():
        safe = next(iter(sections.values())).safe
        samples = np.empty(sum(item.steps for item in shot.passes) + 2)
        samples[0] = samples[-1] = safe
        begin = 1
        for item in shot.passes:
            samples[begin : begin + item.steps] = _volts(item, sections)
            begin += item.steps
        low, high = np.minimum.reduce(samples).item(), np.maximum.reduce(samples).item()
        terminals.require(terminal, low, high, " and ".join(sections))
        box, _, own = terminal.partition(".")
        bursts.setdefault(box, {})[own] = Burst(samples, 1 / step, safe)
    return bursts


def _volts(item: CompiledPass, sections: Mapping[str, PortSection]) -> Array | float:
    """What an output plays in a pass (steps,), or all the time: each port adds what it is away from its zero."""
    offset = next(iter(sections.values())).offset
    playing = [item.played[name].samples.values for name in sections if name in item.played]
    if len(playing) == 1:
        return playing[0]
    return np.sum([volts - offset for volts in playing], axis=0) + offset if playing else offset
