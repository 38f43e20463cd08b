"""The joint fit finds what the URL of the device says, within what it claims to know."""

from pathlib import Path

import numpy as np
import pytest

from calibration.testing import measured, opened
from simbackend.rigs.simulated import SimulatedRig


@pytest.mark.parametrize("seed", [4, 5])
def test_gains_delays_friction_and_flip_are_found_within_three_standard_errors(seed: int, tmp_path: Path) -> None:
    experiment = opened(
        tmp_path,
        f"seed={seed}&noise=2mV&adc_bits=12&adc_range=4V&port_gain=2%&channel_gain=2%&port_skew=4us&channel_skew=4us"
        "&friction=20/s&flip_error=0.03&flip_offset=0.01",
    )
    rig = experiment.rig
    assert isinstance(rig, SimulatedRig)
    _, done = measured(experiment, "paths")
    values = done["paths"].finding.values
    scale = rig.true_gain("q1")  # gains are counted from that of the first channel
    true = {f"{name}.gain": rig.true_gain(name) / scale for name in ("u1", "f1", "f2", "f3", "q2", "q3")}
    true |= {f"friction[{i},{j}].added": 0.02 * (i == j) for i in range(3) for j in range(i, 3)}
    true |= {"flip.gain": 1.03} | {f"coupling[{index}].factor": 1.0 for index in range(3)}
    off = {name: (values[name].value - value) / values[name].error for name, value in true.items()}
    assert np.mean([abs(sigmas) <= 3 for sigmas in off.values()]) >= 0.9, off
    for name in ("u1.gain", "f2.gain", "q3.gain"):
        assert values[name].value == pytest.approx(true[name], abs=0.002)
    assert values["flip.gain"].value == pytest.approx(1.03, abs=0.005)
    assert 0.9 < values["model.misfit"].value < 1.1


def test_what_the_model_has_no_word_for_is_told(tmp_path: Path) -> None:
    experiment = opened(tmp_path, "seed=4&noise=2mV&nonreciprocity=0.3")
    _, done = measured(experiment, "paths", "reciprocity")
    assert any("lacks a term for something" in words for words in done["paths"].finding.words)
    assert any("not reciprocal" in words for words in done["reciprocity"].finding.words)


def test_a_rig_without_flip_has_delays_as_sums_only(tmp_path: Path) -> None:
    experiment = opened(tmp_path, "seed=4&noise=2mV&port_skew=4us&channel_skew=4us&reversal=by_drive&friction=20/s")
    rig = experiment.rig
    assert isinstance(rig, SimulatedRig)
    _, done = measured(experiment, "paths")
    values = done["paths"].finding.values
    assert values["q1.delay"].value == 0.0
    assert "flip.gain" not in values
    assert abs(values["f2.delay"].value) < 2e-5


def test_an_ideal_rig_is_found_ideal(tmp_path: Path) -> None:
    _, done = measured(opened(tmp_path, "seed=1"), "paths", "linearity")
    values = done["paths"].finding.values
    for name, item in values.items():
        if name.endswith((".gain", ".factor")):
            assert item.value == pytest.approx(1.0, abs=1e-4), name
    assert not done["linearity"].finding.words
