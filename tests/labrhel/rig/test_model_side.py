"""What a rig declares at its terminals, in model units: through a wire that inverts, scales and is offset."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labrhel.rig.capabilities import Capabilities, Channel, Converter, Kind, Knob, Limits, Port, SafeState
from labrhel.rig.model_side import model_side
from labrhel.rig.wiring import Wire, Wiring
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

PORT = Port("u1", Kind.INPUT, "V", converter=Converter(12, -5.0, 5.0), limits=Limits(-1.0, 2.0, slew=3.0),
            safe=SafeState(1.0))  # fmt: skip
CHANNEL = Channel("q1", Kind.POSITION, "V", converter=Converter(8, -2.0, 1.0), noise=0.01)


def rig(**changes: Any) -> Capabilities:
    facts = {"ports": (PORT, Port("u2", Kind.INPUT, "V")), "channels": (CHANNEL, Channel("q2", Kind.POSITION, "V"))}
    return replace(SimulatedRig(OscillatorNetwork(1)).capabilities, **{**facts, "knobs": (Knob("k", (1,)),), **changes})


def test_without_wires_it_is_the_same_object() -> None:
    bare = rig()
    assert model_side(bare, Wiring()) is bare


@pytest.mark.parametrize("gain", [-4.0, 0.5])
def test_limits_converters_slew_safe_levels_and_noise_go_through_the_wire(gain: float) -> None:
    wires = Wiring({"u1": Wire("a", gain, 0.5, unit="mm"), "q1": Wire("b", gain, -0.25, unit="um")})
    found = model_side(rig(), wires)
    port, channel = found.port("u1"), found.channel("q1")
    ends = sorted([gain * (-1.0 - 0.5), gain * (2.0 - 0.5)])
    assert (port.limits.low, port.limits.high, port.limits.slew) == (*ends, 3.0 * abs(gain))
    assert port.converter is not None and port.converter.bits == 12
    assert [port.converter.low, port.converter.high] == sorted([gain * -5.5, gain * 4.5])
    assert port.safe == SafeState(gain * 0.5)
    assert (port.unit, port.kind) == ("mm", Kind.INPUT)
    assert channel.converter is not None and channel.converter.bits == 8
    assert [channel.converter.low, channel.converter.high] == sorted([gain * -1.75, gain * 1.25])
    assert (channel.unit, channel.noise) == ("um", 0.01 * abs(gain))
    assert found.port("u2") == rig().port("u2") and found.channel("q2") == rig().channel("q2")
    assert found.knobs == rig().knobs


def test_what_is_not_there_stays_away() -> None:
    bare = rig(ports=(Port("u1", Kind.INPUT, "V"),), channels=(Channel("q1", Kind.POSITION, "V"),))
    found = model_side(bare, Wiring({"u1": Wire("a", 2.0), "q1": Wire("b", 2.0)}))
    assert found.port("u1").converter is found.channel("q1").converter is found.port("u1").limits.slew is None
    assert (found.port("u1").limits.low, found.port("u1").limits.high) == (-np.inf, np.inf)
    only_port = model_side(rig(), Wiring({"u1": Wire("a", 2.0, unit="mm")}))
    assert only_port.channel("q1") == CHANNEL and only_port.port("u1").unit == "mm"
