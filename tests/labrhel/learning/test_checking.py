"""`check` compares with two references: it passes a right gradient and names the parameter of a wrong one."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from labrhel.executor import Compiling, RigBackend, execute
from labrhel.learning.checking import Comparison, check_gradient, compare
from labrhel.learning.parameters import Parameter, ParameterSet
from labrhel.learning.task import Task, TrialSequence
from labrhel.learning.train import Problem, batch_at
from labrhel.shots.waveform import Waveform
from protocols.differences import FiniteDifferences
from protocols.rhel import RHEL
from simbackend.dynamics.adjoint import exact_gradient
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig


def test_cosine_and_error_of_two_gradients() -> None:
    cosine, error = compare(np.array([3.0, 4.0]), np.array([4.0, 3.0]))
    assert cosine == pytest.approx(24 / 25)
    assert error == pytest.approx(np.sqrt(2) / 5)
    assert compare(np.array([0.0, 2.0]), np.array([0.0, 1.0])) == (1.0, 1.0)
    assert compare(np.zeros(2), np.zeros(2)) == (1.0, 0.0)
    assert compare(np.zeros(2), np.ones(2)) == (0.0, np.inf)
    assert compare(np.ones(2), np.zeros(2)) == (0.0, np.inf)


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({}, True),
        ({"exact_cosine": 0.999999, "difference_cosine": 0.999999}, True),
        ({"exact_cosine": 0.9999989}, False),
        ({"difference_cosine": 0.9999989}, False),
        ({"exact_error": 1e-3, "difference_error": 1e-3}, True),
        ({"exact_error": 1.1e-3}, False),
        ({"difference_error": 1.1e-3}, False),
    ],
)
def test_a_comparison_passes_if_both_references_agree(changes: Mapping[str, float], passes: bool) -> None:  # noqa: FBT001
    good = Comparison("mass", 1.0, 0.0, 1.0, 0.0)
    assert replace(good, **changes).passes(1e-3) is passes


def problem() -> Problem:
    nominal = {"stiffness": [1.0, 1.6], "cubic": 0.2, "coupling": [0.3], "input": [[1.0], [0.2]]}
    model = OscillatorNetwork(2, coupling="all", nominal=nominal)
    random = np.random.default_rng(6)
    drive = {"u1": Waveform.of(np.sin(0.25 * np.arange(40)), 0.1)}
    train = tuple(TrialSequence(f"s{i}", drive, random.normal(size=(1, 40)), np.ones(40)) for i in range(3))
    stiffness = Parameter("stiffness", np.array([1.0, 1.6]), mask=np.array([False, True]))
    parameters = ParameterSet([Parameter("coupling", np.array([0.3]), scale=0.5), stiffness])
    fixed = {name: spec.nominal for name, spec in model.parameters.items()}
    fixed |= {"readout": np.array([[1.5]]), "readout_offset": np.array([0.1])}
    task = Task(model, SimulatedRig(model).capabilities, 0.1, 1, ("q2",), 1.0)
    return Problem(task, RHEL(), parameters, lambda x: {**fixed, **parameters.values(x)}, train, 2, seed=1)


def test_a_right_gradient_agrees_with_both_references_in_every_parameter() -> None:
    asked = problem()
    handler = Compiling(RigBackend(SimulatedRig(asked.task.model)), asked.task.capabilities)
    report = check_gradient(asked, handler, exact_gradient)
    assert [row.parameter for row in report.rows] == ["coupling", "stiffness"]
    assert all(row.passes(1e-5) for row in report.rows)
    assert set(report.gradient.values) == {"coupling", "stiffness"}


def test_a_reference_that_differs_in_one_parameter_shows_in_its_row_alone() -> None:
    asked = problem()
    handler = Compiling(RigBackend(SimulatedRig(asked.task.model)), asked.task.capabilities)

    def doubled(*arguments: object) -> tuple[float, dict[str, np.ndarray]]:
        loss, values = exact_gradient(*arguments)  # type: ignore[arg-type]
        return loss, {**values, "stiffness": 2 * values["stiffness"]}

    coupling, stiffness = check_gradient(asked, handler, doubled).rows
    assert coupling.passes(1e-5)
    assert stiffness.exact_error == pytest.approx(0.5, rel=1e-4)
    assert stiffness.difference_error < 1e-5


def test_the_gradient_that_is_checked_is_that_of_the_first_step_of_training() -> None:
    asked = problem()
    handler = Compiling(RigBackend(SimulatedRig(asked.task.model)), asked.task.capabilities)
    first, second = ([asked.train[index] for index in batch_at(3, 2, asked.seed, step)] for step in (0, 1))
    x = asked.parameters.flat()
    assert check_gradient(asked, handler, exact_gradient).gradient.loss == pytest.approx(
        execute(asked.gradient(x, first), handler).loss, rel=1e-12
    )
    assert {item.name for item in first} != {item.name for item in second}


@pytest.mark.parametrize("step", [0.01, 0.05])
def test_differences_are_judged_by_their_own_order_and_not_by_their_step(step: float) -> None:
    asked = replace(problem(), rule=FiniteDifferences(step=step))
    handler = Compiling(RigBackend(SimulatedRig(asked.task.model)), asked.task.capabilities)
    report = check_gradient(asked, handler, exact_gradient)
    assert all(row.passes(1e-4) for row in report.rows)
