"""What a rig of a circuit declares, from its mapping: ports, channels, knobs, wires."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from labrhel.arrays import Array
from labrhel.config.reader import Source
from labrhel.frozen import FrozenArray
from labrhel.model.interface import Model
from labrhel.rig.capabilities import Capabilities, Channel, Kind, Knob, Limits, Port, Reversal
from labrhel.rig.wiring import LinearKnob, Wire, Wiring
from simbackend.spice.mapping import Mapping


def wiring_of(mapping: Mapping, place: str) -> Wiring:
    """The wires and knobs of a mapping; `place` is its file, as errors name it."""
    wires = {name: Wire(item.source, item.gain, place=place) for name, item in mapping.ports.items()}
    wires |= {name: Wire(item.reads, item.gain, place=place) for name, item in mapping.channels.items()}
    knobs = {}
    for name, knob in mapping.knobs.items():
        count = len(knob.components)
        knobs[name] = LinearKnob(FrozenArray(knob.per * np.eye(count)), FrozenArray(np.full(count, knob.offset)))
    return Wiring(wires, knobs)


def capabilities_of(mapping: Mapping, source: Source, name: str, model: Model) -> Capabilities:
    """Of the rig `name`; raises ConfigurationError for an oscillator that the model does not have."""
    n = model.size
    for key, port in mapping.ports.items():
        _require_known(port.force, n, source, "ports", key)
    for key, channel in mapping.channels.items():
        _require_known(channel.position or channel.velocity, n, source, "channels", key)
    pushed = [item.force for item in mapping.ports.values() if item.force is not None]
    reversals = {Reversal.BY_DRIVE} if set(pushed) >= set(range(1, n + 1)) else set()
    return Capabilities(
        rig=name,
        size=n,
        ports=tuple(
            Port(key, Kind.INPUT if item.force is None else Kind.FORCE, _unit(item.source), limits=Limits(*item.limits))
            for key, item in mapping.ports.items()
        ),
        channels=tuple(
            Channel(key, Kind.VELOCITY if item.position is None else Kind.POSITION, _unit(item.reads))
            for key, item in mapping.channels.items()
        ),
        knobs=tuple(
            Knob(key, (len(item.components),), "", Limits(*item.limits), item.step or 0.0, reads_back=True)
            for key, item in mapping.knobs.items()
        ),
        drive_matrix=FrozenArray(_rows(pushed, n).T),
        position_matrix=FrozenArray(_rows((item.position for item in mapping.channels.values()), n)),
        velocity_matrix=FrozenArray(_rows((item.velocity for item in mapping.channels.values()), n)),
        reversals=frozenset(reversals | ({Reversal.MOMENTUM_FLIP} if mapping.flips else set())),
        ring_down_time=mapping.ring_down,
        time_unit=model.time_unit,
    )


def _rows(oscillators: Iterable[int | None], n: int) -> Array:
    return np.eye(n)[[item - 1 for item in oscillators if item is not None]].reshape(-1, n)


def _require_known(oscillator: int | None, n: int, source: Source, *path: str) -> None:
    if oscillator is not None and oscillator > n:
        raise source.error(f"the model has {n} oscillators, and no number {oscillator}", *path)


def _unit(what: str) -> str:
    return "A" if what[0] in "iI" else "V"
