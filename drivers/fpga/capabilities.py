"""What a board of a given build declares as a rig: its words as converters, its memories, its ways to reverse."""

from __future__ import annotations

import numpy as np

from labrhel.frozen import FrozenArray
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
    Timing,
    TriggerDomain,
)
from labrhel.wire.board import Build
from labrhel.wire.network_codes import Network

_KNOBS = ("mass", "stiffness", "cubic", "coupling", "input", "input_offset")


def knobs_of(build: Build, model: Network) -> tuple[str, ...]:
    """Parameters that the integer core has; the others must be zero."""
    return (*_KNOBS, "saturation") if build.table and "saturation" in model.parameters else _KNOBS


def capabilities_of(build: Build, model: Network, step: float, name: str) -> Capabilities:
    """A board that runs `model` in steps of `step` [model time].

    A nudge is added to the momentum as a code, so a force port has a code of resolution / step.  Velocities are the
    mean of the momenta before and after the kick, over the mass.
    """
    form, memory = build.state, Timing("board", "board", memory=build.depth)

    def words(lsb: float) -> Converter:
        return Converter(form.word, -(form.largest_code + 1) * lsb, form.largest_code * lsb)

    def port(item: str, kind: Kind, unit: str, lsb: float) -> Port:
        reach = form.largest_code * lsb
        return Port(item, kind, unit, timing=memory, converter=words(lsb), limits=Limits(-reach, reach))

    n, kick, place = model.size, form.resolution / step, model.position_unit
    ports = [port(item, Kind.INPUT, model.input_unit, form.resolution) for item in model.inputs]
    ports += [port(f"f{i + 1}", Kind.FORCE, model.force_unit, kick) for i in range(n)]
    channels = [
        Channel(f"q{i + 1}", Kind.POSITION, place, timing=memory, converter=words(form.resolution)) for i in range(n)
    ]
    channels += [Channel(f"v{i + 1}", Kind.VELOCITY, f"{place}/time", timing=memory) for i in range(n)]
    eye = FrozenArray(np.eye(n))
    knobs = []
    for item in knobs_of(build, model):
        spec = model.parameters[item]
        limits = Limits(low=np.finfo(float).tiny) if spec.kind == "kinetic" else Limits()
        fine = 0.0 if item in ("mass", "input_offset") else build.coefficient.resolution / step
        knobs.append(Knob(item, spec.shape, spec.unit, limits, resolution=fine, reads_back=True))
    return Capabilities(
        rig=name,
        size=n,
        ports=tuple(ports),
        channels=tuple(channels),
        knobs=tuple(knobs),
        drive_matrix=eye,
        position_matrix=eye,
        velocity_matrix=eye,
        clocks=(ClockDomain("board"),),
        triggers=(TriggerDomain("board"),),
        prepares=frozenset({"rest", "state", "hold"}),
        reversals=frozenset({Reversal.STATE_RESTORE, Reversal.MOMENTUM_FLIP}),
        reads_state=True,
        time_unit=model.time_unit,
        firmware=f"gateware {build.gateware:08x}",
    )
