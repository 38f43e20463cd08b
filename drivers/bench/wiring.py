"""The wiring of a bench, from its station file: what the volts at its terminals are in the units of the model."""

from __future__ import annotations

import numpy as np

from labrhel.config.station import StationDocument
from labrhel.errors import ConfigurationError
from labrhel.frozen import FrozenArray
from labrhel.model.interface import Model
from labrhel.rig.wiring import Approach, LinearKnob, Wire, Wiring


def wiring_of(document: StationDocument, model: Model) -> Wiring:
    """Wires of ports and channels, and knobs with parameter = at_zero + per_volt * volts.

    Raises ConfigurationError, with its line, for a gain that is 0.
    """
    rig, wires, knobs = document.station.rig, dict[str, Wire](), dict[str, LinearKnob]()
    for kind, sections in (("ports", rig.ports), ("channels", rig.channels)):
        for name, section in sections.items():
            with document.at("rig", kind, name):
                wires[name] = Wire(
                    section.terminal,
                    section.gain,
                    section.offset,
                    unit=_unit(model, name),
                    place=document.source.place("rig", kind, name),
                )
    for name, section in rig.knobs.items():
        with document.at("rig", "knobs", name):
            if section.per_volt == 0:
                raise ConfigurationError("per_volt must not be 0")
            size = len(section.terminals)
            knobs[name] = LinearKnob(
                FrozenArray(np.eye(size) / section.per_volt),
                FrozenArray(np.full(size, -section.at_zero / section.per_volt)),
                Approach() if section.approach is None else Approach(section.approach.overshoot),
                document.source.place("rig", "knobs", name),
            )
    return Wiring(wires, knobs)


def _unit(model: Model, name: str) -> str:
    """The unit of a port or channel, where the model says it."""
    kind = "input" if name in model.inputs else "force" if name.startswith("f") else "position"
    return getattr(model, f"{kind}_unit", "")
