"""The card says what a calibration costs a gradient, by the numbers that runs use."""

from pathlib import Path

from calibration.card import Card, card
from calibration.testing import opened, written
from labrhel.experiment import load_experiment
from labrhel.rig.calibration import CalibratedValue
from labrhel.store.calibrations import CalibrationRecord


def card_of(folder: Path, uncertainty: float) -> Card:
    experiment = opened(folder, "seed=4")
    record = CalibrationRecord(None, experiment.rig_url)
    values = {
        "q3.gain": CalibratedValue(1.0, "1", uncertainty, "drawn", node="paths"),
        "f1.gain": CalibratedValue(1.0, "1", 0.01 * uncertainty, "drawn", node="paths"),
    }
    record.accept([record.propose("paths", values, ())])
    return card(experiment, record)


def test_the_card_names_the_value_that_most_of_the_uncertainty_of_a_gradient_comes_from(tmp_path: Path) -> None:
    poor, good = card_of(tmp_path, 0.05), card_of(tmp_path, 0.0005)
    assert "most of it through q3.gain" in dict(poor.facts)["uncertainties"]
    assert "what the calibration knows only to an uncertainty" in poor.limits
    share = [float(dict(found.facts)["uncertainties"].split(" off by ")[1].split(" %")[0]) for found in (poor, good)]
    assert 60 < share[0] / share[1] < 140  # in proportion
    assert 2 < share[0] < 50


def test_the_card_names_the_rules_that_a_directed_rig_allows(tmp_path: Path) -> None:
    file = written(tmp_path)
    text = file.read_text().replace("coupling: all", "coupling: {springs: all, directed: [[0, 1]]}")
    file.write_text(text.replace("cubic: 0.2", "cubic: 0.2\n    directed: 0.1"))
    experiment = load_experiment(file, rig_url=f"sim:{file}")
    verdicts = {item.rule: item for item in card(experiment, CalibrationRecord(None, experiment.rig_url)).verdicts}
    assert (verdicts["rhel"].valid, verdicts["recorded_correlation"].valid) == ("yes", "no")
    assert "run the transpose" in verdicts["rhel"].why
    assert "directed or gyroscopic" in verdicts["recorded_correlation"].why


def test_a_card_of_certain_values_says_nothing_of_them(tmp_path: Path) -> None:
    assert "uncertainties" not in dict(card_of(tmp_path, 0.0).facts)
