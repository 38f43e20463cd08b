"""What a task asks a rig for, and which sequences and rigs it refuses."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labrhel.errors import ConfigurationError, ProgramError
from labrhel.executor import Compiling, RigBackend
from labrhel.learning.task import Task, TrialSequence
from labrhel.shots.operations import RunShots
from labrhel.shots.program import GivenState, Rest, Role
from labrhel.shots.waveform import Waveform
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

MODEL = OscillatorNetwork(2, coupling="all", nominal={"stiffness": [1.0, 2.0], "coupling": [0.3], "mass": [1.0, 0.5]})
RIG = SimulatedRig(MODEL)


def task(**changes: Any) -> Task:
    return replace(Task(MODEL, RIG.capabilities, 0.2, 3, ("q2", "q1"), 0.25), **changes)


def sequence(**changes: Any) -> TrialSequence:
    inputs = {"u1": Waveform.of(np.cos(np.arange(13)), 0.2)}
    return TrialSequence(
        **{"name": "one", "inputs": inputs, "target": np.ones((2, 5)), "weight": np.ones(5), **changes}
    )


def theta(**changes: Any) -> dict[str, Any]:
    return {name: spec.nominal for name, spec in MODEL.parameters.items()} | changes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weight": np.ones(4)}, "one: 5 target samples but 4 weights"),
        ({"weight": np.zeros(5)}, "one: no sample counts"),
        ({"weight": np.array([1, 1, np.nan, 1, 1])}, "one: the weight holds a sample that is not a number"),
        ({"target": np.array([[1.0, np.inf, 0, 0, 0]] * 2)}, "one: the target holds a sample that is not a number"),
    ],
)
def test_a_sequence_that_contradicts_itself_is_refused_by_name(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        sequence(**changes)


def test_one_sample_that_counts_is_enough() -> None:
    assert sequence(weight=np.array([0, 0, 0, 0, 1.0])).samples == 5


def test_a_velocity_cannot_be_read_out() -> None:
    with pytest.raises(ConfigurationError, match="channel v1 sees a velocity; read out positions: q1, q2"):
        task(channels=("q1", "v1"))


def test_samples_lie_every_so_many_kicks_and_the_last_kick_is_the_last_sample() -> None:
    assert task().steps(sequence()) == 13
    assert task(every=1).steps(sequence()) == 5
    assert task().steps(sequence(target=np.ones((1, 1)), weight=np.ones(1))) == 1


def test_a_step_is_refused_from_the_limit_of_stability_on() -> None:
    limit = MODEL.largest_step(theta())
    task(step=0.999 * limit).check_step(theta())
    for step in (limit, 1.001 * limit):
        with pytest.raises(ConfigurationError, match="is unstable for this model"):
            task(step=step).check_step(theta())


def test_the_rig_gets_the_parameters_that_it_has_knobs_for() -> None:
    bare = replace(RIG.capabilities, knobs=tuple(knob for knob in RIG.capabilities.knobs if knob.name == "mass"))
    found = task(capabilities=bare).rig_parameters(theta(readout=np.eye(2)))
    assert list(found) == ["mass"] and found["mass"].tolist() == [1.0, 0.5]


def test_a_pass_starts_from_rest_unless_one_part_of_the_state_is_not_zero() -> None:
    assert isinstance(task().prepare(theta(), sequence()), Rest)
    for name in ("initial_position", "initial_momentum"):
        prepared = task().prepare({name: np.array([0.0, 0.7])}, sequence())
        assert isinstance(prepared, GivenState)
        expected = {"initial_position": [0.0, 0.0], "initial_momentum": [0.0, 0.0], name: [0.0, 0.7]}
        assert prepared.position.values.tolist() == expected["initial_position"]
        assert prepared.momentum.values.tolist() == expected["initial_momentum"]


def test_a_forward_pass_plays_the_inputs_and_reads_what_was_asked_for() -> None:
    program = task().forward(sequence(), theta(), ["q1"], every=4, keep=True)
    (only,) = program.passes
    assert (program.dt, only.steps, only.keep, only.echo) == (0.2, 13, True, False)
    assert (only.acquire.channels, only.acquire.every) == (("q1",), 4)
    (drive,) = only.drives
    assert (drive.port, drive.role) == ("u1", Role.INPUT)
    assert drive.waveform == sequence().inputs["u1"]
    plain = task().forward(sequence(), theta(), ["q1"]).passes[0]
    assert plain.acquire.every == 1 and not plain.keep


@pytest.mark.parametrize("every", [1, 3])
def test_what_is_captured_is_read_at_the_samples_in_the_order_of_the_channels(every: int) -> None:
    handler = Compiling(RigBackend(RIG), RIG.capabilities)
    program = task().forward(sequence(), theta(), ["q1", "q2"], every=every)
    (capture,) = handler.do(RunShots((program,)))
    traces = capture.passes[0].traces
    read = task().captured(capture)
    assert np.array_equal(read, np.stack([traces[name].values[0][:: 3 // every] for name in ("q2", "q1")]))
    assert read.shape == (2, 5) and read.any()


def test_the_readout_is_gain_and_offset_of_the_parameters() -> None:
    readout = task().readout(theta(readout=[[1, 2]], readout_offset=[3]))
    assert readout.outputs(np.array([[1.0], [10.0]])).tolist() == [[24.0]]


def test_the_loss_is_one_for_a_readout_that_stays_at_the_mean_of_its_target() -> None:
    random = np.random.default_rng(2)
    targets = [random.normal(size=(2, 5)) for _ in range(2)]
    weights = [random.uniform(0.5, 1.5, 5) for _ in range(2)]
    both = [sequence(target=target, weight=weight) for target, weight in zip(targets, weights, strict=True)]
    mean_square = sum((w * t**2).sum() for w, t in zip(weights, targets, strict=True)) / (2 * sum(map(np.sum, weights)))
    loss = task(variance=float(mean_square)).loss(both)
    assert sum(loss.value(np.zeros((2, 5)), item.target, item.weight) for item in both) == pytest.approx(1.0)


@pytest.mark.parametrize("variance", [0.0, -1.0, np.nan])
def test_targets_that_do_not_vary_teach_nothing(variance: float) -> None:
    with pytest.raises(ProgramError, match="the training targets are constant"):
        task(variance=variance).loss([sequence()])
