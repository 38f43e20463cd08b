"""Link, hysteresis, drift, noise and linearity, each against a rig that has just that."""

from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from calibration.campaign import campaign
from calibration.testing import CONFIG, measured, opened
from labrhel.experiment import load_experiment
from labrhel.store.calibrations import CalibrationRecord


def test_the_link_is_timed_by_the_clock_that_it_is_given(tmp_path: Path) -> None:
    experiment = opened(tmp_path, "seed=1")
    asked = campaign(experiment, CalibrationRecord(None, "x"))
    ticks = count()
    asked.bench = replace(asked.bench, clock=lambda: 0.25 * next(ticks))
    (done,) = asked.run(asked.plan(["link"]))
    played = 160 * 0.2e-3  # seconds of a shot on the rig
    assert done.finding.values["link.latency"].value == pytest.approx(0.25 - played, abs=1e-3)
    assert done.finding.values["link.jitter"].value == pytest.approx(0.0, abs=1e-12)


def test_a_knob_with_backlash_is_named_and_one_without_is_not(tmp_path: Path) -> None:
    _, loose = measured(opened(tmp_path, "seed=1&noise=1mV&hysteresis=4%"), "hysteresis")
    _, tight = measured(opened(tmp_path, "seed=1&noise=1mV"), "hysteresis")
    value = loose["hysteresis"].finding.values["coupling.backlash"]
    assert 0.01 < abs(value.value) < 0.08
    assert any("knob coupling" in words for words in loose["hysteresis"].finding.words)
    still = tight["hysteresis"].finding.values["coupling.backlash"]
    assert abs(still.value) < 4 * still.error and not tight["hysteresis"].finding.words


def test_drift_is_told_from_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABRHEL_STATE", str(tmp_path))
    _, still = measured(opened(tmp_path, "seed=1&noise=2mV"), "drift")
    _, moving = measured(opened(tmp_path, "seed=1&noise=2mV&drift=5e-4"), "drift")
    value = still["drift"].finding.values["drift.per_shot"]
    assert value.value < 4 * value.error
    assert moving["drift"].finding.values["drift.per_shot"].value > 5e-4
    assert any("order: abba" in words for words in moving["drift"].finding.words)


def test_noise_is_measured_and_a_noisy_channel_is_not_taken_at_its_word(tmp_path: Path) -> None:
    campaign_, done = measured(opened(tmp_path, "seed=1&noise=5mV"), "noise")
    for name in ("q1", "q2", "q3"):
        value = done["noise"].finding.values[f"{name}.noise"]
        assert value.value == pytest.approx(5e-3, abs=4 * value.error)
        assert campaign_.bench.noise[name] >= 4.5e-3


def test_a_single_oscillator_is_reciprocal_without_a_shot(tmp_path: Path) -> None:
    alone = CONFIG.replace("oscillators: 3", "oscillators: 1").replace("  coupling: all\n", "")
    alone = alone.replace("    coupling: {value: 0.15, train: true, bounds: [0, 2]}\n", "")
    alone = alone.replace("stiffness: [1.0, 1.3, 0.8]", "stiffness: {value: 1.0, train: true, bounds: [0.1, 4]}")
    alone = alone.replace("input: [[1.0], [0.0], [0.0]]", "input: [[1.0]]").replace("[q3]", "[q1]")
    alone = alone.replace("parameters: {coupling: [0.3, 0.05, 0.22]}", "parameters: {stiffness: 1.4}")
    (tmp_path / "one.yaml").write_text(alone)
    experiment = load_experiment(tmp_path / "one.yaml", rig_url=f"sim:{tmp_path / 'one.yaml'}?seed=1&noise=1mV")
    _, found = measured(experiment, "reciprocity")
    assert not found["reciprocity"].finding.failed
    assert found["reciprocity"].shots == 0
