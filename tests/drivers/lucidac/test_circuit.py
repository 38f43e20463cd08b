"""Networks as lanes: every term in its place, whatever the machine lacks refused by name."""

from typing import Any

import numpy as np
import pytest

from drivers.lucidac.circuit import Circuit, Scales
from drivers.lucidac.lanes import LaneErrors
from labrhel.errors import ConfigurationError, LimitError
from simbackend.models.oscillator_network import OscillatorNetwork

SCALES = Scales.of(2.0, 15.0, 1e-3)
NOMINAL: dict[str, Any] = {
    "mass": [1.0, 1.5, 0.8], "stiffness": [60.0, 80.0, 70.0], "coupling": [5.0, 8.0], "cubic": [3.0, 0.0, 2.0],
    "friction": [0.1, 0.0, 0.3], "input": 0.0,
}  # fmt: skip


def network(shape: Any = "chain", **changes: Any) -> OscillatorNetwork:
    return OscillatorNetwork(3, coupling=shape, nominal=NOMINAL | changes, time_unit=1e-3)


def knobs_of(circuit: Circuit, **changes: Any) -> dict[str, Any]:
    return {name: np.asarray(circuit.model.parameters[name].nominal) for name in circuit.knobs} | changes


def test_the_lanes_move_the_integrators_as_the_model_moves() -> None:
    model = network()
    circuit, n = Circuit(model, SCALES), 3
    random = np.random.default_rng(1)
    q, v = random.normal(size=(2, n))
    # What the elements of the machine put out: integrators, and multipliers, each the product of its two sums.
    outputs = np.zeros(16)
    outputs[:n], outputs[n : 2 * n] = q / SCALES.position, v / SCALES.velocity
    lanes = list(zip(circuit.lanes, circuit.coefficients(knobs_of(circuit)), strict=True))
    for multiplier in range(4):
        sums = [sum(c * outputs[k.source] for k, c in lanes if k.target == 8 + 2 * multiplier + i) for i in (0, 1)]
        outputs[8 + multiplier] = sums[0] * sums[1]
    rates = [-1e4 * 1e-3 * sum(c * outputs[lane.source] for lane, c in lanes if lane.target == i) for i in range(2 * n)]
    assert np.allclose(SCALES.position * np.array(rates[:n]), v)
    force = model.force(q, {}) - model.friction({}) @ v
    assert np.allclose(SCALES.velocity * np.array(rates[n:]), force / model.mass({}))


def test_parameters_are_read_back_off_their_lanes() -> None:
    circuit = Circuit(network(), SCALES)
    wanted = knobs_of(circuit, coupling=np.array([6.0, 7.0]))
    found = circuit.parameters(circuit.coefficients(wanted))
    assert all(np.allclose(found[name], wanted[name]) for name in wanted)


FIVE = OscillatorNetwork(5, nominal={"stiffness": 60.0, "input": 0.0}, time_unit=1e-3)
ONE_WAY = network({"springs": "chain", "directed": [[0, 1]]}, directed=0.3)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (FIVE, "4 oscillators at most, not 5"),
        (network(cubic=[1.0, 1.0, 1.0]), "2 at most, not 3"),
        (network(quadratic=0.5), "not patched for quadratic that is not 0; it has stiffness, coupling, cubic and"),
        (network(input=[[1.0], [0.0], [0.0]]), "it has no port: say input: 0"),
        (ONE_WAY, "not patched for directed that is not 0"),
    ],
    ids=["integrators", "multipliers", "terms", "inputs", "one way"],
)
def test_what_the_machine_lacks_is_refused_by_name(model: OscillatorNetwork, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Circuit(model, SCALES)


def test_more_lanes_than_the_machine_has_are_refused_with_what_would_do() -> None:
    model = OscillatorNetwork(
        4, coupling="all", nominal={"stiffness": 60.0, "coupling": 1.0, "cubic": [1.0, 1.0, 0.0, 0.0], "friction": 0.1,
                                    "input": 0.0}, time_unit=1e-3,
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match="34 lanes of the machine's 32: take fewer couplings"):
        Circuit(model, SCALES)


def test_a_coefficient_beyond_ten_is_refused_by_the_name_of_its_lane() -> None:
    circuit = Circuit(network(), SCALES)
    with pytest.raises(LimitError, match=r"from q2 to v2 would need a coefficient of 10\.\d+; .*position="):
        circuit.coefficients(knobs_of(circuit, stiffness=np.array([60.0, 1200.0, 70.0])))
    with pytest.raises(LimitError, match="two multipliers"):
        circuit.coefficients(knobs_of(circuit, cubic=np.array([3.0, 0.1, 2.0])))
    with pytest.raises(LimitError, match="nan"):
        circuit.coefficients(knobs_of(circuit, coupling=np.array([np.nan, 1.0])))


def test_a_model_that_is_too_slow_for_the_machine_is_refused_by_the_lane_that_would_be_nothing() -> None:
    model = OscillatorNetwork(1, nominal={"stiffness": 1.0, "input": 0.0}, time_unit=1.0)
    circuit = Circuit(model, Scales.of(1.0, None, 1.0))
    with pytest.raises(ConfigurationError, match=r"from q1 to v1 would need .* 1e-08, .* 10000 rad/s"):
        circuit.require_resolved(knobs_of(circuit), 2.0**-11)
    circuit.require_resolved(knobs_of(circuit), 0.0)


@pytest.mark.parametrize("step", [0.0, 2.0**-11])
def test_lanes_are_set_so_that_they_are_what_they_should_be(step: float) -> None:
    random = np.random.default_rng(4)
    errors = LaneErrors(1 + 0.1 * random.normal(size=(2, 20)), 0.01 * random.normal(size=(2, 20)))
    wanted = np.concatenate([random.uniform(-1, 1, 10), random.uniform(-8, 8, 10)])
    setting = errors.setting_for(wanted, step)
    off = np.abs(errors.actual(setting) - wanted)
    assert (off <= np.where(setting.amplified, 7.0, 0.7) * step + 1e-12).all()
    assert np.abs(setting.share).max() <= 1
    assert setting.amplified[np.abs(wanted) > 1.2].all() and not setting.amplified[np.abs(wanted) < 0.8].any()
