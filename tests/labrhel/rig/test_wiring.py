import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labrhel.errors import ConfigurationError
from labrhel.frozen import FrozenArray
from labrhel.rig.wiring import IDEAL_WIRING, LinearKnob, Wire, Wiring

values = hnp.arrays(np.float64, st.integers(1, 8), elements=st.floats(-10, 10))
gains = st.floats(0.01, 100) | st.floats(-100, -0.01)
ohms = st.floats(1, 1e6)


@given(values, gains, st.floats(-5, 5), ohms, ohms, st.none() | ohms)
def test_a_wire_there_and_back_is_the_identity(
    x: np.ndarray, gain: float, offset: float, source: float, load: float, assumed: float | None
) -> None:
    ports = Wiring({"u1": Wire("awg:1", gain, offset, source, load, assumed)})
    device = ports.to_device("u1", x)
    scale = abs(ports.wires["u1"].factor) * (np.abs(device).max() + abs(offset))
    assert np.allclose(ports.to_model("u1", device), x, atol=1e-13 * (scale + 1))


def test_a_generator_set_for_50_ohm_on_a_high_impedance_is_told_half_of_what_is_wanted() -> None:
    ports = Wiring({"u1": Wire("awg:1", source_ohm=50, load_ohm=np.inf, assumed_load_ohm=50)})
    assert ports.to_device("u1", np.array([1.0]))[0] == pytest.approx(0.5)


def test_a_generator_set_for_high_impedance_on_50_ohm_is_told_twice_what_is_wanted() -> None:
    ports = Wiring({"u1": Wire("awg:1", source_ohm=50, load_ohm=50, assumed_load_ohm=np.inf)})
    assert ports.to_device("u1", np.array([1.0]))[0] == pytest.approx(2.0)


def test_polarity_is_the_sign_of_the_gain() -> None:
    assert Wiring({"u1": Wire("awg:1", gain=-2.0)}).to_device("u1", np.array([1.0]))[0] == -0.5


@pytest.mark.parametrize("gain", [-2.0, 0.25])
def test_a_size_in_model_units_is_how_far_apart_two_values_of_a_terminal_are_there(gain: float) -> None:
    ports = Wiring({"u1": Wire("awg:1", gain=gain, offset=0.3)})
    apart = np.ptp(ports.to_model("u1", np.array([0.1, 0.6])))
    assert ports.size_in_model("u1", 0.5) == pytest.approx(apart) == pytest.approx(0.5 * abs(gain))
    assert ports.size_in_model("u2", 0.5) == 0.5


def test_a_port_without_a_wire_passes_unchanged() -> None:
    x = np.arange(3.0)
    assert IDEAL_WIRING.to_device("u1", x) is x
    assert IDEAL_WIRING.to_model("u1", x) is x


@pytest.mark.parametrize("gain", [0.0, np.nan, np.inf])
def test_a_gain_that_cannot_be_undone_is_refused(gain: float) -> None:
    with pytest.raises(ConfigurationError, match="gain of terminal 'awg:1'"):
        Wire("awg:1", gain=gain)


@given(hnp.arrays(np.float64, (2, 3), elements=st.floats(-5, 5)), st.integers(0, 10_000))
def test_parameters_to_knobs_and_back_is_the_identity_and_keeps_the_shape(parameter: np.ndarray, seed: int) -> None:
    random = np.random.default_rng(seed)
    matrix = np.eye(6) + 0.1 * random.normal(size=(6, 6))
    parameters = Wiring(knobs={"input": LinearKnob(FrozenArray(matrix), FrozenArray(random.normal(size=6)))})
    knobs = parameters.to_knobs({"input": parameter, "mass": np.ones(2)})
    back = parameters.to_parameters(knobs)
    assert back["input"].shape == (2, 3)
    assert np.allclose(back["input"], parameter, atol=1e-12)
    assert np.array_equal(knobs["mass"], np.ones(2))


def test_the_jacobian_of_a_knob_map_is_its_slope() -> None:
    matrix = np.array([[2.0, 0.1], [0.3, 1.0]])
    parameters = Wiring(knobs={"k": LinearKnob(FrozenArray(matrix), FrozenArray([5.0, 6.0]))})
    zero, one = (parameters.to_knobs({"k": np.array([step, 0.0])})["k"] for step in (0.0, 1.0))
    assert np.allclose(parameters.jacobian("k", 2)[:, 0], one - zero)
    assert np.array_equal(IDEAL_WIRING.jacobian("k", 3), np.eye(3))


@pytest.mark.parametrize("matrix", [[[1.0, 2.0], [2.0, 4.0]], [[1.0, 2.0]]])
def test_a_knob_map_that_has_no_inverse_is_refused(matrix: list) -> None:
    with pytest.raises(ConfigurationError, match="invertible"):
        LinearKnob(FrozenArray(matrix), FrozenArray([0.0, 0.0]))


def test_two_maps_with_the_same_content_are_equal() -> None:
    assert Wiring({"u1": Wire("a", 2.0)}) == Wiring({"u1": Wire("a", 2.0)})
    assert Wiring({"u1": Wire("a", 2.0)}) != Wiring({"u1": Wire("a", 2.1)})


def test_a_knob_is_the_same_wherever_it_was_declared_and_a_wiring_of_nothing_changes_nothing() -> None:
    knob = LinearKnob(FrozenArray(np.eye(1)), FrozenArray([1.0]))
    assert knob == LinearKnob(knob.matrix, knob.offset, place="station.yaml:7")
    assert not Wiring().knobs and not Wiring().wires
