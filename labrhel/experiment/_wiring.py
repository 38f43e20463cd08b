"""The wiring of an experiment: what the rig brings, and what the `map` section says where a rig brings none."""

from __future__ import annotations

import numpy as np

from labrhel.config import Document
from labrhel.config.problems import nearest
from labrhel.errors import ConfigurationError
from labrhel.frozen import FrozenArray
from labrhel.rig.capabilities import Capabilities
from labrhel.rig.wiring import Approach, LinearKnob, Wire, Wiring


def wiring_of(document: Document, capabilities: Capabilities, brought: Wiring) -> Wiring:
    """Wires and knobs by name: those that a rig has `brought`, and those of the `map` of the configuration.

    Raises ConfigurationError for a port, channel or knob of the `map` that the rig does not have, for a matrix that
    does not fit, and for a wire that the rig brings as well: both would count.
    """
    wires, knobs = _wires(document, capabilities), _knobs(document, capabilities)
    for section, items, known in (("ports", wires, brought.wires), ("parameters", knobs, brought.knobs)):
        for name in items:
            if name in known:
                raise document.source.error(
                    f"the wire of {name} is said twice, here and at {known[name].place or 'the rig'}, and both would "
                    "count; the rig brings its wiring: take it out of the map",
                    "map",
                    section,
                    name,
                )
    return Wiring({**brought.wires, **wires}, {**brought.knobs, **knobs}) if wires or knobs else brought


def _wires(document: Document, capabilities: Capabilities) -> dict[str, Wire]:
    known = {item.name: item.unit for item in (*capabilities.ports, *capabilities.channels)}
    wires = {}
    for name, section in document.config.map.ports.items():
        with document.at("map", "ports", name):
            if name not in known:
                raise ConfigurationError(f"rig {capabilities.rig} has no such port or channel; {nearest(name, known)}")
            if section.coupling == "ac":
                raise ConfigurationError("an AC-coupled wire blocks the mean, which echoes need; couple it dc")
            wires[name] = Wire(
                terminal=section.terminal,
                gain=section.gain,
                offset=section.offset,
                source_ohm=section.source_ohm,
                load_ohm=np.inf if section.load_ohm is None else section.load_ohm,
                assumed_load_ohm=section.assumed_load_ohm,
                unit=known[name],
                place=document.source.place("map", "ports", name),
            )
    return wires


def _knobs(document: Document, capabilities: Capabilities) -> dict[str, LinearKnob]:
    known = {knob.name: int(np.prod(knob.shape)) for knob in capabilities.knobs}
    knobs = {}
    for name, section in document.config.map.parameters.items():
        with document.at("map", "parameters", name):
            if name not in known:
                raise ConfigurationError(f"rig {capabilities.rig} has no such knob; {nearest(name, known)}")
            size = known[name]
            matrix, offset = np.asarray(section.matrix, float), np.asarray(section.offset, float)
            matrix = matrix * np.eye(size) if matrix.ndim == 0 else matrix
            if matrix.shape != (size, size):
                raise ConfigurationError(f"{name} has {size} entries: its matrix is a number or {size} x {size}")
            if offset.shape not in ((), (size,)):
                raise ConfigurationError(f"{name} has {size} entries: its offset is a number or a list of {size}")
            full = np.array(np.broadcast_to(offset, (size,)))
            place = document.source.place("map", "parameters", name)
            approach = Approach() if section.approach is None else Approach(section.approach.overshoot)
            knobs[name] = LinearKnob(FrozenArray(matrix), FrozenArray(full), approach, place)
    return knobs
