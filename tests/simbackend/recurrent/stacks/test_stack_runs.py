"""`labrhel run` on a stack: a small problem of the archive, written by the test."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install 'labrhel[torch]'")

from labrhel.arrays import Array, Arrays  # noqa: E402
from labrhel.config import examples  # noqa: E402
from labrhel.config.stack import load_stack  # noqa: E402
from labrhel.data.archive import Archive  # noqa: E402
from labrhel.data.samples import Samples  # noqa: E402
from labrhel.experiment.runners import own_runner, own_runner_of_run  # noqa: E402
from labrhel.learning.units import BackwardRun, Engine, ForwardRun, UnitState  # noqa: E402
from labrhel.shots.operations import Publish  # noqa: E402
from labrhel.testing.command_line import call, only_run  # noqa: E402
from simbackend.recurrent.stacks import experiment  # noqa: E402
from simbackend.recurrent.stacks.engines import make_engine  # noqa: E402
from simbackend.recurrent.stacks.experiment import build_stack  # noqa: E402
from simbackend.recurrent.stacks.layer import Health  # noqa: E402
from simbackend.recurrent.stacks.problem import classification  # noqa: E402
from simbackend.recurrent.stacks.training import seeded  # noqa: E402
from simbackend.testing.torch_units import UNITS  # noqa: E402

CONFIG = """
model: {kind: hssm, unit: nonlinear, blocks: 1, hidden: 4, state: 4}
protocol: {engine: ENGINE}
optimizer: {rate: 0.02, epochs: 3, batch: 8, seeds: [0, 7]}
data: {file: Tones_TRAIN.ts}
"""


def problem(folder: Path, *, engine: str = "echoes") -> Path:
    random = np.random.default_rng(0)
    for part in ("TRAIN", "TEST"):
        lines = ["@problemName Tones", "@timeStamps false", "@classLabel true slow fast", "@data"]
        for index in range(12):
            fast = index % 2
            wave = np.sin((0.3 + 0.6 * fast) * np.arange(40) + random.uniform(0, 6))
            lines.append(",".join(f"{value:.5f}" for value in wave) + ":" + ("fast" if fast else "slow"))
        (folder / f"Tones_{part}.ts").write_text("\n".join(lines) + "\n")
    file = folder / "tones.yaml"
    file.write_text(CONFIG.replace("ENGINE", engine))
    return file


def test_a_run_trains_every_seed_and_ends_with_the_mean_test_accuracy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = problem(tmp_path)
    assert call("run", file, "--out", tmp_path / "runs") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("test accuracy 0.") or last.startswith("test accuracy 1.")
    assert "(mean of 2 seeds: " in last
    reader = only_run(tmp_path / "runs")
    scalars = reader.scalars()
    assert reader.status == "done"
    assert scalars["seed"].tolist() == [0, 0, 0, 7, 7, 7]
    assert np.isfinite(scalars["accuracy"]).tolist() == [False, False, True] * 2
    assert (scalars["loss"] > 0).all()
    assert ((scalars["response_ratio"] > 1e-7) & (scalars["response_ratio"] < 1e-3)).all()
    assert (scalars["retrace_error"] < 1e-6).all()
    for words in (("show",), ("plot",), ("report",)):
        assert call(*words, reader.id, "--runs", tmp_path / "runs") == 0


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    file = problem(tmp_path)
    whole = own_runner(file, rig=None, steps=None, seed=None)
    assert whole is not None
    whole.start(tmp_path / "whole", lambda published: None)

    def stop(published: Publish) -> None:
        if published.step == 4:  # in the middle of the second seed
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        whole.start(tmp_path / "stopped", stop)
    stopped = only_run(tmp_path / "stopped")
    assert stopped.status == "interrupted"
    again = own_runner_of_run(stopped.folder, None)
    assert again is not None
    again.resume(stopped.folder, lambda published: None)
    expected, found = (only_run(tmp_path / name).scalars() for name in ("whole", "stopped"))
    assert expected.keys() == found.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_steps_are_epochs_and_a_seed_stands_for_all(tmp_path: Path) -> None:
    assert call("run", problem(tmp_path), "--out", tmp_path / "runs", "--steps", "1", "--seed", "3") == 0
    assert only_run(tmp_path / "runs").scalars()["seed"].tolist() == [3]


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", problem(tmp_path), "--out", tmp_path / "runs", "--dry-run") == 0
    assert "17 sequences to learn from, 3 to stop by, 4 to test on, 2 classes" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("Tones_TRAIN.ts", "Absent_TRAIN.ts"), "tones.yaml:5: data.file: there is no data file Absent_TRAIN.ts"),
        (("engine: bptt", "engine: bptt, eps: 1e-3"), "nudges nothing; leave out eps"),
        (("blocks: 1", "blocks: 0"), "tones.yaml:2: model.blocks: must be >= 1"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], words: str
) -> None:
    file = problem(tmp_path, engine="bptt")
    file.write_text(file.read_text().replace(*change))
    assert call("run", file, "--out", tmp_path / "runs") == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert not (tmp_path / "runs").exists()


def test_what_is_for_rigs_is_refused_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = problem(tmp_path)
    assert call("run", file, "--out", tmp_path / "runs", "--rig", "sim:") == 2
    assert "leave out --rig" in capsys.readouterr().err
    assert call("check", file) == 2
    assert "only `labrhel run` takes it" in capsys.readouterr().err


def test_a_stack_may_mix_damped_and_lossless_units(tmp_path: Path) -> None:
    file = problem(tmp_path)
    mixed = "unit: [damped, nonlinear], step: {initial: 0.2, trained: false}, friction: {initial: 0.1}, blocks: 2"
    file.write_text(file.read_text().replace("unit: nonlinear, blocks: 1", mixed))
    assert call("run", file, "--out", tmp_path / "runs", "--steps", "1", "--seed", "3") == 0
    scalars = only_run(tmp_path / "runs").scalars()
    assert np.isfinite(scalars["loss"]).all()
    assert (scalars["growth"] < 3).all()


def test_the_estimator_of_a_file_is_the_one_its_echoes_are_combined_by(tmp_path: Path) -> None:
    file, found = problem(tmp_path), {}
    for words in ("engine=bptt", "estimator=one_sided", "estimator=symmetric", "estimator=four_point"):
        changes = [f"protocol.{words}", *(["protocol.eps=0.3"] if "bptt" not in words else [])]
        training = experiment.load(file, home=tmp_path, steps=None, seed=None, changes=changes).training(0)
        training.model.train()
        with seeded(0):
            training.gradient(*next(training.split.train.batches(training.batch)))
        found[words.split("=")[1]] = torch.cat([x.grad.ravel() for x in training.model.parameters()])
    exact = found.pop("bptt")
    one_sided, symmetric, four_point = (float((found[name] - exact).norm()) for name in found)
    assert one_sided > 10 * symmetric > 100 * four_point > 0


@pytest.mark.parametrize("engine", ["pumped", "spsa"])
def test_what_echoes_are_compared_with_trains_as_they_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    file = problem(tmp_path, engine=engine)
    file.write_text(file.read_text().replace("unit: nonlinear", "unit: damped"))
    assert call("run", file, "--out", tmp_path / "runs", "--steps", "2", "--seed", "0") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("test accuracy ")
    reader = only_run(tmp_path / "runs")
    assert np.isfinite(reader.scalars()["loss"]).all()
    assert reader.manifest["rig"] == f"engine {engine}"


@pytest.mark.parametrize(("kind", "last"), [("decay", "test mean square error "), ("copy_memory", "test recall ")])
def test_a_made_task_needs_no_data(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, last: str) -> None:
    file = problem(tmp_path)
    text = file.read_text().replace("file: Tones_TRAIN.ts", f"task: {{kind: {kind}, steps: 40, sequences: 20}}")
    file.write_text(text)
    assert call("run", file, "--out", tmp_path / "runs", "--steps", "1") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(last)
    assert np.isfinite(only_run(tmp_path / "runs").scalars()["loss"]).all()


def test_a_made_task_that_is_too_short_is_refused_at_its_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = problem(tmp_path)
    file.write_text(file.read_text().replace("file: Tones_TRAIN.ts", "task: {kind: copy_memory, steps: 20}"))
    assert call("run", file, "--out", tmp_path / "runs") == 2
    assert (
        "tones.yaml:5: data.task: 20 steps in 1 sequences are too few; give at least 21 steps"
        in capsys.readouterr().err
    )


def test_the_example_builds_the_stack_it_describes() -> None:
    config = load_stack(examples()["basic_motions"]).config
    samples = Samples((np.zeros((100, 6), np.float32),), (np.array(0),))
    model = build_stack(config, classification(Archive(samples, ("a", "b", "c", "d"))))
    assert model(torch.zeros(1, 100, 6, dtype=torch.float64)).shape == (1, 4)
    assert len(model.blocks) == config.model.blocks
    assert isinstance(model.blocks[0].unit, UNITS[config.model.units[0]])
    assert next(model.parameters()).dtype == torch.float64


class Spoiled:
    """An engine whose gradients come out otherwise."""

    name = "spoiled"

    def __init__(self, engine: Engine, **changes: Any) -> None:
        self._engine, self._changes = engine, changes

    def forward(self, theta: Arrays, inputs: Array, start: UnitState | None = None) -> ForwardRun:
        return self._engine.forward(theta, inputs, start)

    def backward(self, run: ForwardRun, cotangent: Array) -> BackwardRun:
        found = self._engine.backward(run, cotangent)
        changes = dict(self._changes)
        if changes.pop("times", None) is not None:
            changes["parameters"] = {name: np.nan * value for name, value in found.parameters.items()}
        return replace(found, **changes)


def spoiled(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    monkeypatch.setattr(experiment, "make_engine", lambda *given: Spoiled(make_engine(*given), **changes))


def test_a_training_by_gradients_of_rounding_alone_stops_with_status_3_and_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled(monkeypatch, growth=2e36)
    file = problem(tmp_path)
    assert call("run", file, "--out", tmp_path / "runs") == 3
    said = capsys.readouterr()
    assert "of 100 % of the gradients of epoch 1 nothing is left but rounding" in said.err
    assert "interlocks: {ruined: 1}" in said.err and "test accuracy" not in said.out
    assert only_run(tmp_path / "runs").status == "failed"


def only_echoes_are_spoiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(unit: Any, name: Any, *given: Any) -> Engine:
        engine = make_engine(unit, name, *given)
        return Spoiled(engine, growth=2e36) if name == "echoes" else engine

    monkeypatch.setattr(experiment, "make_engine", make)


def test_ruined_gradients_may_hand_over_to_another_engine_which_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    only_echoes_are_spoiled(monkeypatch)
    file = problem(tmp_path)
    file.write_text(file.read_text() + "interlocks: {instead: bptt}\n")
    assert call("run", file, "--out", tmp_path / "runs") == 0
    said = capsys.readouterr().out
    assert "gradients of seed 0 are by bptt from epoch 2 on (at gradient 0, and 1 times more)" in said
    growth = only_run(tmp_path / "runs").scalars()["growth"]
    assert (growth > 1e30).tolist() == [True, False, False] * 2  # each seed begins with the file's engine


def test_a_run_that_changed_its_engine_is_taken_up_again_by_that_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_echoes_are_spoiled(monkeypatch)
    file = problem(tmp_path)
    file.write_text(file.read_text() + "interlocks: {instead: bptt}\n")
    whole = own_runner(file, rig=None, steps=None, seed=3)
    assert whole is not None

    def stop(published: Publish) -> None:
        if published.step == 1:  # the epoch that changed it is done
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        whole.start(tmp_path / "stopped", stop)
    again = own_runner_of_run(only_run(tmp_path / "stopped").folder, None)
    assert again is not None
    again.resume(only_run(tmp_path / "stopped").folder, lambda published: None)
    assert (only_run(tmp_path / "stopped").scalars()["growth"] > 1e30).tolist() == [True, False, False]


def test_ruined_gradients_that_are_followed_on_purpose_are_said_once_with_how_often(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled(monkeypatch, retrace_error=1.5)
    file = problem(tmp_path)
    file.write_text(file.read_text() + "interlocks: {ruined: 1}\n")
    assert call("run", file, "--out", tmp_path / "runs") == 0
    (line,) = [text for text in capsys.readouterr().out.splitlines() if "nothing is left but rounding" in text]
    assert line.startswith("warning: of 100 % of the gradients") and "5 times more" in line


def test_a_gradient_that_is_no_number_stops_before_a_step_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled(monkeypatch, times=np.nan)
    assert call("run", problem(tmp_path), "--out", tmp_path / "runs") == 3
    assert "gradient 1 of epoch 1 is no number" in capsys.readouterr().err


def test_a_rig_whose_growth_nobody_sees_is_not_called_ruined_for_that() -> None:
    state = UnitState(np.zeros((1, 2)), np.zeros((1, 2)))
    known = BackwardRun({"k": np.ones(2)}, np.zeros((1, 50, 1)), state, 1e-3, float("nan"), 0.01)
    assert not Health.of(known).is_ruined
    assert Health.of(replace(known, retrace_error=0.9)).is_ruined
    assert Health.of(replace(known, growth=1e14, rounding=2e-13)).is_ruined  # echoes see rounding over the response
    assert not Health.of(replace(known, growth=1e14)).is_ruined  # an adjoint and the difference form do not
    assert Health.of(replace(known, parameters={"k": np.array([np.inf])})).is_ruined


def test_images_are_learned_from_a_file_as_mnist_comes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    classes = np.arange(30) % 2
    images = random.integers(0, 40, (30, 4, 5)) + 200 * (classes[:, None, None] == (np.arange(4) > 1)[None, :, None])
    np.savez(tmp_path / "m.npz", x_train=images[:24], y_train=classes[:24], x_test=images[24:], y_test=classes[24:])
    file = problem(tmp_path)
    file.write_text(file.read_text().replace("file: Tones_TRAIN.ts", "images: m.npz, split: given"))
    assert call("run", file, "--out", tmp_path / "runs", "--seed", "0", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "20 sequences to learn from, 4 to stop by, 6 to test on, 2 classes" in said
    assert call("run", file, "--out", tmp_path / "runs", "--seed", "0", "--steps", "1") == 0
    assert "test accuracy" in capsys.readouterr().out
