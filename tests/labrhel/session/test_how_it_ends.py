"""How a training ends: by its planned steps, converged, or neither; and what it does where a trial diverges."""

from pathlib import Path

import numpy as np
import pytest

from labrhel import session
from labrhel.experiment import load_experiment
from labrhel.records.replay import replay
from labrhel.shots.operations import Publish
from labrhel.store import RunReader
from labrhel.testing.command_line import Shell
from labrhel.testing.configurations import small

BATCH = "  batch: 2\n"
ADAM = "{kind: adam, rate: 0.05, steps: 12, seed: 5}"
LBFGS = "{kind: lbfgs, steps: 12}"
UPHILL = """
from dataclasses import dataclass, replace
from protocols.rhel import RHEL

@dataclass(frozen=True, slots=True)
class Uphill(RHEL):
    def gradient(self, asked):
        found = yield from RHEL.gradient(self, asked)
        return replace(found, values={name: -value for name, value in found.values.items()})
"""


def ignore(published: Publish) -> None:
    """Watch nothing."""


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path)


def run_of(text: str, folder: Path) -> session.Outcome:
    (folder / "here.yaml").write_text(text)
    return session.start(load_experiment(folder / "here.yaml"), folder / "runs", ignore)


def test_a_run_of_all_its_steps_says_so(tmp_path: Path) -> None:
    done = run_of(small(**{"steps: 12": "steps: 2"}), tmp_path)
    assert (done.status, done.ended) == ("done", "all 2 planned gradients were taken")


def test_a_run_that_converges_says_when_and_why(tmp_path: Path) -> None:
    done = run_of(small(**{ADAM: "{kind: lbfgs, steps: 200, tolerance: 1e-3}", BATCH: ""}), tmp_path)
    assert done.status == "done"
    assert done.ended.startswith(
        f"converged after {len(done.losses)} of 200 planned gradients: a step changes the loss"
    )


def test_a_gradient_of_the_wrong_sign_ends_stalled_with_status_3_and_all_of_it_in_the_record(
    tmp_path: Path, shell: Shell
) -> None:
    (tmp_path / "uphill.py").write_text(UPHILL)
    file = shell.write(
        small(**{ADAM: "{kind: lbfgs, steps: 60}", BATCH: "", "{record:": "{rule: uphill.py:Uphill, record:"})
    )
    status, said, words = shell("run", file, "--trust", tmp_path / "uphill.py")
    assert status == 3
    assert "the training stalled after" in words and "the gradient is wrong" in words
    folder = next(Path("runs").iterdir())
    reader = RunReader(folder)
    assert reader.status == "stalled"
    assert "of 60 planned gradients" in reader.events()[-1][2]
    assert (folder / "run.nc").exists() and "test error" in said
    assert "stalled" in shell("runs")[1]


def test_a_trial_that_diverges_does_not_end_a_run_and_the_replay_diverges_as_well(tmp_path: Path) -> None:
    text = small(**{ADAM: "{kind: momentum, rate: 30, steps: 9}", "every 3": "all"})
    done = run_of(text, tmp_path)
    scalars = RunReader(done.folder).scalars()
    assert done.status == "done"
    assert np.nansum(scalars["diverged"]) > 0
    assert len(done.losses) + np.nansum(scalars["diverged"]) == 9
    assert any("a trial diverged, and the optimizer backed off" in words for words in done.warnings)
    again = replay(done.folder)
    assert again.same
    np.testing.assert_array_equal(again.losses, done.losses)


def test_a_run_that_is_resumed_backs_off_as_it_would_have(tmp_path: Path) -> None:
    text = small(**{ADAM: "{kind: momentum, rate: 30, steps: 9}"})
    whole = run_of(text, tmp_path)
    half = session.start(load_experiment(tmp_path / "here.yaml", steps=2), tmp_path / "half", ignore)
    resumed = session.resume(half.folder, ignore, steps=9)
    np.testing.assert_array_equal(resumed.losses, whole.losses)


@pytest.mark.parametrize("kind", ["lbfgs", "adam"])
def test_a_run_without_steps_tests_and_ends(tmp_path: Path, kind: str) -> None:
    done = run_of(small(**{ADAM: f"{{kind: {kind}, steps: 0}}", BATCH: ""}), tmp_path)
    assert done.status == "done"
    assert done.metrics[0].before == done.metrics[0].after
