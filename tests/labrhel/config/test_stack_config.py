from pathlib import Path

import pytest

from labrhel.config.reader import read
from labrhel.config.stack import kind_of, load_stack
from labrhel.errors import ConfigurationError
from labrhel.experiment.runners import own_runner

SMALLEST = "model: {kind: hssm, blocks: 2, hidden: 4, state: 3}\ndata: {file: toy.npz}\n"


def written(folder: Path, text: str = SMALLEST) -> Path:
    file = folder / "stack.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_what_is_left_out_takes_the_paper_s_habits(tmp_path: Path) -> None:
    config = load_stack(written(tmp_path)).config
    assert (config.model.unit, config.model.dropout, config.protocol.engine) == ("linear", 0.05, "echoes")
    assert config.optimizer.seeds == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SMALLEST.replace("hidden", "hiden"), "stack.yaml:1: model.hiden: unknown key; did you mean 'hidden'?"),
        (SMALLEST.replace("state: 3", "state: 0"), "stack.yaml:1: model.state: must be >= 1, not 0"),
        (
            SMALLEST.replace("blocks: 2", "blocks: 2, unit: [damped]"),
            "stack.yaml:1: model: 'unit' lists 1 units for 2 blocks; give one for each, or one for all",
        ),
        (
            SMALLEST.replace("blocks: 2", "blocks: 2, friction: {initial: 0.1}"),
            "stack.yaml:1: model: 'friction' belongs to damped units",
        ),
        (
            SMALLEST.replace("blocks: 2", "blocks: 2, unit: damped, friction: {initial: -1}"),
            "stack.yaml:1: model.friction.initial: must be > 0, not -1",
        ),
        (
            SMALLEST.replace("blocks: 2", "blocks: 2, step: {initial: 1.5}"),
            "stack.yaml:1: model.step.initial: must be < 1, not 1.5",
        ),
        (
            SMALLEST.replace("blocks: 2", "blocks: 2, step: {initial: [0.9, 0.3]}"),
            "stack.yaml:1: model.step.initial: is [LOW, HIGH]: 0.9 is not below 0.3",
        ),
        (
            SMALLEST.replace("blocks: 2", "blocks: 2, stiffness: {initial: [0.1, 0.2, 0.3]}"),
            "stack.yaml:1: model.stiffness.initial: expected a number, or [LOW, HIGH], not a list",
        ),
        (
            SMALLEST.replace("blocks: 2", "blocks: 2, stiffness: {initial: [0, 0.3]}"),
            "stack.yaml:1: model.stiffness.initial: must be > 0, not 0",
        ),
        (
            SMALLEST + "protocol: {engine: adjoint, estimator: four_point}\n",
            "stack.yaml:3: protocol: 'estimator' combines physical echoes; the engine adjoint has none",
        ),
        (SMALLEST + "protocol: {engine: echo}\n", "stack.yaml:3: protocol.engine: expected 'echoes', 'difference'"),
        (SMALLEST + "protocol: {eps: 0}\n", "stack.yaml:3: protocol.eps: must be > 0, not 0"),
        (SMALLEST + "optimizer: {seeds: []}\n", "stack.yaml:3: optimizer.seeds:"),
        (SMALLEST + "rig: 'sim:'\n", "stack.yaml:3: rig: unknown key"),
        (
            SMALLEST.replace("file: toy.npz", ""),
            "stack.yaml:2: data: data comes from a file or from a folder, or is a task, or images; give one of them",
        ),
        (
            SMALLEST.replace("toy.npz", "toy.npz, folder: ppg"),
            "stack.yaml:2: data: data comes from a file or from a folder",
        ),
        (
            SMALLEST.replace("toy.npz", "toy.npz, windows: {length: 4, every: 2}"),
            "stack.yaml:2: data: 'windows' belongs to a folder, not to a file",
        ),
        (
            SMALLEST.replace("file: toy.npz", "task: {kind: decay, steps: 9}, windows: {length: 4, every: 2}"),
            "stack.yaml:2: data: 'windows' belongs to a folder, not to a task",
        ),
        (
            SMALLEST.replace("toy.npz", "toy.npz, task: {kind: adding, steps: 9}"),
            "stack.yaml:2: data: data comes from a file or from a folder, or is a task, or images; give one of them",
        ),
        (
            SMALLEST.replace("file: toy.npz", "task: {kind: decoy, steps: 9}"),
            "stack.yaml:2: data.task.kind: expected 'decay', 'adding', 'copy_memory', 'classes' or 'heart_rate'",
        ),
        (
            SMALLEST.replace("file: toy.npz", "folder: ppg, windows: {length: 4}"),
            "stack.yaml:2: data.windows: the key 'every' is missing",
        ),
        (
            SMALLEST.replace("file: toy.npz", "folder: ppg, windows: {length: 4, every: 0}"),
            "stack.yaml:2: data.windows.every: must be >= 1, not 0",
        ),
    ],
)
def test_a_mistake_is_one_sentence_with_file_line_and_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_stack(written(tmp_path, text))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_block_may_have_a_unit_of_its_own(tmp_path: Path) -> None:
    text = SMALLEST.replace("blocks: 2", "blocks: 2, unit: [damped_nonlinear, linear], friction: {trained: false}")
    model = load_stack(written(tmp_path, text)).config.model
    assert model.units == ["damped_nonlinear", "linear"]
    assert load_stack(written(tmp_path)).config.model.units == ["linear", "linear"]


def test_the_kind_of_a_model_decides_who_runs_it(tmp_path: Path) -> None:
    assert kind_of(read(written(tmp_path))) == "hssm"
    assert kind_of(read(written(tmp_path, "model: {oscillators: 1}\n"))) is None
    assert own_runner(written(tmp_path, "model: {oscillators: 1}\n"), rig=None, steps=None, seed=None) is None
    assert own_runner("coupled_oscillators", rig=None, steps=None, seed=None) is None


def test_a_missing_file_is_still_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no file"):
        own_runner(tmp_path / "absent.yaml", rig=None, steps=None, seed=None)
