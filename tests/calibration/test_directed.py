"""Directed couplings are measured, with errors, and runs use them."""

from pathlib import Path

import numpy as np
import pytest

from calibration.campaign import campaign
from calibration.testing import measured
from calibration.unknowns import Reference, parameter_unknowns
from labrhel.executor import execute
from labrhel.experiment import Experiment, calibrated, load_experiment
from labrhel.rig.calibration import CalibrationSet
from labrhel.store.calibrations import CalibrationRecord
from simbackend.dynamics.adjoint import exact_gradient
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

TRUE, KNOWN = np.array([0.13, 0.05, -0.09]), np.array([0.05, 0.05, -0.06])
CONFIG = """\
model:
  oscillators: 3
  coupling: {coupling}
  units: {{time: ms, position: V, input: V}}
  parameters:
    stiffness: [1.0, 1.3, 0.8]
    cubic: 0.1
    coupling: {{value: 0.15, train: true, bounds: [0, 2]}}
    input: [[1.0], [0.0], [0.0]]
    {more}
  readout: {{channels: [q3], gain: 1.0}}
protocol: {{rule: rhel, repeats: 3}}
optimizer: {{kind: adam, rate: 0.01, steps: 6}}
data:
  teacher:
    parameters: {{coupling: [0.3, 0.05, 0.22]}}
    input: {{amplitude: 0.3, band: [0.08, 0.35], tones: 10, seed: 3}}
    samples: 160
    spacing: 0.2
    sequences: 1
    test_sequences: 0
  substeps: 1
imperfections: {imperfections}
"""


def opened(folder: Path) -> Experiment:
    """The host knows that there are directed couplings; the rig has other ones than it thinks, gains and noise."""
    file = folder / "directed.yaml"
    links = "{springs: all, directed: [[0, 1], [1, 2], [2, 0]]}"
    off = "{added: {directed: [0.08, 0.0, -0.03]}, noise: 0.2 mV, seed: 4, friction: 20 /s}"
    file.write_text(CONFIG.format(coupling=links, more="directed: [0.05, 0.05, -0.06]", imperfections=off))
    return load_experiment(file, rig_url=f"sim:{file}")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, CalibrationSet]:
    experiment = opened(tmp_path_factory.mktemp("directed"))
    held, done = measured(experiment, "paths", "reciprocity")
    assert not done["reciprocity"].doubt
    held.accept(list(done.values()))
    return experiment, held.record.current()


def test_each_directed_coupling_is_found_with_an_error_that_holds(found: tuple[Experiment, CalibrationSet]) -> None:
    values = found[1].values
    for index, true in enumerate(TRUE):
        item = values[f"directed[{index}].added"]
        assert abs(item.value + KNOWN[index] - true) < 4 * item.uncertainty
        assert abs(item.value + KNOWN[index] - true) < 0.02 * np.abs(TRUE).max()
    pairs = [item for name, item in values.items() if name.endswith(".antisymmetry")]
    assert len(pairs) == 3
    # [0, 1] and [1, 2] are felt by the first of their pair, [2, 0] by the second.
    for item, true in zip(pairs, (0.13, 0.09, 0.05), strict=True):
        assert abs(item.value - true / 2) < 5 * item.uncertainty + 1e-3


def test_a_run_uses_them_and_its_error_bar_holds_them(found: tuple[Experiment, CalibrationSet]) -> None:
    bare, calibration = found
    experiment, rig = calibrated(bare, calibration), bare.rig
    assert isinstance(rig, SimulatedRig)
    off, errors = [], []
    for each in (
        experiment,
        bare,
    ):  # the first brings the rig to what is asked for, the second believes that it is there
        problem = each.problem
        x = problem.parameters.flat()
        gradient = execute(problem.gradient(x, problem.train), each.executor())
        truth = {**problem.theta(x), **rig.true_parameters()}
        exact = exact_gradient(problem.task, problem.train, truth)[1]["coupling"]
        off.append(np.linalg.norm(gradient.values["coupling"] - exact) / np.linalg.norm(exact))
        errors.append(gradient.calibration_error)
    assert off[0] < 0.01
    assert off[0] < off[1] / 3
    assert errors[0]["coupling"].any()


def test_scales_that_no_symmetry_ties_together_are_trusted() -> None:
    directed = OscillatorNetwork(2, coupling={"directed": "chain"})
    assert Reference.MASSES.for_model(directed) is Reference.BOTH
    assert Reference.MASSES.for_model(OscillatorNetwork(2, coupling="chain")) is Reference.MASSES
    both = OscillatorNetwork(2, coupling={"springs": "chain", "directed": "chain"}, nominal={"coupling": 0.2})
    theta = {name: spec.nominal for name, spec in both.parameters.items()}
    names = [item.name for item in parameter_unknowns(both, theta, 20.0, Reference.BOTH, 0.5)]
    assert "directed[0].added" in names
    assert "directed[1].added" not in names  # the spring and the other link say all that it could
    assert not any(name.startswith("mass") for name in names)


@pytest.mark.slow
def test_a_rig_that_turns_out_directed_is_told_which_links_the_model_needs(tmp_path: Path) -> None:
    file = tmp_path / "reciprocal.yaml"
    file.write_text(CONFIG.format(coupling="all", more="", imperfections="{nonreciprocity: 0.3, noise: 2 mV, seed: 4}"))
    experiment = load_experiment(file, rig_url=f"sim:{file}")
    _, done = measured(experiment, "reciprocity")
    words = " ".join(done["reciprocity"].finding.words)
    assert "directed: [[0, 1], [0, 2], [1, 2]]" in words
    assert "calibrate again" in words


def test_the_campaign_says_what_it_trusts(tmp_path: Path) -> None:
    made = campaign(opened(tmp_path), CalibrationRecord(None, "sim:"))
    assert made.bench.reference is Reference.BOTH
