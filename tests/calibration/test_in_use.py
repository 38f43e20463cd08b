"""What is in force is used: by compile, by decode, by the rules, and in the record of the run."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from calibration.testing import IMPERFECT, measured, opened, written
from labrhel import session
from labrhel.errors import ConfigurationError, InterlockError
from labrhel.executor import Compiling, execute
from labrhel.experiment import Experiment, calibrated, load_experiment
from labrhel.learning.gradient import Gradient
from labrhel.rig.calibration import CalibrationSet
from labrhel.shots.operations import Configure, Publish
from labrhel.store import RunReader
from labrhel.store.calibrations import CalibrationRecord


def ignore(published: Publish) -> None:
    """Watch nothing."""


def gradient(experiment: Experiment) -> Gradient:
    problem = experiment.problem
    return execute(problem.gradient(problem.parameters.flat(), problem.train), experiment.executor())


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, CalibrationSet]:
    """An imperfect rig, and what a campaign has found out about it."""
    experiment = opened(tmp_path_factory.mktemp("rig"))
    campaign, done = measured(experiment, "paths")
    campaign.record.accept([item.entry for item in done.values() if item.entry is not None])
    return experiment, campaign.record.current()


def test_a_calibrated_rig_comes_back_and_one_wrong_value_spoils_it(known: tuple[Experiment, CalibrationSet]) -> None:
    experiment, calibration = known
    right = gradient(calibrated(experiment, calibration))
    assert gradient(experiment).retrace_error > 10 * right.retrace_error
    for name, change in (("f2.gain", 0.3), ("q3.delay", 2e-5), ("flip.gain", 0.1), ("friction[0,0].added", 0.1)):
        wrong = dict(calibration.values)
        wrong[name] = dataclasses.replace(wrong[name], value=wrong[name].value + change)
        spoiled = gradient(calibrated(experiment, CalibrationSet(wrong)))
        assert spoiled.retrace_error > 1.3 * right.retrace_error or name == "f2.gain", name
        assert (
            np.abs(spoiled.values["coupling"] - right.values["coupling"]).max()
            > 0.01 * np.abs(right.values["coupling"]).max()
        ), name


def test_knobs_are_set_so_that_the_rig_is_what_is_asked_for(tmp_path: Path) -> None:
    experiment = opened(tmp_path, "seed=4&noise=2mV&mismatch=3%")
    campaign, done = measured(experiment, "paths")
    campaign.record.accept([item.entry for item in done.values() if item.entry is not None])
    ready = calibrated(experiment, campaign.record.current())
    theta = ready.problem.theta(ready.problem.parameters.flat())
    sent: list[Configure] = []

    class Rig:
        """A rig that takes whatever it is set to."""

        def do(self, operation: Configure) -> dict[str, np.ndarray]:
            sent.append(operation)
            return dict(operation.knobs)

    compiling = Compiling(Rig(), ready.rig.capabilities, ready.wiring, ready.calibration)
    back = compiling.do(Configure({"stiffness": theta["stiffness"]}))["stiffness"]
    (knobs,) = (item.knobs for item in sent)
    np.testing.assert_allclose(back, theta["stiffness"])
    assert np.abs(knobs["stiffness"] / theta["stiffness"] - 1).max() > 0.01
    assert gradient(experiment).retrace_error > 0  # an ideal flip needs none of it


def test_a_run_finds_what_is_in_force_embeds_it_and_resumes_with_it(tmp_path: Path) -> None:
    folder, file = tmp_path / "calibrations", written(tmp_path)
    url = f"sim:{file}?{IMPERFECT}"
    record = CalibrationRecord(folder, url)
    from calibration.campaign import campaign

    asked = campaign(load_experiment(file, rig_url=url), record)
    record.accept([item.entry for item in asked.run(asked.plan(["paths"])) if item.entry is not None])
    experiment = load_experiment(file, rig_url=url, calibration=folder)
    assert experiment.calibration == record.current()
    begun = session.start(dataclasses.replace(experiment, steps=3), tmp_path / "runs", ignore)
    manifest = RunReader(begun.folder).manifest
    assert manifest["calibration"]["f2.gain"]["value"] == record.current().values["f2.gain"].value
    record.roll_back(record.entries[0].id)
    record.file.unlink()  # type: ignore[union-attr]
    resumed = session.resume(begun.folder, ignore, steps=6)
    retrace = RunReader(resumed.folder).scalars()["retrace_error"]
    assert np.nanmax(retrace) < 0.04 < gradient(load_experiment(file, rig_url=url)).retrace_error


def test_a_calibration_that_has_expired_is_refused(tmp_path: Path) -> None:
    folder, file = tmp_path / "calibrations", written(tmp_path)
    url = f"sim:{file}?seed=1"
    from labrhel.rig.calibration import CalibratedValue

    record = CalibrationRecord(folder, url)
    old = CalibratedValue(1.0, "1", 0.01, "by hand", valid_until=1e9, node="paths")
    record.accept([record.propose("paths", {"u1.gain": old})])
    with pytest.raises(ConfigurationError, match=r"expired on 2001.*u1.gain.*--uncalibrated"):
        load_experiment(file, rig_url=url, calibration=folder)


def test_a_run_calibrates_again_when_its_echo_no_longer_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABRHEL_STATE", str(tmp_path))
    file = written(tmp_path, "health: {retrace: 0.02, steps: 2}\n")
    # A rule that looks for its nudge would refuse a rig that leaves its calibration so fast.
    file.write_text(file.read_text().replace("record: none", "record: none, response: 0.1"))
    url = f"sim:{file}?seed=3&noise=1mV&reversal=by_drive&drift=2e-4"
    done = session.start(load_experiment(file, rig_url=url, steps=6), tmp_path / "runs", ignore)
    reader = RunReader(done.folder)
    assert np.nanmax(reader.scalars()["recalibrations"]) >= 1
    assert any("calibrated again" in words for _, words in reader.words())
    checkpoint = reader.last_checkpoint()
    assert checkpoint is not None and "stiffness[0].factor" in checkpoint.state["calibration"]


def test_a_run_whose_rig_moves_while_it_is_calibrated_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABRHEL_STATE", str(tmp_path))
    file = written(tmp_path, "health: {retrace: 0.02, steps: 2}\n")
    file.write_text(file.read_text().replace("record: none", "record: none, response: 0.1"))
    url = f"sim:{file}?seed=3&noise=1mV&reversal=by_drive&drift=1e-3"
    with pytest.raises(InterlockError, match=r"paths is in doubt: the model leaves \d\S* times the noise unexplained"):
        session.start(load_experiment(file, rig_url=url, steps=30), tmp_path / "runs", ignore)


def test_a_run_whose_health_says_stop_stops(tmp_path: Path) -> None:
    file = written(tmp_path, "health: {retrace: 1.0e-9, steps: 2, then: stop}\n")
    with pytest.raises(InterlockError, match=r"missed by more than 1e-09 in 2 steps in a row: calibrate again"):
        session.start(load_experiment(file, rig_url=f"sim:{file}?noise=1mV"), tmp_path / "runs", ignore)
