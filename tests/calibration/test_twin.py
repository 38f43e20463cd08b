"""Twins and comparisons: what a run recorded, as a rig."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from calibration.testing import CONFIG
from calibration.twin import Twin, twin, twin_of_recording
from labrhel import session
from labrhel.errors import RecordError
from labrhel.experiment import load_experiment
from labrhel.records.comparison import compare, recorded_shots
from labrhel.records.whatif import what_if
from labrhel.shots.operations import Publish
from labrhel.store import RunReader
from labrhel.testing.command_line import call

FULL = (
    CONFIG.replace("record: none", "record: all")
    .replace("sequences: 1", "sequences: 6")
    .replace("steps: 6", "steps: 3")
)


def ignore(published: Publish) -> None:
    """Watch nothing."""


def recorded(folder: Path, settings: str) -> Path:
    file = folder / "o.yaml"
    file.write_text(FULL)
    return session.start(load_experiment(file, rig_url=f"sim:{file}?{settings}"), folder / "runs", ignore).folder


def twin_of(folder: Path) -> Twin:
    manifest = RunReader(folder).manifest
    experiment = load_experiment(
        folder / "config.yaml", rig_url=f"replay:{folder}?mode=results", home=Path(manifest["home"])
    )
    _, shots, asked = recorded_shots(folder, experiment)
    made = twin(experiment, shots, asked)
    made.write(experiment, folder / "twin.yaml")
    return made


def test_a_twin_finds_the_rig_and_moves_like_it(tmp_path: Path) -> None:
    folder = recorded(tmp_path, "noise=2mV&seed=3&friction=20/s&channel_gain=2%&channel_skew=4us")
    made = twin_of(folder)
    for index in range(3):
        name = f"friction[{index},{index}].added"
        assert made.values[name] == pytest.approx(0.02, abs=4 * made.errors[name])
    assert made.outside < 1.2 and made.relative < 0.01 and not made.lacks
    before, after = (compare(folder, rig) for rig in (f"sim:{tmp_path / 'o.yaml'}", f"sim:{folder / 'twin.yaml'}"))
    assert all(row.forward > 0.05 for row in before.rows)
    assert all(row.forward < 0.02 and row.echo < 0.05 for row in after.rows)
    assert {row.channel for row in after.rows} == {"q1", "q2", "q3"}


def test_what_another_rule_would_have_given_is_told_on_the_twin(tmp_path: Path) -> None:
    folder = recorded(tmp_path, "noise=2mV&seed=3&friction=20/s")
    twin_of(folder)
    rig = f"sim:{folder / 'twin.yaml'}"
    weak, strong = what_if(folder, rig, [], [0.01, 1.0])
    assert (weak.eps, strong.eps) == pytest.approx((0.01, 1.0), rel=1e-12) and weak.response < strong.response
    plain, fitted, linear = what_if(folder, rig, ["rhel", "twin", "spsa"], [])
    assert plain.error > 0.05 > fitted.error  # the echo of the run was not driven against friction
    assert linear.shots == 3


@pytest.mark.parametrize(
    ("settings", "words"),
    [("nonreciprocity=0.5", "lag|quadratic|cubic|stands out|mode"), ("channel_highpass=20Hz", "lag|stands out|mode")],
)
def test_a_rig_outside_the_family_leaves_something_and_that_is_told(settings: str, words: str, tmp_path: Path) -> None:
    made = twin_of(recorded(tmp_path, f"noise=2mV&seed=3&friction=20/s&{settings}"))
    assert made.outside > 1.3
    assert any(part in " ".join(made.lacks) for part in words.split("|")), made.lacks


def test_a_run_without_traces_has_no_twin(tmp_path: Path) -> None:
    file = tmp_path / "o.yaml"
    file.write_text(CONFIG)
    folder = session.start(load_experiment(file), tmp_path / "runs", ignore).folder
    with pytest.raises(RecordError, match="kept no traces"):
        compare(folder, f"sim:{file}")


def test_parts_of_a_rig_can_be_given_exactly(tmp_path: Path) -> None:
    file = tmp_path / "parts.yaml"
    file.write_text(CONFIG + "imperfections:\n  parts: {stiffness: [1.1, 1.0, 0.9], mass: 1.0}\n")
    rig = load_experiment(file, rig_url=f"sim:{file}").rig
    real = rig.true_parameters()  # type: ignore[attr-defined]
    np.testing.assert_allclose(real["stiffness"], np.array([1.0, 1.3, 0.8]) * [1.1, 1.0, 0.9])
    assert dataclasses.is_dataclass(Twin)


def test_equal_shots_are_fitted_as_their_mean_and_copies_of_one_say_no_more_than_it(tmp_path: Path) -> None:
    folder = recorded(tmp_path, "noise=2mV&seed=3&friction=20/s")
    home = Path(RunReader(folder).manifest["home"])
    experiment = load_experiment(folder / "config.yaml", rig_url=f"replay:{folder}?mode=results", home=home)
    _, shots, asked = recorded_shots(folder, experiment)
    once, often = twin(experiment, shots, asked), twin(experiment, 4 * shots, asked)
    assert often.values == pytest.approx(once.values, abs=3e-3)
    assert often.outside == pytest.approx(2 * once.outside, rel=0.05)  # the mean of four would have half the noise
    ratios = [often.errors[name] / once.errors[name] for name in once.errors if name.startswith("friction")]
    assert ratios == pytest.approx([1.0] * len(ratios), rel=0.05)


def test_a_twin_of_a_ring_down_finds_the_state_it_was_left_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    time = np.arange(400) * 1e-3  # [s]
    shown = 1e-3 * np.exp(-10 * time) * np.cos(300 * time + 0.4) + 2e-6 * np.random.default_rng(0).normal(size=400)
    np.savez("down.npz", y=shown)
    assert call("init", "down.npz", "--rate", "1000", "--input", "none") == 0
    file = Path("down.yaml")
    text = file.read_text()
    file.write_text(re.sub(r"(initial_\w+): \{value: [^,]+", r"\1: {value: 0.0", text))
    experiment = load_experiment(file)
    found = twin_of_recording(experiment)
    assert found.relative < 0.02, "a share of the motion, whatever unit it is in"
    assert {"initial_position[0].added", "initial_momentum[0].added"} <= set(found.values)
    unit = shown.std() / experiment.problem.train[0].target.std()  # what a unit of the model is
    assert found.values["initial_position[0].added"] * unit == pytest.approx(1e-3 * np.cos(0.4), rel=0.05)
    found.write(experiment, Path("twin.yaml"))
    made = load_experiment(Path("twin.yaml"), rig_url="sim:twin.yaml").problem
    start = made.theta(made.parameters.flat())["initial_position"]
    assert start[0] * unit == pytest.approx(1e-3 * np.cos(0.4), rel=0.05)


def test_what_a_twin_misses_is_a_share_of_the_motion_where_it_stands_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("calibration.twin._initial_state", lambda *given: [])
    for size in (1e-3, 1.0):
        time = np.arange(400) * 1e-3
        np.savez("down.npz", y=size * np.exp(-10 * time) * np.cos(300 * time))
        assert call("init", "down.npz", "--rate", "1000", "--input", "none", "--to", f"{size}.yaml") == 0
        file = Path(f"{size}.yaml")
        file.write_text(re.sub(r"(initial_\w+): \{value: [^,]+", r"\1: {value: 0.0", file.read_text()))
        assert twin_of_recording(load_experiment(file)).relative == pytest.approx(1.0, abs=0.2)
