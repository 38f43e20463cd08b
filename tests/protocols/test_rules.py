"""Every rule against the exact gradient, on the rigs it is for."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labrhel.errors import ConfigurationError, ProgramError
from labrhel.executor import execute
from labrhel.learning.checking import compare
from labrhel.learning.needs import objections
from labrhel.learning.rules import Rule
from labrhel.learning.task import Task, TrialSequence
from labrhel.shots.operations import Configure, Operation
from protocols.adjoint_only import AdjointOnly
from protocols.differences import SPSA, FiniteDifferences
from protocols.heb import HEB
from protocols.recorded_correlation import RecordedCorrelation
from protocols.rhel import RHEL
from protocols.twin import FittedTwin
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.reference import ReferenceTask, lossy_rig, reference_rig
from simbackend.rigs.simulated import SimulatedRig


def lossy(seed: int = 3) -> ReferenceTask:
    return lossy_rig(np.random.default_rng(seed))


def linear(seed: int = 3) -> ReferenceTask:
    """A lossy rig without its anharmonic terms."""
    reference = lossy(seed)
    still = {name: np.zeros(reference.model.size) for name in ("quadratic", "cubic", "quartic")}
    nominal = {name: spec.nominal for name, spec in reference.model.parameters.items()} | still
    model = OscillatorNetwork(reference.model.size, coupling="all", inputs=reference.model.inputs, nominal=nominal)
    rig = SimulatedRig(model)
    task = replace(reference.task, model=model, capabilities=rig.capabilities)
    return replace(reference, model=model, rig=rig, task=task, theta={**reference.theta, **still})


def final(reference: ReferenceTask) -> ReferenceTask:
    """The same, with a loss at the last sample alone."""
    (sequence,) = reference.sequences
    weight = np.zeros_like(sequence.weight)
    weight[-1] = 1.0
    return replace(reference, sequences=(replace(sequence, weight=weight),))


def error_by_parameter(reference: ReferenceTask, rule: Rule, wanted: Sequence[str] = ()) -> dict[str, float]:
    gradient, exact = reference.gradient(rule, wanted), reference.exact()[1]
    return {name: compare(np.ravel(value), np.ravel(exact[name]))[1] for name, value in gradient.values.items()}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rule", [AdjointOnly(), RecordedCorrelation(), FittedTwin(), FittedTwin(refit=False)])
def test_on_linear_rigs_any_friction_is_exact_for_every_parameter(rule: Rule, seed: int) -> None:
    errors = error_by_parameter(linear(seed), rule)
    assert set(errors) == {*linear().model.parameters, "readout", "readout_offset"}
    assert max(errors.values()) < 1e-8, errors


@pytest.mark.parametrize("seed", range(3))
def test_a_twin_that_contains_the_rig_is_exact_on_anharmonic_ones_too(seed: int) -> None:
    assert max(error_by_parameter(lossy(seed), FittedTwin()).values()) < 1e-8


def test_a_passive_correlation_on_an_anharmonic_rig_is_wrong() -> None:
    assert lossy().compare(lossy().gradient(RecordedCorrelation()))[1] > 0.05


def test_a_loss_at_the_end_takes_one_kick() -> None:
    reference = final(reference_rig())
    gradient = reference.gradient(HEB())
    assert reference.compare(gradient)[1] < 1e-5
    assert gradient.rule == "heb/symmetric"
    with pytest.raises(ProgramError, match="skip all but the last"):
        reference_rig().gradient(HEB())


@pytest.mark.parametrize("name", ["stiffness", "friction", "input", "initial_momentum", "readout"])
def test_finite_differences_are_exact_to_the_square_of_their_step(name: str) -> None:
    reference = lossy()
    errors = [error_by_parameter(reference, FiniteDifferences(step=step), (name,))[name] for step in (4e-3, 1e-3)]
    assert errors[1] < 5e-3
    assert name == "readout" or errors[1] < errors[0] / 8


def test_finite_differences_put_back_what_they_moved() -> None:
    reference = lossy()
    gradient = reference.gradient(FiniteDifferences(), ("stiffness", "friction"))
    assert gradient.nudge is None and gradient.health == ""  # nothing was nudged, and nothing retraced
    for name in ("stiffness", "friction"):
        assert np.array_equal(reference.rig.read([name])[name], reference.theta[name])


@pytest.mark.parametrize("rule", [FiniteDifferences(step=1e-3), SPSA(step=1e-3, directions=4)], ids=["each", "all"])
def test_entries_that_are_not_trained_are_neither_moved_nor_paid_for(rule: Rule) -> None:
    reference = lossy()
    moved, trained = [], np.zeros(len(reference.theta["stiffness"]), bool)
    trained[1] = True

    class Watching:
        def do(self, operation: Operation) -> object:
            if isinstance(operation, Configure) and "stiffness" in operation.parameters:
                moved.append(operation.parameters["stiffness"] - reference.theta["stiffness"])
            return reference.handler().do(operation)

    asked = replace(reference.request(("stiffness",)), trained={"stiffness": trained})
    gradient = execute(rule.gradient(asked), Watching())
    assert np.any(moved) and not np.any(np.array(moved)[:, ~trained])
    assert not gradient.values["stiffness"][~trained].any()
    exact = reference.exact()[1]["stiffness"][1]
    assert gradient.values["stiffness"][1] == pytest.approx(exact, rel=1e-2)
    if isinstance(rule, FiniteDifferences):
        assert gradient.shots == 3 * len(reference.sequences)


def test_a_step_that_the_rig_cannot_make_is_refused_and_not_taken_for_a_slope_of_zero() -> None:
    reference = lossy()

    class Coarse:
        """Knobs go in steps of a tenth."""

        def do(self, operation: Operation) -> object:
            if isinstance(operation, Configure):
                steps = {name: np.round(value, 1) for name, value in operation.parameters.items()}
                return reference.handler().do(Configure(steps))
            return reference.handler().do(operation)

    asked = reference.request(("stiffness",))
    with pytest.raises(ProgramError, match=r"a step of 0\.001 moves stiffness by less than the rig can set"):
        execute(FiniteDifferences(step=1e-3).gradient(asked), Coarse())
    assert execute(FiniteDifferences(step=0.2).gradient(asked), Coarse()).values["stiffness"].any()


def test_an_interrupted_difference_leaves_no_parameter_shifted() -> None:
    reference = lossy()
    shots = 0

    class Failing:
        def do(self, operation: object) -> object:
            nonlocal shots
            shots += type(operation).__name__ == "RunShots"
            if shots == 5 and type(operation).__name__ == "RunShots":
                raise KeyboardInterrupt
            return reference.handler().do(operation)  # type: ignore[arg-type]

    program = FiniteDifferences().gradient(reference.request(("stiffness",)))
    with pytest.raises(KeyboardInterrupt):
        execute(program, Failing())
    assert np.array_equal(reference.rig.read(["stiffness"])["stiffness"], reference.theta["stiffness"])


def test_spsa_is_right_on_average_and_repeatable() -> None:
    reference = lossy()
    rule = SPSA(step=1e-3, directions=400)
    gradient, exact = reference.gradient(rule, ("stiffness", "friction")), reference.exact()[1]
    again = reference.gradient(rule, ("stiffness", "friction"))
    assert gradient.standard_error is not None
    for name in ("stiffness", "friction"):
        assert np.array_equal(gradient.values[name], again.values[name])
        off = (gradient.values[name] - exact[name]) / gradient.standard_error[name]
        assert np.sqrt(np.mean(off**2)) < 2, name
    assert gradient.shots == 801


def test_spsa_along_one_direction_is_the_slope_there() -> None:
    reference = lossy()
    gradient, exact = reference.gradient(SPSA(step=1e-4), ("coupling",)), reference.exact()[1]["coupling"]
    value = gradient.values["coupling"]
    signs = np.sign(value * np.sign(value[0]))
    # Every entry is the same slope along D, divided by its own step: D.g = sum of D_i g_i.
    assert np.allclose(np.abs(value), np.abs(value[0]))
    assert abs(value[0]) == pytest.approx(abs(float(signs @ exact)), rel=1e-4)


def test_what_a_rule_needs_is_compared_with_what_there_is() -> None:
    reference = lossy()

    def against(rule: Rule, task: ReferenceTask = reference, wanted: Sequence[str] = ("coupling",)) -> str:
        return "; ".join(objections(rule.needs, task.task, task.sequences, task.theta, wanted))

    assert against(RHEL()) == ""
    assert "not linear" in against(AdjointOnly())
    assert against(AdjointOnly(), linear()) == ""
    assert "e-folds of energy" in against(HEB())
    assert "before the last" in against(HEB())
    assert against(HEB(), final(reference_rig())) == ""
    blind = reference.declaring(reversals=frozenset())
    assert "no way to reverse" in against(RHEL(), blind)
    fixed = reference.declaring(knobs=())
    assert "coupling cannot be set" in against(FiniteDifferences(), fixed)
    assert against(FiniteDifferences(), fixed, ("initial_position", "readout")) == ""
    deaf = reference.declaring(drive_matrix=type(reference.rig.capabilities.drive_matrix)(np.zeros((6, 6))))
    assert "no drive port reaches what channel" in against(RHEL(), deaf)
    assert "which loses energy" in against(RHEL(), deaf)
    unread = reference.declaring(reads_state=False)
    assert against(RHEL(), unread) == ""
    assert "initial_position: learned from the state at the end of an echo" in against(
        RHEL(), unread, ("initial_position",)
    )
    assert "end of an echo" in against(HEB(), unread, ("initial_momentum", "coupling"))


@pytest.mark.parametrize(
    "make", [lambda: AdjointOnly(response=0.0), lambda: FiniteDifferences(step=0.0), lambda: SPSA(directions=0)]
)
def test_options_that_make_no_sense_are_refused(make: object) -> None:
    with pytest.raises(ConfigurationError):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("rule", [RHEL(), RHEL(lock=3), FittedTwin(), RHEL(repeats=3)])
def test_a_pass_of_one_kick_has_a_gradient_of_zero_and_no_traceback(rule: Any) -> None:
    model = OscillatorNetwork(2, nominal={"stiffness": [1.0, 2.0], "friction": 0.1})
    rig = SimulatedRig(model)
    task = Task(model, rig.capabilities, 0.1, 1, ("q2",), 1.0)
    sequence = TrialSequence("one", {}, np.ones((1, 1)), np.ones(1))
    theta = {name: spec.nominal for name, spec in model.parameters.items()}
    theta |= {"readout": np.ones((1, 1)), "readout_offset": np.zeros(1)}
    reference = ReferenceTask(model, rig, task, (sequence,), theta)
    assert not reference.gradient(rule, ("stiffness",)).values["stiffness"].any()
