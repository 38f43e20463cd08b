"""`labrhel calibrate` and what belongs to it, as a user types them: on a simulated rig, and over a bench's wires."""

import re
from pathlib import Path

import pytest

from calibration.testing import IMPERFECT, written
from labrhel.testing.command_line import called
from simbackend.testing.benches import bench_and_station


@pytest.mark.slow
def test_measure_accept_check_card_run_and_look_back(tmp_path: Path) -> None:
    file = written(tmp_path)
    url = f"sim:{file}?{IMPERFECT}"
    done = called(tmp_path, "calibrate", url, "--config", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "plan: link, noise, signs, drift, paths" in done.stdout
    assert "nothing is in force yet" in done.stdout
    assert called(tmp_path, "calibrate", url, "--config", str(file), "--check").returncode == 2
    assert "accepted: link, noise" in called(tmp_path, "calibration", "accept", url).stdout
    check = called(tmp_path, "calibrate", url, "--config", str(file), "--check")
    assert check.returncode == 0 and "in order" in check.stdout
    card = called(tmp_path, "card", url, "--config", str(file), "--to", "card.html")
    assert re.search(r"flip +gain 1\.0[23]", card.stdout), card.stdout
    assert "rhel                    yes" in card.stdout and "dominant error source" in card.stdout
    assert (tmp_path / "card.html").read_text().startswith("<!doctype html>")
    run = called(tmp_path, "run", str(file), "--rig", url, "--steps", "2")
    assert "values in force" in run.stdout
    assert (
        "values in force"
        not in called(tmp_path, "run", str(file), "--rig", url, "--steps", "1", "--uncalibrated").stdout
    )
    log = called(tmp_path, "calibration", "log", url).stdout
    first = log.splitlines()[3].split("│")[1].strip()
    assert "paths" in log and "accepted" in log
    assert "f1.gain" in called(tmp_path, "calibration", "diff", url, first).stdout
    assert "f1.gain" in called(tmp_path, "calibration", "show", url).stdout
    assert "0 values" in called(tmp_path, "calibration", "rollback", url, first).stdout


def test_mistakes_get_a_sentence(tmp_path: Path) -> None:
    file = written(tmp_path)
    unknown = called(tmp_path, "calibrate", f"sim:{file}", "pths", "--config", str(file))
    assert unknown.returncode == 2 and "did you mean 'paths'" in unknown.stderr
    nameless = called(tmp_path, "calibrate", "bench:station.yaml")
    assert nameless.returncode == 2 and "--config" in nameless.stderr
    wrong = called(tmp_path, "calibrate", f"sim:{file}", "--config", str(file), "--reference", "hopes")
    assert wrong.returncode == 2 and "masses or gains" in wrong.stderr


@pytest.mark.slow
def test_over_the_wires_of_a_bench_in_two_commands(tmp_path: Path) -> None:
    with bench_and_station(tmp_path):
        rig, config = "bench:station.yaml", "bench_oscillators"
        measured = called(tmp_path, "calibrate", rig, "--config", config, "--accept")
        assert measured.returncode == 0, measured.stdout + measured.stderr
        trained = called(tmp_path, "run", config, "--rig", rig, "--steps", "2")
        assert trained.returncode == 0, trained.stdout + trained.stderr
    assert "accepted: link, noise, drift, paths" in measured.stdout
    assert "values in force" in trained.stdout
    found = re.search(r"f2\.gain +([\d.]+) \+- ([\d.]+)", measured.stdout)
    assert found is not None
    assert float(found[1]) == pytest.approx(1.0, abs=4 * float(found[2]))
    assert "'paths'" not in measured.stderr + trained.stderr
