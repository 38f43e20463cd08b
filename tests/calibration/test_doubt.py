"""What a calibration does not believe of itself: it is proposed with why, and no rule accepts it."""

from pathlib import Path

import numpy as np
import pytest

from calibration.campaign import held_back
from calibration.identify import samples_alike
from calibration.routines.signs import _delay
from calibration.testing import measured, opened

ORDINARY = "seed=4&noise=2mV&port_gain=2%&channel_gain=2%&port_skew=4us&channel_skew=4us&friction=20/s"


def test_an_ordinary_rig_is_accepted_by_rule(tmp_path: Path) -> None:
    campaign, done = measured(opened(tmp_path, ORDINARY), "paths", "reciprocity")
    accepted, held = campaign.accept(list(done.values()))
    assert not held
    assert {"noise", "paths", "reciprocity"} <= set(accepted)
    assert campaign.record.current().values["u1.gain"].node == "paths"


@pytest.mark.parametrize(
    ("device", "named"),
    [
        pytest.param("channel_highpass=8Hz", "AC-coupled", marks=pytest.mark.slow),
        ("nonreciprocity=0.05", "not reciprocal"),
    ],
)
def test_what_does_not_fit_is_proposed_with_what_is_missing_and_not_accepted(
    tmp_path: Path, device: str, named: str
) -> None:
    campaign, done = measured(opened(tmp_path, f"{ORDINARY}&{device}"), "paths")
    assert named in done["paths"].doubt
    accepted, held = campaign.accept(list(done.values()))
    assert "paths" in held and "paths" not in accepted
    assert done["paths"].entry is not None and "u1.gain" in done["paths"].entry.values
    assert "u1.gain" not in campaign.record.current().values


@pytest.mark.slow
def test_one_pair_that_is_not_reciprocal_is_named(tmp_path: Path) -> None:
    _, done = measured(opened(tmp_path, f"{ORDINARY}&nonreciprocity=0.3"), "reciprocity")
    assert "not reciprocal" in done["reciprocity"].doubt
    assert {"paths", "reciprocity"} <= set(held_back(list(done.values())))


def test_channels_that_answer_late_are_not_called_dead(tmp_path: Path) -> None:
    for delay in ("1ms", "4ms"):
        _, done = measured(opened(tmp_path, f"seed=4&noise=2mV&channel_delay={delay}"), "signs")
        assert not done["signs"].finding.bad


@pytest.mark.parametrize("late", [3, 40, 110])
def test_a_delay_is_found_anywhere_in_the_record_and_noise_has_none(late: int) -> None:
    random = np.random.default_rng(late)
    wave = np.convolve(random.normal(size=160), np.hanning(9), "same")
    shown = np.concatenate([np.zeros(late), 0.5 * wave[: 160 - late]]) + 0.02 * random.normal(size=160)
    assert _delay(shown, wave) == late
    assert _delay(random.normal(size=160), wave) == 0


def test_noise_below_an_lsb_is_said_to_be_so(tmp_path: Path) -> None:
    _, done = measured(opened(tmp_path, "seed=4&noise=0&adc_bits=8&adc_range=4V"), "noise")
    lsb = 8 / 255
    found = done["noise"].finding
    assert found.values["q1.noise"].value == pytest.approx(lsb / np.sqrt(12), rel=0.01)
    assert any("below LSB/sqrt(12)" in words for words in found.words)


def test_residuals_that_are_alike_count_as_fewer() -> None:
    random = np.random.default_rng(0)
    white = [random.normal(size=(3, 400)) for _ in range(4)]
    slow = [np.stack([np.convolve(row, np.ones(10) / np.sqrt(10), "same") for row in rows]) for rows in white]
    assert samples_alike(white) == pytest.approx(1.0, abs=0.3)
    assert samples_alike(slow) == pytest.approx(10.0, rel=0.3)
