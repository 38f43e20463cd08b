"""What every output of a bench plays in a shot: all passes in a row, between two samples at the safe level."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from drivers.roles import Burst
from labrhel.arrays import Array
from labrhel.config.station import PortSection, StationDocument
from labrhel.errors import ConfigurationError, LimitError
from labrhel.shots.compiled import CompiledShot


def check_shared(document: StationDocument) -> None:
    """Ports of one output are added: they have one safe voltage and one delay.  Raises ConfigurationError."""
    first: dict[str, tuple[str, PortSection]] = {}
    for name, section in document.station.rig.ports.items():
        other, known = first.setdefault(section.terminal, (name, section))
        if (section.safe, section.delay) != (known.safe, known.delay):
            with document.at("rig", "ports", name):
                raise ConfigurationError(
                    f"{other} and {name} share {section.terminal}: give them the same safe voltage and delay"
                )


def bursts_of(shot: CompiledShot, ports: Mapping[str, PortSection], step: float) -> dict[str, dict[str, Burst]]:
    """By instrument and output, the sum of what the ports at that output play; `step` [s] between kicks.

    Outputs that play nothing idle.  Raises LimitError beyond the limits of a port, before anything is sent.
    """
    volts: dict[str, Array] = {}
    for name, section in ports.items():
        parts = []
        for item in shot.passes:
            played = item.played.get(name)
            silence = np.full(item.steps, section.safe)
            parts.append(silence if played is None else played.samples.values / section.gain)
        samples = np.concatenate([[section.safe], *parts, [section.safe]])
        shared = volts.get(section.terminal)
        volts[section.terminal] = samples if shared is None else shared + (samples - section.safe)
    bursts: dict[str, dict[str, Burst]] = {}
    for name, section in ports.items():
        box, _, own = section.terminal.partition(".")
        samples = volts[section.terminal]
        low, high = float(samples.min()), float(samples.max())
        if not (section.limits[0] <= low and high <= section.limits[1]):  # not a number is refused, too
            raise LimitError(
                f"{section.terminal} would get [{low:.4g}, {high:.4g}] V for {name}; allowed is "
                f"[{section.limits[0]:g}, {section.limits[1]:g}] V; nothing was sent"
            )
        bursts.setdefault(box, {})[own] = Burst(samples, 1 / step, section.safe)
    return bursts
