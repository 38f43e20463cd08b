"""Segments that start where the data say: what a rig is asked is the state that it is started in."""

from pathlib import Path

import numpy as np
import pytest
import xarray

import labrhel
from labrhel.errors import ConfigurationError
from labrhel.learning.rules import Rule
from labrhel.shots.program import GivenState
from labrhel.testing.command_line import called
from protocols.differences import FiniteDifferences
from protocols.rhel import RHEL
from protocols.twin import FittedTwin
from simbackend.dynamics.adjoint import exact_gradient

TEXT = """
model:
  oscillators: 3
  coupling: chain
  units: {time: ms, position: V}
  parameters:
    stiffness: {value: [60, 70, 80], train: true}
    coupling: {value: 10, train: true}
    cubic: 20
    input: 0
    initial_position: {value: [0, 0, 0.3], train: [false, false, true]}
  readout: {channels: [q2], gain: 1.0}
rig: "sim:"
data:
  file: table.csv
  start: [a, b]
  target: y
  rate: 4000
  train: {starts: [0, 2, 4], length: 2}
  test: {late: {start: 6, stop: 8}}
  units: {a: mV, b: mV}
  skip: 1
  substeps: 25
optimizer: {kind: adam, steps: 2}
"""
ROWS = "a,b,y\n" + "".join(f"{a},{b},{0.1 * k}\n" for k, (a, b) in enumerate([(300, -200)] * 2 + [(-100, 250)] * 6))


def written(folder: Path, text: str = TEXT, rows: str = ROWS) -> Path:
    (folder / "table.csv").write_text(rows)
    file = folder / "run.yaml"
    file.write_text(text)
    return file


def test_a_segment_starts_where_its_first_sample_says_beside_where_the_model_does(tmp_path: Path) -> None:
    with labrhel.load_experiment(written(tmp_path)) as experiment:
        problem = experiment.problem
        theta = problem.theta(problem.parameters.flat())
        first, second, _ = (problem.task.prepare(theta, item) for item in problem.train)
        assert isinstance(first, GivenState) and isinstance(second, GivenState)
        assert np.allclose(first.position.values, [0.3, -0.2, 0.3])
        assert np.allclose(second.position.values, [-0.1, 0.25, 0.3])
        assert not first.momentum.values.any()
        assert np.allclose(experiment.tests["late"][0].start, [-0.1, 0.25, 0.0])


def test_data_that_start_elsewhere_are_other_data(tmp_path: Path) -> None:
    digests = set()
    for rows in (ROWS, ROWS.replace("300,", "301,")):
        with labrhel.load_experiment(written(tmp_path, rows=rows)) as experiment:
            digests.add(experiment.manifest()["recording"])
    assert len(digests) == 2


@pytest.mark.parametrize(
    "rule", [RHEL(), FiniteDifferences(step=1e-3), FittedTwin(refit=False)], ids=lambda r: type(r).__name__
)
def test_rules_give_the_gradient_of_segments_that_start_apart(tmp_path: Path, rule: Rule) -> None:
    with labrhel.load_experiment(written(tmp_path)) as experiment:
        problem = experiment.problem
        theta = problem.theta(problem.parameters.flat())
        _, exact = exact_gradient(problem.task, problem.train, theta)
        found = experiment.execute(rule.gradient(problem.request(problem.parameters.flat(), problem.train)))
    for name in ("stiffness", "coupling"):
        assert np.allclose(found.values[name], exact[name], rtol=2e-3), name
    assert found.values["initial_position"][2] == pytest.approx(exact["initial_position"][2], rel=2e-3)


def test_a_run_of_data_that_nothing_drives_is_recorded_drawn_and_read(tmp_path: Path) -> None:
    answer = called(tmp_path, "run", written(tmp_path), "--steps", "1", "--runs", tmp_path / "runs")
    assert answer.returncode == 0, answer.stderr
    assert "simulated from rest" not in answer.stdout + answer.stderr  # they start where the data say
    assert "late error" in answer.stdout
    (folder,) = (tmp_path / "runs").glob("*-run-*")
    run = labrhel.open_run(folder)
    assert run.input["late"].shape == (0, 2) and run.target["late"].shape == (1, 2)
    with xarray.open_dataset(folder / "run.nc") as table:
        assert "late_target" in table and "late_input" not in table
    report = called(tmp_path, "report", folder)
    assert report.returncode == 0, report.stderr


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[a, b]", "[a, c]", "data.start: .*'c'"),
        ("[a, b]", "[a, b, a, b]", "data.start: start columns: 4, oscillators of the model: 3"),
        ("{a: mV, b: mV}", "{a: mV, b: ms}", "data.start: the array 'b' is in ms"),
    ],
)
def test_a_start_that_does_not_fit_is_refused_at_its_key(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        labrhel.load_experiment(written(tmp_path, TEXT.replace(old, new)))


def test_a_start_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'a'"):
        labrhel.load_experiment(written(tmp_path, rows=ROWS.replace("-100", "nan", 1)))
