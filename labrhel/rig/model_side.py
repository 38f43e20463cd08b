"""What a rig declares, as the model sees it: through the wires, in model units.

A rig declares limits, converters, noise and safe levels in the unit of its terminals, and compile and the limit checks
use them there.  Rules and calibration routines compute in model units: what they ask of the capabilities is this side.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from labrhel.rig.capabilities import Capabilities, Channel, Converter, Limits, Port
from labrhel.rig.wiring import Wiring


def model_side(capabilities: Capabilities, wiring: Wiring) -> Capabilities:
    """Ports and channels in model units; the same object where no wire changes anything.

    Knobs stay as they are: a rule turns parameters, and what a knob is set to is the terminal's affair.
    """
    if not wiring.wires:
        return capabilities
    return replace(
        capabilities,
        ports=tuple(_port(port, wiring) for port in capabilities.ports),
        channels=tuple(_channel(channel, wiring) for channel in capabilities.channels),
    )


def _port(port: Port, wiring: Wiring) -> Port:
    name, wire = port.name, wiring.wires.get(port.name)
    if wire is None:
        return port
    slew = None if port.limits.slew is None else wiring.size_in_model(name, port.limits.slew)
    return replace(
        port,
        unit=wire.unit,
        converter=_converter(name, port.converter, wiring),
        limits=Limits(*_ends(name, port.limits, wiring), slew),
        safe=replace(port.safe, value=float(wiring.to_model(name, np.array(port.safe.value)))),
    )


def _channel(channel: Channel, wiring: Wiring) -> Channel:
    name, wire = channel.name, wiring.wires.get(channel.name)
    if wire is None:
        return channel
    noise = wiring.size_in_model(name, channel.noise)
    return replace(channel, unit=wire.unit, converter=_converter(name, channel.converter, wiring), noise=noise)


def _converter(name: str, converter: Converter | None, wiring: Wiring) -> Converter | None:
    return None if converter is None else Converter(converter.bits, *_ends(name, converter, wiring))


def _ends(name: str, ends: Limits | Converter, wiring: Wiring) -> tuple[float, float]:
    low, high = sorted(float(wiring.to_model(name, np.array(end))) for end in (ends.low, ends.high))
    return low, high
