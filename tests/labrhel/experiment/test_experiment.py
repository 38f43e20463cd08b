"""A configuration becomes an experiment, or one sentence that says why not."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from labrhel.config import examples
from labrhel.errors import ConfigurationError
from labrhel.executor import execute
from labrhel.experiment import Experiment, load_experiment
from labrhel.learning.parameters import Transform
from labrhel.learning.train import free_run, rms_error, train
from labrhel.rig.capabilities import Kind
from labrhel.shots.operations import Operation, Publish

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
SMALL = """
model:
  oscillators: 2
  coupling: chain
  units: {time: us, position: V, input: V}
  parameters:
    stiffness: [1.0, 1.2]
    friction: 0.1
    coupling: {value: 0.1, train: true, bounds: [0, 1]}
  readout: {channels: [q2], gain: 1.0, offset: 0.0}
optimizer: {kind: adam, rate: 0.01, steps: 5, seed: 3}
data:
  teacher:
    parameters: {coupling: 0.3}
    input: {amplitude: 0.3, band: [0.1, 0.3], tones: 5, seed: 4}
    samples: 60
    spacing: 0.25
    sequences: 3
    test_sequences: 1
"""


def made(tmp_path: Path, *changes: tuple[str, str], **options: object) -> Experiment:
    text = SMALL
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file = tmp_path / "small.yaml"
    file.write_text(text)
    return load_experiment(file, **options)  # type: ignore[arg-type]


def test_an_example_is_loaded_by_name_and_describes_itself() -> None:
    experiment = load_experiment("coupled_oscillators")
    assert experiment.name == "coupled_oscillators"
    assert experiment.config_text == examples()["coupled_oscillators"].read_text(encoding="utf-8")
    assert experiment.problem.wanted == ("coupling",)
    assert len(experiment.problem.parameters) == 15
    assert (experiment.target_unit, str(experiment.policy)) == ("V", "every 20")
    manifest = experiment.manifest()
    assert (manifest["rig"], manifest["seed"], manifest["steps"]) == ("sim:", 1, experiment.steps)
    assert Path(manifest["home"]) == examples()["coupled_oscillators"].parent


def test_steps_seed_and_rig_of_the_file_can_be_replaced(tmp_path: Path) -> None:
    experiment = made(tmp_path, rig_url="sim:?threads=1", seed=8, steps=0)
    assert (experiment.problem.seed, experiment.steps, experiment.rig_url) == (8, 0, "sim:?threads=1")
    for wrong in ({"seed": -1}, {"steps": -1}):
        with pytest.raises(ConfigurationError, match="must be 0 or more"):
            made(tmp_path, **wrong)


def test_theta_completes_the_trained_coordinates_to_all_parameters(tmp_path: Path) -> None:
    experiment = made(tmp_path)
    theta = experiment.theta(np.array([0.7]))
    assert set(theta) == {*experiment.task.model.parameters, "readout", "readout_offset"}
    np.testing.assert_array_equal(theta["coupling"], [0.7])
    np.testing.assert_array_equal(theta["stiffness"], [1.0, 1.2])
    np.testing.assert_array_equal(theta["readout"], [[1.0]])


def test_loss_is_one_for_a_read_out_stuck_at_the_mean_of_the_targets(tmp_path: Path) -> None:
    experiment = made(tmp_path)
    sequences = experiment.problem.train
    mean = np.concatenate([item.target for item in sequences], axis=1).mean()
    loss = experiment.task.loss(sequences)
    total = sum(loss.value(np.full_like(item.target, mean), item.target, item.weight) for item in sequences)
    assert total == pytest.approx(1.0)


def test_training_options_reach_the_parameters(tmp_path: Path) -> None:
    change = (
        "friction: 0.1",
        "friction: {value: 0.1, train: true, scale: 0.5}\n    mass: {value: 2, train: [true, false], transform: log}",
    )
    parameters = {item.name: item for item in made(tmp_path, change).problem.parameters.parameters}
    friction, mass, coupling = parameters["friction"], parameters["mass"], parameters["coupling"]
    assert (friction.symmetric, friction.scale, friction.low) == (True, 0.5, 0.0)
    np.testing.assert_array_equal(friction.trained, np.eye(2, dtype=bool))  # given as a diagonal, trained as one
    assert mass.transform is Transform.LOG
    np.testing.assert_array_equal(mass.trained, [True, False])
    assert (coupling.low, coupling.high) == (0.0, 1.0)


def test_a_friction_matrix_trains_its_upper_triangle(tmp_path: Path) -> None:
    change = ("friction: 0.1", "friction: {value: [[0.2, 0.1], [0.1, 0.3]], train: true}")
    names = made(tmp_path, change).problem.parameters.names
    assert [name for name in names if name.startswith("friction")] == [
        "friction[0,0]",
        "friction[0,1]",
        "friction[1,1]",
    ]


def test_the_read_out_may_be_a_number_a_list_or_a_matrix_and_trained(tmp_path: Path) -> None:
    per_channel = made(
        tmp_path, ("channels: [q2], gain: 1.0", "channels: [q1, q2], gain: {value: [2, 3], train: true}")
    )
    (gain,) = [item for item in per_channel.problem.parameters.parameters if item.name == "readout"]
    np.testing.assert_array_equal(gain.value, [[2, 0], [0, 3]])
    np.testing.assert_array_equal(gain.trained, np.eye(2, dtype=bool))
    mixed = made(
        tmp_path,
        (
            "channels: [q2], gain: 1.0, offset: 0.0",
            "channels: [q1, q2], gain: [[2, 3]], offset: {value: 0.5, train: true}",
        ),
    )
    assert mixed.problem.wanted == ("coupling", "readout_offset")
    assert mixed.problem.train[0].target.shape == (1, 60)


def test_maps_are_built_for_the_rig(tmp_path: Path) -> None:
    wires = "map:\n  ports: {u1: {terminal: CH1, gain: -2, source_ohm: 50, assumed_load_ohm: 50}}\n"
    knobs = "  parameters: {stiffness: {matrix: [[1, 0.1], [0, 1]], offset: 0.5}}\noptimizer:"
    experiment = made(tmp_path, ("optimizer:", wires + knobs))
    np.testing.assert_allclose(experiment.wiring.to_device("u1", np.array([1.0])), [-0.25])  # open load: doubled
    knob = experiment.wiring.to_knobs({"stiffness": np.array([1.0, 2.0])})["stiffness"]
    np.testing.assert_allclose(knob, [1.7, 2.5])


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ("oscillators: 2", "oscillators: 2\n  kind: pendulum", "model.kind", "'pendulum'; known are: "),
        ("coupling: chain", "coupling: [[0, 5]]", "model.coupling", "two different oscillators of 0..1"),
        ("friction: 0.1", "frictoin: 0.1", "model.parameters.frictoin", "did you mean 'friction'?"),
        ("friction: 0.1", "friction: -0.1", "model.parameters.friction", "must not be negative"),
        ("friction: 0.1", "friction: [[0.1, 0.5], [0.5, 0.1]]", "model.parameters.friction", "in any mode"),
        ("friction: 0.1", "mass: 0", "model.parameters.mass", "every mass must be positive"),
        ("friction: 0.1", "mass: {value: 1, train: true}", "model.parameters.mass", "must stay positive"),
        ("[1.0, 1.2]", "[1.0]", "model.parameters.stiffness", "expected (2,)"),
        ("value: 0.1, train: true", "value: 0.1", "model.parameters", "nothing is trained"),
        (
            "friction: 0.1",
            "friction: {value: 0.1, train: [[true, false], [true, true]]}",
            "model.parameters.friction",
            "G_ij and G_ji both",
        ),
        (
            "friction: 0.1",
            "friction: {value: 0.1, train: true, bounds: [-1, 1]}",
            "model.parameters.friction",
            "the lowest friction is 0",
        ),
        ("model:", "model:\n  inputs: [f1]", "model.inputs", "two ports or channels named 'f1'"),
        ("model:", "model:\n  inputs: [q2]", "model.inputs", "two ports or channels named 'q2'"),
        ("optimizer:", "protocol: {eps: 1e-3, response: 1e-3}\noptimizer:", "protocol", "not both"),
        ("optimizer:", "protocol: {eps: 1e-300}\noptimizer:", "protocol", "eps must be a positive number from"),
        (
            "optimizer:",
            "map: {ports: {u1: {terminal: a, coupling: ac}}}\noptimizer:",
            "map.ports.u1",
            "blocks the mean",
        ),
        ("gain: 1.0", "gain: 1e200", "data", "their squares overflow"),
        ("bounds: [0, 1]", "bounds: [0.5, 1]", "model.parameters.coupling", "starts outside its bounds"),
        ("train: true", "train: [true, true]", "model.parameters.coupling", "train has shape (2,)"),
        ("channels: [q2]", "channels: [q7]", "model.readout.channels[0]", "known are: q1, q2"),
        ("channels: [q2]", "channels: [v2]", "model.readout.channels[0]", "no position channel"),
        ("gain: 1.0", "gain: [[1, 2]]", "model.readout.gain", "2 columns for 1 channels"),
        ("stiffness: [1.0, 1.2]", "stiffness: [900, 1]", "data.teacher.spacing", "unstable"),
        ("optimizer:", "protocol: {rule: backprop}\noptimizer:", "protocol", "known are: "),
        ("optimizer:", "rig: 'desk:x'\noptimizer:", "rig", "known are: "),
        ("optimizer:", "rig: sim\noptimizer:", "rig", "named by a URL"),
        ("optimizer:", "map: {ports: {u7: {terminal: a}}}\noptimizer:", "map.ports.u7", "no such port or channel"),
        ("optimizer:", "map: {parameters: {q1: {matrix: 1}}}\noptimizer:", "map.parameters.q1", "no such knob"),
        ("optimizer:", "map: {parameters: {mass: {matrix: [[1]]}}}\noptimizer:", "map.parameters.mass", "2 x 2"),
        ("data:", "data:\n  batch: 4", "data.batch", "there are 3"),
        ("kind: adam, rate: 0.01", "kind: lbfgs", "data.batch", "same loss at every step"),
    ],
)
def test_what_cannot_work_is_named_before_anything_runs(
    tmp_path: Path, old: str, new: str, key: str, words: str
) -> None:
    changes = [(old, new)]
    if "lbfgs" in new:
        changes.append(("data:", "data:\n  batch: 2"))
    with pytest.raises(ConfigurationError) as caught:
        made(tmp_path, *changes)
    assert (caught.value.key, caught.value.file) == (key, tmp_path / "small.yaml")
    assert words in caught.value.problem
    assert list(tmp_path.iterdir()) == [tmp_path / "small.yaml"]


def test_a_step_at_which_only_the_trained_model_is_unstable_is_refused(tmp_path: Path) -> None:
    change = ("{coupling: 0.3}", "{stiffness: 1.0}"), ("stiffness: [1.0, 1.2]", "stiffness: 300")
    with pytest.raises(ConfigurationError, match=r"data.*unstable"):
        made(tmp_path, *change)


def test_a_wrong_url_on_the_command_line_does_not_blame_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        made(tmp_path, rig_url="simm:")
    assert caught.value.file is None


def test_loading_writes_nothing_and_leaves_the_rig_at_its_nominal_values(tmp_path: Path) -> None:
    experiment = made(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "small.yaml"]
    knobs = experiment.rig.read(["coupling"])
    np.testing.assert_array_equal(knobs["coupling"], [0.1])
    assert experiment.rig.capabilities.ports_of(Kind.INPUT) == ("u1",)


def errors_of(experiment: Experiment, x: np.ndarray) -> dict[str, float]:
    theta, handler = experiment.theta(x), experiment.executor()
    return {
        name: rms_error(sequences, execute(free_run(experiment.task, sequences, theta), handler))
        for name, sequences in experiment.tests.items()
    }


def trained(experiment: Experiment) -> tuple[list[float], dict[str, float], dict[str, float]]:
    """Losses by step, and the test errors before and after."""
    losses: list[float] = []
    handler = experiment.executor()

    class Watching:
        def do(self, operation: Operation) -> object:
            if isinstance(operation, Publish):
                losses.append(operation.scalars["loss"])
            return handler.do(operation)

    optimizer = experiment.make_optimizer()
    before = errors_of(experiment, optimizer.ask())
    execute(train(experiment.problem, optimizer, experiment.steps), Watching())
    return losses, before, errors_of(experiment, optimizer.best())


@pytest.mark.slow
def test_the_six_oscillators_lower_their_loss_a_hundredfold() -> None:
    losses, before, after = trained(load_experiment("coupled_oscillators", steps=400))  # all 800: `make targets`
    assert losses[-1] < losses[0] / 100
    assert after["test"] < before["test"] / 10


@pytest.mark.slow
def test_a_made_recording_is_learned_down_to_its_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["make_recording.py", "--out", str(tmp_path / "recording.npz"), "--seed", "5"])
    runpy.run_path(str(EXAMPLES / "make_recording.py"), run_name="__main__")
    monkeypatch.setenv("LABRHEL_DATA", str(tmp_path))
    losses, before, after = trained(load_experiment("recording"))
    assert before["arrow_head"] > 13.5e-3
    assert losses[-1] < losses[0] / 1000
    assert after["arrow_head"] < 0.3e-3  # the noise is 0.1 mV


@pytest.mark.slow
def test_the_measured_circuit_is_learned_by_driven_echoes() -> None:
    try:
        experiment = load_experiment("silverbox")
    except ConfigurationError as error:
        if error.key != "data.file":
            raise
        pytest.skip(f"needs the measured recording: {error.problem}")
    _, before, after = trained(experiment)
    assert before["arrow_head"] >= 13.5e-3  # no better than the linear fit
    assert after["arrow_head"] <= 0.46e-3
