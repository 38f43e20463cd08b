"""What a configuration names in a recording: its axis of time, its units, parts of arrays, other files to test on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labrhel
from labrhel.errors import ConfigurationError
from labrhel.experiment import Experiment, load_experiment

CONFIG = """
model:
  oscillators: 1
  inputs: [drive]
  units: {time: ms, position: V, input: V}
  parameters:
    stiffness: {value: 0.2, train: true}
    friction: 0.1
    input: [[1.0]]
    initial_position: {value: 0.5, train: true}
  readout: {channels: [q1]}
protocol: {rule: rhel, echo: driven}
data:
  file: lab.npz
  input: u
  target: y
  train: {start: 0, stop: 100}
"""
SAMPLES = 200
TIME = 0.002 * np.arange(SAMPLES)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A folder with a recording at 500 samples per second."""
    rng = np.random.default_rng(1)
    shots = rng.normal(size=(4, SAMPLES))
    arrays: dict[str, Any] = {"u": rng.normal(size=SAMPLES), "y": rng.normal(size=SAMPLES), "shots": shots}
    np.savez(tmp_path / "lab.npz", t=TIME, steps=np.arange(SAMPLES), both=shots.T, **arrays)
    np.savez(tmp_path / "later.npz", t=TIME, u=2 * arrays["u"], y=2 * arrays["y"])
    np.savez(tmp_path / "faster.npz", t=TIME / 2, u=arrays["u"], y=arrays["y"])
    return tmp_path


@contextmanager
def loaded(lab: Path, data: str = "", **changed: str) -> Iterator[Experiment]:
    """The configuration with lines added to `data`, and keys given other values."""
    text = CONFIG
    for key, value in changed.items():
        line = next(line for line in text.splitlines() if line.startswith(f"  {key}:"))
        text = text.replace(line, f"  {key}: {value}" if value else "")
    (lab / "c.yaml").write_text(text + "".join(f"  {line}\n" for line in data.splitlines()))
    experiment = load_experiment(lab / "c.yaml")
    try:
        yield experiment
    finally:
        experiment.rig.close()


def spacing_of(experiment: Experiment) -> float:
    """From one sample to the next [ms, the model's unit of time]."""
    return experiment.problem.task.step * experiment.problem.task.every


def refusal(lab: Path, data: str = "", **changed: str) -> str:
    with pytest.raises(ConfigurationError) as caught, loaded(lab, data, **changed):
        pass
    return str(caught.value)


@pytest.mark.parametrize("data", ["", "rate: 500", "time: t", "time: t\nrate: 501"])
def test_the_samples_are_as_far_apart_as_the_file_or_the_configuration_says(lab: Path, data: str) -> None:
    with loaded(lab, data) as experiment:
        assert spacing_of(experiment) == pytest.approx(2.0, rel=5e-3)  # ms


def test_a_rate_that_the_axis_of_time_contradicts_is_refused_with_both(lab: Path) -> None:
    words = refusal(lab, "rate: 1000")
    assert "data.rate says 1000 samples per second" in words and "says 500" in words and "time: none" in words


def test_of_several_axes_that_go_on_at_different_rates_one_has_to_be_named(lab: Path) -> None:
    """Channels side by side, each with times of its own: the first is not silently taken for all."""
    with np.load(lab / "lab.npz") as arrays:
        np.savez(lab / "lab.npz", **{"a/t": arrays["t"], "b/t": 2 * arrays["t"], "u": arrays["u"], "y": arrays["y"]})
    said = refusal(lab)
    assert "'a/t' says 500 samples per second, and 'b/t' 250: say which one" in said
    for data, spacing in (("time: b/t", 4.0), ("time: a/t", 2.0), ("rate: 500", 2.0)):
        with loaded(lab, data) as experiment:
            assert spacing_of(experiment) == pytest.approx(spacing)


def test_the_unit_in_a_name_holds_in_every_format(lab: Path) -> None:
    """`y_mV` of an .npz file is in millivolts, as in a text table, and not a thousand times as large."""
    with np.load(lab / "lab.npz") as arrays:
        found = {"t_ms": 1e3 * arrays["t"], "drive [mV]": 1e3 * arrays["u"], "y_uV": 1e6 * arrays["y"]}
        truth = arrays["u"], arrays["y"]
    np.savez(lab / "lab.npz", **found)
    with loaded(lab, input="drive [mV]", target="y_uV") as experiment:
        assert spacing_of(experiment) == pytest.approx(2.0)
        sequence = experiment.problem.train[0]
        np.testing.assert_allclose(sequence.target[0], truth[1][:100], rtol=1e-9)
        np.testing.assert_allclose(sequence.inputs["drive"].samples.values, truth[0][:100], rtol=1e-9)


def test_times_of_thirteen_digits_are_milliseconds_in_every_format(lab: Path) -> None:
    with np.load(lab / "lab.npz") as arrays:
        u, y = arrays["u"], arrays["y"]
    np.savez(lab / "lab.npz", timestamp=1_764_460_800_000 + 2 * np.arange(SAMPLES), u=u, y=y)
    with loaded(lab) as experiment:
        assert spacing_of(experiment) == pytest.approx(2.0)


def test_an_axis_that_is_none_of_time_can_be_left_alone(lab: Path) -> None:
    with loaded(lab, "rate: 1000\ntime: none") as experiment:
        assert spacing_of(experiment) == pytest.approx(1.0)
    assert "the file does not say how many samples" in refusal(lab, "time: none")


def test_an_axis_may_be_named_with_its_unit(lab: Path) -> None:
    with loaded(lab, "time: steps\nunits: {steps: ms}") as experiment:
        assert spacing_of(experiment) == pytest.approx(1.0)
    assert "is in V, which is no unit of time" in refusal(lab, "time: steps\nunits: {steps: V}")


def test_a_shot_or_a_column_can_be_picked(lab: Path) -> None:
    with np.load(lab / "lab.npz") as file:
        shots = file["shots"]
    for target in ("shots[2]", '"both[:, 2]"'):
        with loaded(lab, target=target) as experiment:
            np.testing.assert_array_equal(experiment.problem.train[0].target[0], shots[2, :100])


def test_units_scale_and_those_that_name_nothing_are_refused(lab: Path) -> None:
    with loaded(lab) as plain, loaded(lab, "units: {y: mV}") as scaled:
        np.testing.assert_allclose(scaled.problem.train[0].target, 1e-3 * plain.problem.train[0].target, rtol=1e-15)
    assert "c.yaml:18: data.units.Y" in refusal(lab, "units: {Y: mV}")
    assert "in s, and the model in V" in refusal(lab, "units: {y: s}")


def test_another_file_to_test_on(lab: Path) -> None:
    with loaded(lab, "test: {later: {file: later.npz, start: 0, stop: 50}}") as experiment:
        np.testing.assert_allclose(
            experiment.tests["later"][0].target[0], 2 * experiment.problem.train[0].target[0, :50], rtol=1e-15
        )
    words = refusal(lab, "test: {faster: {file: faster.npz, start: 0, stop: 50}}")
    assert "1000 samples per second" in words and "500" in words and "must agree" in words


def test_a_recording_without_an_input_is_learned_from_its_initial_state(lab: Path) -> None:
    with loaded(lab, input="") as experiment:
        assert not experiment.problem.train[0].inputs
    found = []
    for rule in ("{rule: rhel, echo: driven}", "{rule: finite_differences}"):
        (lab / "free.yaml").write_text((lab / "c.yaml").read_text().replace("{rule: rhel, echo: driven}", rule))
        with labrhel.load_experiment(lab / "free.yaml") as free:
            found.append(free.gradient().values["initial_position"])
    assert found[0] == pytest.approx(found[1], rel=1e-4)


@pytest.mark.parametrize("unit", ["furlong", "mm"])
def test_a_unit_that_is_none_or_of_another_kind_is_refused(lab: Path, unit: str) -> None:
    text = CONFIG.replace("input: V}", f"input: {unit}}}")
    (lab / "c.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"c\.yaml:5: model\.units\.input"):
        load_experiment(lab / "c.yaml")


@pytest.mark.parametrize("unit", ["counts", "cm", "N m", "px", "a.u.", "m/s^2", "1"])
def test_positions_are_in_whatever_a_rig_is_read_in(lab: Path, unit: str) -> None:
    (lab / "c.yaml").write_text(CONFIG.replace("position: V", f'position: "{unit}"'))
    with labrhel.load_experiment(lab / "c.yaml") as experiment:
        assert np.isfinite(experiment.gradient().loss)
