"""A trained parameter that nothing sets on the rig is refused at load, for every rule; or it is named on purpose."""

from pathlib import Path

import pytest

from labrhel import plugins
from labrhel.errors import ConfigurationError
from labrhel.experiment import Experiment, load_experiment
from labrhel.testing.command_line import Shell

RIG = """
from dataclasses import replace
from simbackend.rigs.simulated import SimulatedRig

def open_rig(rest, model, folder):
    rig = SimulatedRig(model, "poor")
    knobs = tuple(knob for knob in rig.capabilities.knobs if knob.name == "coupling")
    rig.capabilities = replace(rig.capabilities, knobs=knobs, prepares=frozenset({"rest"}))
    return rig
"""
POOR = """
model:
  oscillators: 2
  coupling: chain
  units: {time: ms, position: V, input: V}
  parameters: {TRAINED}
  readout: {channels: [q2], gain: {value: 1.0, train: true}, offset: {value: 0.0, train: true}}
rig: poor.py:open_rig
protocol: {OPTIONS}
optimizer: {steps: 2}
data:
  teacher:
    parameters: {coupling: 0.3}
    input: {amplitude: 0.3, band: [0.1, 0.3], tones: 5, seed: 4}
    samples: 40
    spacing: 0.25
    sequences: 1
    test_sequences: 1
"""
COUPLING = "coupling: {value: 0.1, train: true, bounds: [0, 1]}"


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path)


def written(folder: Path, trained: str, options: str = "rule: rhel") -> Path:
    (folder / "poor.py").write_text(RIG)
    file = folder / "config.yaml"
    file.write_text(
        POOR.replace("TRAINED", f"{COUPLING}, {trained}" if trained else COUPLING).replace("OPTIONS", options)
    )
    return file


def loaded(folder: Path, trained: str, options: str = "rule: rhel") -> Experiment:
    return load_experiment(written(folder, trained, options), trust=[folder / "poor.py"])


@pytest.mark.parametrize("rule", sorted(plugins.usual_rules()))
def test_what_has_no_knob_is_refused_at_load_by_every_rule(tmp_path: Path, rule: str) -> None:
    with pytest.raises(ConfigurationError, match="has no knob for stiffness, so training it would move nothing there"):
        loaded(tmp_path, "stiffness: {value: 1.0, train: true}", f"rule: {rule}")


@pytest.mark.parametrize(
    ("trained", "words"),
    [
        ("friction: {value: 0.1, train: true}", "no knob for friction"),
        ("mass: {value: 1.0, train: true, transform: log}", "no knob for mass"),
        ("cubic: {value: 0.1, train: [false, true]}", "no knob for cubic"),
        ("input: {value: [[1.0], [0.0]], train: true}", "no knob for input"),
        ("initial_position: {value: 0.0, train: true}", "cannot be prepared in a state"),
        ("initial_momentum: {value: 0.0, train: true}", "cannot be prepared in a state"),
    ],
)
def test_every_kind_of_parameter_needs_its_path(tmp_path: Path, trained: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as refused:
        loaded(tmp_path, trained)
    name = trained.partition(":")[0]
    assert refused.value.key == f"model.parameters.{name}"
    assert f"host_side: [{name}]" in str(refused.value)


def test_knobs_and_the_read_out_have_their_path(tmp_path: Path) -> None:
    experiment = loaded(tmp_path, "")
    assert set(experiment.problem.wanted) == {"coupling", "readout", "readout_offset"}
    assert experiment.host_side == ()


def test_a_dry_run_refuses_as_well(tmp_path: Path, shell: Shell) -> None:
    file = written(tmp_path, "stiffness: {value: 1.0, train: true}")
    status, _, words = shell("run", file, "--dry-run", "--trust", tmp_path / "poor.py")
    assert status == 2
    assert "no knob for stiffness" in words


def test_the_hosts_model_can_be_trained_on_purpose_and_the_run_says_so(tmp_path: Path, shell: Shell) -> None:
    file = written(tmp_path, "stiffness: {value: 1.0, train: true}", "rule: twin, host_side: [stiffness]")
    for options in (["--dry-run"], ["--steps", "0"]):
        status, said, _ = shell("run", file, "--trust", tmp_path / "poor.py", *options)
        assert status == 0
        assert "stiffness is trained in the host's model alone" in said


def test_what_is_trained_on_purpose_is_named_as_it_is_trained(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"host_side.*not trained.*coupling"):
        loaded(tmp_path, "", "rule: rhel, host_side: [couplin]")
