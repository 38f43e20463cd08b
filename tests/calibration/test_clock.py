"""Clocks that are apart are measured in a long record, with an error that holds, or said to be unseen."""

from dataclasses import replace
from pathlib import Path

import pytest

from calibration.routines.clock import Clock
from calibration.testing import measured, opened

ORDINARY = "noise=2mV&port_gain=2%&channel_gain=2%&port_skew=4us&channel_skew=4us&friction=20/s"


@pytest.mark.parametrize(("seed", "apart"), [(4, 100), pytest.param(5, -40, marks=pytest.mark.slow)])
def test_clocks_that_are_apart_are_found_and_no_path_is_the_worse_for_it(tmp_path: Path, seed: int, apart: int) -> None:
    campaign, done = measured(opened(tmp_path, f"seed={seed}&{ORDINARY}&clock_apart={apart}ppm"), "paths", "clock")
    found = done["clock"].finding.values["clock.rate"]
    assert found.error < 1e-5
    assert abs(found.value - 1e-6 * apart) <= 3 * found.error
    assert done["clock"].shots == 1 and "clock.rate" not in done["paths"].finding.values
    _, held = campaign.accept(list(done.values()))
    assert not held and campaign.record.current().number("clock", "rate") == found.value


def test_clocks_that_a_record_cannot_tell_apart_are_proposed_and_not_accepted(tmp_path: Path) -> None:
    campaign, done = measured(opened(tmp_path, "seed=4&noise=200mV&friction=20/s"), "paths", "clock")
    assert "too short to see the clocks apart" in done["clock"].doubt and "ppm matter in a pass" in done["clock"].doubt
    _, held = campaign.accept(list(done.values()))
    assert "clock" in held and "clock.rate" not in campaign.record.current().values


def test_what_matters_is_a_thousandth_of_the_fastest_period_at_the_end_of_a_pass(tmp_path: Path) -> None:
    campaign, _ = measured(opened(tmp_path, "seed=4"), "noise")
    bench = campaign.bench
    period = 3.14159265 * bench.task.model.largest_step(bench.theta)
    assert Clock().wanted(bench) == pytest.approx(1e-3 * period / (bench.steps * bench.step), rel=1e-6)


def test_what_the_paths_have_found_may_move_within_its_errors_and_a_delay_with_the_trigger(tmp_path: Path) -> None:
    campaign, _ = measured(opened(tmp_path, "seed=4"), "noise")
    bench = campaign.bench.knowing({"f1.gain": 1.1, "f1.delay": 0.02}, {"f1.gain": 0.01, "f1.delay": 3e-3})
    rate, *others = Clock().unknowns(bench)
    assert rate.name == "clock.rate" and {item.name for item in others} == {"f1.gain", "f1.delay"}
    assert next(item for item in others if item.name == "f1.gain").spread == 0.01
    jittering = replace(bench, values={**bench.values, "trigger.jitter": 4e-3 * bench.rig.time_unit})
    late = next(item for item in Clock().unknowns(jittering) if item.name == "f1.delay")
    assert late.start == 0.02 and late.spread == pytest.approx(5e-3)
