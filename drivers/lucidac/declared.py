"""What the machine declares as a rig: positions and velocities of all oscillators, any start, no port."""

from __future__ import annotations

import numpy as np

from drivers.lucidac.circuit import LARGEST, Circuit
from labrhel.frozen import FrozenArray
from labrhel.learning.task import STATE
from labrhel.rig.capabilities import Capabilities, Channel, Converter, Kind, Knob, Limits
from labrhel.rig.wiring import Wire, Wiring

_PLAIN = 0.8  # a coefficient that stays below 1, and its lane as it is, when its gain is off or it is turned up

READS = Converter(12, -1.25, 1.25)
"""Its converters tell 6e-4 of full scale apart, and see a little more than full scale."""


def wiring_of(circuit: Circuit) -> Wiring:
    """By channel, the integrator and its full scale."""
    model, scales, n = circuit.model, circuit.scales, circuit.model.size
    place, speed = (model.parameters[name].unit for name in STATE)  # masses are pure numbers
    wires = {f"q{i + 1}": Wire(f"INT{i}", scales.position, unit=place) for i in range(n)}
    return Wiring(wires | {f"v{i + 1}": Wire(f"INT{n + i}", scales.velocity, unit=speed) for i in range(n)})


def capabilities_of(circuit: Circuit, name: str, identity: str, step: float) -> Capabilities:
    """Of the machine that says it is `identity`; `step`: that of a coefficient, of its full scale."""
    model, n = circuit.model, circuit.model.size
    eye = FrozenArray(np.eye(n))
    most = max(len(lane.by) for lane in circuit.lanes)  # parameters that share a lane, and its rounding
    held = circuit.coefficients({knob: model.parameters[knob].nominal for knob in circuit.knobs})
    knobs = []
    for knob in circuit.knobs:
        spec, reach = model.parameters[knob], circuit.largest(knob)
        used = [abs(c) for lane, c in zip(circuit.lanes, held, strict=True) if any(name == knob for name, _ in lane.by)]
        fine = most * step * reach / (LARGEST if max(used) < _PLAIN else 1)
        knobs.append(Knob(knob, spec.shape, spec.unit, Limits(-reach, reach), resolution=fine, reads_back=True))
    return Capabilities(
        rig=name,
        size=n,
        ports=(),
        channels=tuple(
            Channel(f"{letter}{i + 1}", kind, converter=READS)
            for letter, kind in (("q", Kind.POSITION), ("v", Kind.VELOCITY))
            for i in range(n)
        ),
        knobs=tuple(knobs),
        drive_matrix=FrozenArray(np.zeros((n, 0))),
        position_matrix=eye,
        velocity_matrix=eye,
        prepares=frozenset({"rest", "state"}),
        reads_state=True,
        time_unit=model.time_unit,
        firmware=f"lucidac {identity}",
    )
