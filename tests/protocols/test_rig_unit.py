"""A rig as a unit of a larger model: its gradients against finite differences of its own outputs."""

from typing import Any

import numpy as np
import pytest

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from labrhel.executor import Compiling, Limiting, RigBackend, execute
from labrhel.learning.task import Task
from labrhel.learning.units import UnitState
from labrhel.shots.operations import Protocol, RunShots
from protocols.rig_unit import RigUnit
from simbackend.imperfections import IDEAL, ConverterErrors, HiddenFriction, Imperfections
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

BATCH, STEPS = 3, 40
RANDOM = np.random.default_rng(4)
INPUTS = RANDOM.normal(size=(BATCH, STEPS, 2))
WEIGHT = RANDOM.normal(size=(BATCH, STEPS, 2))


def network(friction: float) -> OscillatorNetwork:
    nominal = {"cubic": 0.3, "friction": friction, "input": [[1.0, 0.2], [0.0, 0.5], [0.3, 0.0]]}
    return OscillatorNetwork(3, inputs=("u1", "u2"), coupling="chain", nominal=nominal)


def rig_unit(
    friction: float = 0.1, *, shots: list[int] | None = None, wrong: Imperfections = IDEAL, response: float = 1e-4
) -> RigUnit:
    model = network(friction)
    rig = SimulatedRig(model, imperfections=wrong)
    handler = Compiling(Limiting(RigBackend(rig), rig.capabilities), rig.capabilities)

    class Counting:
        def do(self, operation: Any) -> Any:
            if shots is not None and isinstance(operation, RunShots):
                shots.append(len(operation.programs))
            return handler.do(operation)

    def run(protocol: Protocol[Any]) -> Any:
        return execute(protocol, Counting())

    return RigUnit(run, Task(model, rig.capabilities, 0.2, 1, ("q1", "q3"), 1.0), response=response)


def theta(friction: float = 0.1) -> dict[str, Array]:
    model = network(friction)
    names = ("stiffness", "cubic", "coupling", "friction", "input", "mass")
    values = {name: np.array(model.parameters[name].nominal) for name in names}
    return values | {"readout": np.array([[1.0, 0.3], [-0.4, 0.8]]), "readout_offset": np.array([0.1, 0.0])}


def loss(unit: RigUnit, parameters: Arrays, inputs: Array) -> float:
    return float(np.sum(WEIGHT * unit.forward(parameters, inputs).outputs))


def differences(unit: RigUnit, parameters: dict[str, Array], inputs: Array, name: str) -> Array:
    values = inputs if name == "inputs" else parameters[name]
    found = np.empty_like(values)
    for index in np.ndindex(values.shape):
        ends = []
        for sign in (1, -1):
            moved = np.array(values)
            moved[index] += sign * 1e-5
            if name == "friction":
                moved = (moved + moved.T) / 2  # the rig takes symmetric matrices only
            changed = (parameters, moved) if name == "inputs" else ({**parameters, name: moved}, inputs)
            ends.append(loss(unit, *changed))
        found[index] = (ends[0] - ends[1]) / 2e-5
    return found


@pytest.mark.parametrize("friction", [0.0, 0.1])
def test_gradients_of_all_parameters_are_those_of_finite_differences(friction: float) -> None:
    unit, parameters = rig_unit(friction), theta(friction)
    if not friction:
        del parameters["friction"]
    found = unit.backward(unit.forward(parameters, INPUTS), WEIGHT)
    assert found.parameters.keys() == parameters.keys()
    for name in parameters:
        expected = differences(unit, parameters, INPUTS, name)
        np.testing.assert_allclose(found.parameters[name], expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    assert found.warnings == ()
    assert found.retrace_error < 1e-6
    assert 0.3e-4 < found.response_ratio < 3e-4


def test_the_gradient_of_the_inputs_is_the_nudge_for_whatever_made_them() -> None:
    unit, parameters = rig_unit(), theta()
    short = INPUTS[:1, :6]
    found = unit.backward(unit.forward(parameters, short), WEIGHT[:1, :6]).inputs

    def moved(k: int, j: int, by: float) -> float:
        inputs = short.copy()
        inputs[0, k, j] += by
        return float(np.sum(WEIGHT[:1, :6] * unit.forward(parameters, inputs).outputs))

    expected = [[(moved(k, j, 1e-5) - moved(k, j, -1e-5)) / 2e-5 for j in range(2)] for k in range(6)]
    np.testing.assert_allclose(found[0], expected, rtol=1e-5, atol=1e-6)


def test_every_item_of_a_batch_is_a_shot_and_two_echoes() -> None:
    shots: list[int] = []
    unit = rig_unit(shots=shots)
    run = unit.forward(theta(), INPUTS)
    assert shots == [BATCH]
    unit.backward(run, WEIGHT)
    unit.backward(run, WEIGHT)  # the second time the nudge is known
    assert set(shots[1:]) == {2 * BATCH}
    assert len(shots) <= 2 + 3


def test_no_error_gives_no_gradient() -> None:
    unit = rig_unit()
    found = unit.backward(unit.forward(theta(), INPUTS), np.zeros_like(WEIGHT))
    assert all(not values.any() for values in (*found.parameters.values(), found.inputs))


def test_a_start_is_refused() -> None:
    rest = np.zeros((BATCH, 3))
    with pytest.raises(ConfigurationError, match="give no start"):
        rig_unit().forward(theta(), INPUTS, UnitState(rest, rest))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (Imperfections(noise=0.1), "noise: repeats: R averages it"),
        (Imperfections(friction=HiddenFriction(uniform=0.1)), "friction that the model does not have"),
        (Imperfections(adc=ConverterErrors(5, 8.0)), "the rounding of the converters"),
    ],
)
def test_an_echo_that_misses_names_what_it_is_and_not_friction_for_everything(wrong: Imperfections, words: str) -> None:
    unit = rig_unit(wrong=wrong, response=0.03)
    found = unit.backward(unit.forward(theta(), INPUTS), WEIGHT)
    (said,) = found.warnings
    assert "the echo misses the forward path" in said and words in said


def test_readings_that_clip_are_said_with_their_channel() -> None:
    unit = rig_unit(wrong=Imperfections(adc=ConverterErrors(12, 0.5)), response=0.03)
    found = unit.backward(unit.forward(theta(), INPUTS), WEIGHT)
    assert any("the forward pass goes beyond the range of channel q1" in words for words in found.warnings)
