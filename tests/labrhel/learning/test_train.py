"""The training loop on a loss in closed form: batches over epochs, what is handed on and recorded, where it ends."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from labrhel.errors import ConfigurationError, DivergedError, TrainingError
from labrhel.executor import Compiling, RigBackend, execute
from labrhel.learning.gradient import Gradient, NudgeRecord
from labrhel.learning.needs import Needs
from labrhel.learning.optimizers import LBFGS, RUNAWAY, Adam, Momentum
from labrhel.learning.parameters import Parameter, ParameterSet
from labrhel.learning.rules import GradientRequest
from labrhel.learning.task import Task, TrialSequence
from labrhel.learning.train import (
    PATIENCE,
    Problem,
    _finite,
    batch_at,
    checkpoint_state,
    free_run,
    rms_error,
    scalars_of,
    take_up,
    train,
)
from labrhel.shots.operations import Checkpoint, Configure, Operation, Protocol, Publish, RunShots
from labrhel.shots.waveform import Waveform
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

FREE = (np.full(2, -np.inf), np.full(2, np.inf))
START = np.array([1.5, 2.5])


def task() -> Task:
    model = OscillatorNetwork(2, nominal={"stiffness": [1.0, 1.7], "input": [[1.0], [0.4]]})
    return Task(model, SimulatedRig(model).capabilities, 0.1, 2, ("q2",), 0.3)


def sequences(count: int) -> tuple[TrialSequence, ...]:
    random = np.random.default_rng(3)
    wave = Waveform.of(np.sin(0.3 * np.arange(9)), 0.1)
    return tuple(
        TrialSequence(f"s{index}", {"u1": wave}, random.normal(size=(1, 5)), random.uniform(0.1, 1, 5))
        for index in range(count)
    )


@dataclass
class Parabola:
    """dL/dx of L = x . x/2, divided by the number of sequences; remembers what it was asked with."""

    needs: Needs = field(default_factory=Needs)
    asked: list[tuple[list[str], NudgeRecord | None]] = field(default_factory=list)
    infinite_at: int | None = None
    diverges_at: range = range(0)

    def gradient(self, asked: GradientRequest) -> Protocol[Gradient]:
        assert list(asked.wanted) == ["stiffness"]
        self.asked.append(([item.name for item in asked.sequences], asked.previous))
        x = np.array(asked.theta["stiffness"])
        slope = x.copy()
        if self.infinite_at == len(self.asked) - 1:
            slope[1] = np.inf
        yield Configure({"stiffness": x})
        if len(self.asked) - 1 in self.diverges_at:
            raise DivergedError("too far")
        loss, count = float(x @ x) / 2, len(self.asked)
        moved = {"stiffness": 0.01 * count * np.ones(2)}
        return Gradient(
            {"stiffness": slope}, loss, "parabola", 4, 5, 0.1 * count, 0.2, 0.3,
            warnings=("beware",), deviations=moved, measured={"odd": 7.0},
        )  # fmt: skip


class Log:
    def __init__(self) -> None:
        self.seen: list[Operation] = []

    def do(self, operation: Operation) -> None:
        self.seen.append(operation)

    def of(self, kind: type) -> list[Any]:
        return [item for item in self.seen if isinstance(item, kind)]


def problem(rule: Parabola, count: int = 6, batch: int = 2) -> Problem:
    parameters = ParameterSet([Parameter("stiffness", START)])
    return Problem(task(), rule, parameters, parameters.values, sequences(count), batch, seed=4)


def gradient_descent() -> Momentum:
    return Momentum(START, FREE, rate=0.25, momentum=0.0)


# -- batches -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "batch"), [(6, 2), (6, 3), (7, 3), (5, 4)])
def test_each_epoch_takes_as_many_different_sequences_as_its_batches_hold(count: int, batch: int) -> None:
    per_epoch = count // batch
    for epoch in range(4):
        steps = range(epoch * per_epoch, (epoch + 1) * per_epoch)
        taken = [index for step in steps for index in batch_at(count, batch, 11, step)]
        assert len(taken) == len(set(taken)) == per_epoch * batch
        assert set(taken) <= set(range(count))


def test_epochs_and_seeds_are_shuffled_differently_and_each_always_the_same() -> None:
    def epoch(seed: int, number: int) -> list[int]:
        return [index for step in range(5) for index in batch_at(20, 4, seed, 5 * number + step)]

    orders = [epoch(seed, number) for seed in (1, 2) for number in range(3)]
    assert len({tuple(order) for order in orders}) == 6
    assert epoch(2, 1) == orders[4]
    permutation = np.random.default_rng([2, 1]).permutation(20)
    assert orders[4] == permutation.tolist()


@pytest.mark.parametrize("batch", [3, 4])
def test_a_batch_that_holds_all_takes_them_in_their_order(batch: int) -> None:
    assert [batch_at(3, batch, 5, step) for step in range(3)] == [[0, 1, 2]] * 3


# -- the loop ----------------------------------------------------------------------------------------------------------


def test_each_step_is_a_gradient_its_scalars_and_a_checkpoint_in_that_order() -> None:
    rule, log = Parabola(), Log()
    assert execute(train(problem(rule), gradient_descent(), 3), log)[0] == 3
    assert [type(item) for item in log.seen] == [Configure, Publish, Checkpoint] * 3
    points = [START * 0.75**step for step in range(3)]
    assert np.allclose([item.parameters["stiffness"] for item in log.of(Configure)], points)
    for step, (published, checkpoint, x) in enumerate(zip(log.of(Publish), log.of(Checkpoint), points, strict=True)):
        assert (published.step, checkpoint.step) == (step, step + 1)
        assert published.words == ("beware",)
        assert published.scalars["loss"] == pytest.approx(x @ x / 2)
        assert published.scalars["gradient_norm"] == pytest.approx(np.linalg.norm(x))
        assert checkpoint.state["planned_steps"] == 3
        assert np.allclose(checkpoint.state["parameters"], x)
        assert checkpoint.state["parameter_names"] == ["stiffness[0]", "stiffness[1]"]


def test_every_step_gets_its_batch_and_the_nudge_of_the_one_before() -> None:
    rule = Parabola()
    first = NudgeRecord(9.0, 0.9)
    taken, last = execute(train(problem(rule), gradient_descent(), 7, start=2, nudge=first), Log())
    assert taken == 7
    wanted = [[f"s{index}" for index in batch_at(6, 2, 4, step)] for step in range(2, 7)]
    assert [names for names, _ in rule.asked] == wanted
    nudges = [nudge for _, nudge in rule.asked]
    assert nudges[0] is first
    assert [nudge.eps for nudge in nudges[1:] if nudge] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert last is not None and last.eps == pytest.approx(0.5)
    assert np.allclose(last.deviations["stiffness"], 0.05)


def test_what_is_said_beside_goes_into_every_checkpoint() -> None:
    log = Log()
    execute(train(problem(Parabola()), gradient_descent(), 2, also=lambda: {"calibration": "c1"}), log)
    assert [item.state["calibration"] for item in log.of(Checkpoint)] == ["c1", "c1"]


def test_training_ends_after_the_gradient_that_says_so_and_that_step_counts() -> None:
    log = Log()
    ends: Callable[[Gradient], bool] = lambda gradient: gradient.eps > 0.15  # noqa: E731
    taken, nudge = execute(train(problem(Parabola()), gradient_descent(), 9, ends=ends), log)
    assert taken == 2
    assert nudge is not None and nudge.eps == pytest.approx(0.2)
    assert [item.step for item in log.of(Checkpoint)] == [1, 2]


def test_a_converged_optimizer_takes_no_further_gradient() -> None:
    rule, optimizer = Parabola(), LBFGS(START, FREE)
    taken, _ = execute(train(problem(rule, batch=6), optimizer, 50), Log())
    assert optimizer.done
    assert taken == len(rule.asked) < 50
    assert np.allclose(optimizer.best(), 0.0, atol=1e-6)


@pytest.mark.parametrize("start", [3, 5])
def test_nothing_is_done_where_all_steps_were_taken(start: int) -> None:
    log, nudge = Log(), NudgeRecord(1.0, 0.5)
    assert execute(train(problem(Parabola()), gradient_descent(), 3, start=start, nudge=nudge), log) == (start, nudge)
    assert not log.seen


def test_a_gradient_that_is_not_finite_names_its_step_and_its_parameter_and_moves_nothing() -> None:
    optimizer, log = gradient_descent(), Log()
    with pytest.raises(TrainingError, match=r"gradient 1 by stiffness\[1\] is not a finite number"):
        execute(train(problem(Parabola(infinite_at=1)), optimizer, 3), log)
    assert np.allclose(optimizer.ask(), 0.75 * START)
    assert len(log.of(Checkpoint)) == 1


def test_a_trial_that_diverges_is_a_step_that_backs_off_half_way_and_is_said() -> None:
    log = Log()
    taken, nudge = execute(train(problem(Parabola(diverges_at=range(1, 3))), gradient_descent(), 4), log)
    assert taken == 4
    assert nudge is not None and nudge.eps == pytest.approx(0.4)
    points = [item.parameters["stiffness"] for item in log.of(Configure)]
    assert np.allclose(points, [START, 0.75 * START, 0.875 * START, 0.9375 * START])
    published = log.of(Publish)
    assert [item.scalars.get("diverged", 0.0) for item in published] == [0.0, 1.0, 1.0, 0.0]
    assert ["loss" in item.scalars for item in published] == [True, False, False, True]
    assert published[1].words == ("a trial diverged, and the optimizer backed off: too far",)
    assert [item.step for item in log.of(Checkpoint)] == [1, 2, 3, 4]


def test_a_loss_that_has_run_away_diverged_where_any_part_of_its_gradient_is_no_number() -> None:
    def first(loss: float, part: float) -> float:
        class Runaway(Parabola):
            def gradient(self, asked: GradientRequest) -> Protocol[Gradient]:
                yield Configure({})
                return Gradient({"stiffness": np.array([1.0, part]), "mass": np.ones(2)}, loss, "r", 4, 5)

        return execute(_finite(problem(Runaway()), START, sequences(1), None), Log()).loss

    assert first(1.1 * RUNAWAY, 1.0) == 1.1 * RUNAWAY
    assert first(0.9 * RUNAWAY, np.nan) == 0.9 * RUNAWAY  # which the training names the parameter of
    for loss, part in ((1.1 * RUNAWAY, np.nan), (np.inf, 1.0), (np.nan, 1.0)):
        with pytest.raises(DivergedError, match="and its gradient is no finite number"):
            first(loss, part)


def test_there_is_no_way_back_from_a_first_point_that_diverges() -> None:
    with pytest.raises(DivergedError, match="too far"):
        execute(train(problem(Parabola(diverges_at=range(1))), gradient_descent(), 4), Log())


def test_a_rig_that_goes_on_diverging_beside_its_last_good_point_ends_the_training() -> None:
    rule = Parabola(diverges_at=range(1, 99))
    with pytest.raises(TrainingError, match=f"{PATIENCE} trials in a row diverged"):
        execute(train(problem(rule), gradient_descent(), 99), Log())
    assert len(rule.asked) == PATIENCE + 1


# -- what is recorded --------------------------------------------------------------------------------------------------


def test_scalars_hold_the_facts_of_the_gradient_the_norm_of_the_slope_and_what_was_measured() -> None:
    gradient = Gradient({}, 0.5, "r", 4, 5, 0.1, 0.2, 0.3, measured={"odd": 7.0})
    assert scalars_of(gradient, np.array([3.0, 4.0])) == {
        "loss": 0.5, "eps": 0.1, "response_ratio": 0.2, "retrace_error": 0.3, "gradient_norm": 5.0,
        "shots": 4.0, "passes": 5.0, "odd": 7.0,
    }  # fmt: skip


def test_what_a_rule_does_not_measure_is_not_recorded() -> None:
    bare = Gradient({}, 0.5, "r", 4, 5)
    assert scalars_of(bare, np.array([3.0, 4.0])) == {"loss": 0.5, "gradient_norm": 5.0, "shots": 4.0, "passes": 5.0}


def test_a_checkpoint_taken_up_goes_on_with_the_same_optimizer_and_nudge() -> None:
    optimizer = Adam(START, FREE, rate=0.1)
    optimizer.tell(0.0, np.array([1.0, -2.0]))
    parameters = ParameterSet([Parameter("stiffness", START)])
    nudge = NudgeRecord(0.3, 0.04, {"mass": np.array([0.1])}, {"one": np.ones((2, 2))})
    state = checkpoint_state(parameters, optimizer, nudge, optimizer.ask())
    other = Adam(START, FREE, rate=0.1)
    assert take_up(other, state, parameters.names) == nudge
    assert np.array_equal(other.ask(), optimizer.ask())
    without = checkpoint_state(parameters, optimizer, None, START)
    assert take_up(other, without, parameters.names) is None
    assert (without["doubt"], without["pairs"], without["aim"]) == (0.0, 1, None)
    late = NudgeRecord(0.3, 0.04, {}, {}, 0.02, 0.5, 3)
    state = checkpoint_state(parameters, optimizer, late, START)
    assert take_up(other, state, parameters.names) == late
    earlier = {name: value for name, value in state.items() if name not in ("aim", "doubt", "pairs")}
    assert take_up(other, earlier, parameters.names) == NudgeRecord(0.3, 0.04)


def test_a_checkpoint_of_other_parameters_is_refused() -> None:
    parameters = ParameterSet([Parameter("stiffness", START)])
    optimizer = gradient_descent()
    state = checkpoint_state(parameters, optimizer, None, START)
    with pytest.raises(ConfigurationError, match="trains other parameters"):
        take_up(optimizer, state, ["mass[0]", "mass[1]"])


# -- forward only ------------------------------------------------------------------------------------------------------


class Achieving:
    """A rig that is told one state and starts from another, and says so."""

    def __init__(self, task: Task) -> None:
        self._inner = Compiling(RigBackend(SimulatedRig(task.model)), task.capabilities)
        self.programs: list[Any] = []

    def do(self, operation: Operation) -> Any:
        answer = self._inner.do(operation)
        if isinstance(operation, RunShots):
            self.programs += operation.programs
        return {"initial_position": np.array([0.5, -0.25])} if isinstance(operation, Configure) else answer


def test_a_free_run_reads_the_samples_alone_and_believes_what_the_rig_says_it_was_set_to() -> None:
    model, all_of = task(), sequences(2)
    theta = {name: spec.nominal for name, spec in model.model.parameters.items()}
    theta |= {"readout": np.array([[2.0]]), "readout_offset": np.array([0.7])}
    rig = Achieving(model)
    outputs = execute(free_run(model, all_of, theta), rig)
    assert [item.shape for item in outputs] == [(1, 5), (1, 5)]
    assert all(np.array_equal(item.prepare.position.values, [0.5, -0.25]) for item in rig.programs)
    # The first kick is half a step after the start, which is at rest: the read-out is 2 q2 + 0.7.
    assert outputs[0][0, 0] == pytest.approx(2 * -0.25 + 0.7)
    assert [item.passes[0].acquire.every for item in rig.programs] == [2, 2]


def test_a_request_at_what_was_achieved_differs_in_that_alone() -> None:
    theta, nudge = {"mass": np.ones(2), "stiffness": START}, NudgeRecord(0.1, 0.2)
    asked = GradientRequest(task(), sequences(2), theta, ("mass",), nudge)
    moved = asked.at({"mass": np.full(2, 1.25)})
    assert moved.theta["mass"].tolist() == [1.25, 1.25] and moved.theta["stiffness"] is START
    assert (moved.sequences, moved.wanted, moved.previous) == (asked.sequences, ("mass",), nudge)
    assert theta["mass"].tolist() == [1.0, 1.0]


def test_the_rms_error_counts_weights_outputs_and_sequences() -> None:
    weights = np.array([[1.0, 0.0, 0.5], [2.0, 1.0, 0.0]])
    target = np.array([[5.0, 1.0, -2.0], [0.5, 0.0, 3.0]])
    all_of = [TrialSequence(f"s{i}", {}, target, weight) for i, weight in enumerate(weights)]
    errors = np.array([[[1.0, 9.0, 2.0], [0.0, 9.0, 4.0]], [[3.0, 1.0, 9.0], [1.0, 0.0, 9.0]]])
    squares = 1 * (1 + 0) + 0.5 * (4 + 16) + 2 * (9 + 1) + 1 * (1 + 0)
    assert rms_error(all_of, target + errors) == pytest.approx(np.sqrt(squares / (2 * 4.5)))
