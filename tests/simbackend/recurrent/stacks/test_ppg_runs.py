"""`labrhel run` on PPG-DaLiA: pickles laid out like the real ones, in which the skin conductance follows the heart."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install 'labrhel[torch]'")

import simbackend.testing.torch_units  # noqa: E402, F401  (one thread)
from labrhel.config import examples  # noqa: E402
from labrhel.config.stack import load_stack  # noqa: E402
from labrhel.data.ppg_dalia import Windows  # noqa: E402
from labrhel.data.samples import Samples  # noqa: E402
from labrhel.testing.command_line import call, only_run  # noqa: E402
from simbackend.recurrent.stacks.experiment import build_stack, load  # noqa: E402
from simbackend.recurrent.stacks.paper import PAPER  # noqa: E402
from simbackend.recurrent.stacks.problem import heart_rate  # noqa: E402

CONFIG = """
model: {kind: hssm, unit: linear, blocks: 1, hidden: 6, state: 4, time_channel: true}
protocol: {engine: difference, precision: float32}
optimizer: {rate: 0.02, epochs: 4, batch: 8, seeds: [0, 7]}
data: {folder: Hearts, windows: {length: 4, every: 2}}
"""
READINGS = 40


def problem(folder: Path, subjects: int = 2) -> Path:
    for number in range(1, subjects + 1):
        file = folder / "Hearts" / f"S{number}" / f"S{number}.pkl"
        file.parent.mkdir(parents=True)
        file.write_bytes(pickle.dumps(subject(number), protocol=2))
    file = folder / "hearts.yaml"
    file.write_text(CONFIG)
    return file


def subject(number: int) -> dict[str, Any]:
    random, seconds = np.random.default_rng(number), 2 * READINGS
    rate = 80 + 30 * np.sin(2 * np.pi * (np.arange(READINGS) / 11 + random.uniform()))  # beats per minute
    rate[:3] = rate[3]  # the first average over 8 s stands for these too
    beats = np.cumsum(np.repeat(rate, 128)) / 60 / 64
    wrist = {
        "ACC": random.normal(size=(32 * seconds, 3)),
        "BVP": np.sin(2 * np.pi * beats)[:, None],
        "EDA": np.repeat(rate, 8)[:, None] + random.normal(size=(4 * seconds, 1)),
        "TEMP": random.normal(size=(4 * seconds, 1)),
    }
    return {"signal": {"wrist": wrist}, "label": rate[3:], "subject": f"S{number}"}


def test_a_run_learns_the_heart_rate_and_ends_with_the_mean_test_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = problem(tmp_path)
    assert call("run", file, "--out", tmp_path / "runs", "--steps", "20") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    reader = only_run(tmp_path / "runs")
    scalars = reader.scalars()
    errors = scalars["mean_square_error"][[19, 39]]
    assert np.isfinite(scalars["mean_square_error"]).sum() == 2
    listed = ", ".join(f"{error:#.4g}" for error in errors)
    assert last == f"test mean square error {errors.mean():#.4g} (mean of 2 seeds: {listed})"
    experiment = load(file, home=tmp_path, steps=None, seed=None)
    for error, seed in zip(errors, experiment.seeds, strict=True):
        targets = np.stack(experiment.problem.split(seed).test.targets)
        assert error < targets.var() / 8  # no constant guess is better than the variance
        assert error < experiment.training(seed).test() / 8  # before the first epoch
    for words in ("show", "plot"):
        assert call(words, reader.id, "--runs", tmp_path / "runs") == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no kill -9")
def test_a_killed_run_is_resumed_to_the_same_bits(tmp_path: Path) -> None:
    file = problem(tmp_path)
    assert call("run", file, "--out", tmp_path / "whole") == 0
    child = subprocess.run(
        [sys.executable, "-c", KILLED, str(file), str(tmp_path / "killed")],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
        check=False,
        capture_output=True,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    killed = only_run(tmp_path / "killed")
    assert (killed.status, len(killed.scalars()["loss"])) == ("killed", 6)  # in the middle of the second seed
    assert call("resume", killed.id, "--runs", tmp_path / "killed") == 0
    expected, found = (only_run(tmp_path / name).scalars() for name in ("whole", "killed"))
    assert expected.keys() == found.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from labrhel.experiment.runners import own_runner

torch.set_num_threads(1)

def kill(published):
    if published.step == 5:
        os.kill(os.getpid(), signal.SIGKILL)

own_runner(Path(sys.argv[1]), rig=None, steps=None, seed=None).start(Path(sys.argv[2]), kill)
"""


def test_a_dry_run_counts_the_windows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", problem(tmp_path), "--out", tmp_path / "runs", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "26 sequences to learn from, 4 to stop by, 4 to test on, 4 readings in each" in said
    assert not (tmp_path / "runs").exists()


def test_the_folder_is_found_through_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem(tmp_path)
    elsewhere = tmp_path / "elsewhere" / "hearts.yaml"
    elsewhere.parent.mkdir()
    elsewhere.write_text(CONFIG)
    assert call("run", elsewhere, "--out", tmp_path / "runs", "--dry-run") == 2
    monkeypatch.setenv("LABRHEL_DATA", str(tmp_path))
    assert call("run", elsewhere, "--out", tmp_path / "runs", "--dry-run") == 0


def no_folder(file: Path) -> None:
    file.write_text(CONFIG.replace("Hearts", "Absent"))


def no_subject(file: Path) -> None:
    file.write_text(CONFIG.replace("Hearts", "Hearts/S1"))


def damage(file: Path) -> None:
    (file.parent / "Hearts/S2/S2.pkl").write_bytes(b"not a pickle")


def two_origins(file: Path) -> None:
    file.write_text(CONFIG.replace("Hearts,", "Hearts, file: toy.npz,"))


def long_windows(file: Path) -> None:
    file.write_text(CONFIG.replace(", windows: {length: 4, every: 2}", ""))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (no_folder, "hearts.yaml:5: data.folder: there is no data folder Absent"),
        (no_subject, "hearts.yaml:5: data.folder: there is no S1/S1.pkl or other subject in"),
        (damage, "S2.pkl is not a subject of PPG-DaLiA"),
        (
            two_origins,
            "hearts.yaml:5: data: data comes from a file or from a folder, or is a task, or images; give one of them",
        ),
        (long_windows, "hearts.yaml:5: data: a record of 40 readings has a stretch of"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None], words: str
) -> None:
    file = problem(tmp_path)
    spoil(file)
    assert call("run", file, "--out", tmp_path / "runs") == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_the_example_is_the_configuration_of_the_paper() -> None:
    config, row = load_stack(examples()["ppg_dalia"]).config, PAPER["PPG-DaLiA"]
    model, optimizer = config.model, config.optimizer
    assert (model.blocks, model.hidden, model.state, model.time_channel, optimizer.rate, optimizer.batch) == (
        (row.blocks, row.hidden, row.state, row.time_channel, row.rate, row.batch)
    )
    window = Samples((np.zeros((2 * row.output_step, 6), np.float32),), (np.zeros((2, 1), np.float32),))
    stack = build_stack(config, heart_rate(window, Windows()))
    assert stack(torch.from_numpy(window.inputs[0])[None]).shape == (1, *window.targets[0].shape)
