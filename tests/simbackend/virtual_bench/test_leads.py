"""Leads say what wires say (labrhel.rig.wiring): model = gain * (volts - offset), in both directions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from labrhel.rig.wiring import Wire, Wiring
from simbackend.virtual_bench.world.leads import Drive, Sense

VOLTS = np.array([-1.5, 0.0, 0.3, 2.0])
gains = st.floats(0.01, 100) | st.floats(-100, -0.01)


@given(gains, st.floats(-5, 5), st.floats(10, 1e6))
def test_what_an_output_drives_is_what_the_wire_of_its_station_says(gain: float, offset: float, load: float) -> None:
    lead = Drive("awg.ch1", "f1", gain, offset, load=load)
    wires = Wiring({"f1": Wire("awg.ch1", lead.factor, lead.open_offset)})
    scale = abs(gain) * (2 + abs(offset))
    assert np.allclose(lead.arriving(VOLTS), wires.to_model("f1", VOLTS), atol=1e-12 * scale)
    at_load = VOLTS * load / (load + 50.0)
    assert np.allclose(lead.arriving(VOLTS), gain * (at_load - offset), atol=1e-12 * scale)


@given(gains, st.floats(-5, 5))
def test_what_an_input_shows_is_undone_by_the_wire_of_its_station(gain: float, offset: float) -> None:
    lead, wires = Sense(0, gain, offset), Wiring({"q1": Wire("scope.ch1", gain, offset)})
    position = np.array([-0.7, 0.0, 0.2, 1.1])
    assert np.allclose(lead.showing(position), wires.to_device("q1", position), atol=1e-12)
    scale = 1 + abs(gain * offset)
    assert np.allclose(wires.to_model("q1", lead.showing(position)), position, atol=1e-12 * scale)


def test_a_lead_that_inverts_and_shifts_by_hand() -> None:
    assert np.allclose(Drive("awg.ch1", "f1", -2.0, 0.3, load=50.0).arriving(np.array([1.0])), -2 * (0.5 - 0.3))
    assert np.allclose(Sense(0, -0.25, 0.2).showing(np.array([0.5])), 0.5 / -0.25 + 0.2)
