"""From the `map` section to a port map and a parameter map, checked against what the rig has."""

from __future__ import annotations

import numpy as np

from labrhel.config import Document
from labrhel.config.problems import nearest
from labrhel.errors import ConfigurationError
from labrhel.frozen import FrozenArray
from labrhel.rig.capabilities import Capabilities
from labrhel.rig.wiring import Coupling, LinearKnob, LinearParameterMap, Wire, WiredPortMap


def port_map(document: Document, capabilities: Capabilities) -> WiredPortMap:
    """Wires by port or channel; raises ConfigurationError for one that the rig does not have."""
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
                coupling=Coupling(section.coupling),
                unit=known[name],
            )
    return WiredPortMap(wires)


def parameter_map(document: Document, capabilities: Capabilities) -> LinearParameterMap:
    """Knob maps by parameter; raises ConfigurationError for one that is no knob, and for a matrix that does not fit."""
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
            knobs[name] = LinearKnob(FrozenArray(matrix), FrozenArray(full))
    return LinearParameterMap(knobs)
