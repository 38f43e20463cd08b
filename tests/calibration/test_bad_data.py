"""Dead, saturated and disconnected: named, dropped, and the rest is calibrated all the same."""

from pathlib import Path

import pytest

from calibration.campaign import campaign
from calibration.testing import measured, opened
from labrhel.errors import TransportError
from labrhel.store.calibrations import CalibrationRecord

QUIET = "seed=4&noise=2mV&friction=20/s"


@pytest.mark.parametrize(
    ("fault", "subject", "words"),
    [
        ("q2.gain=1e9", "q2", "does not answer to any push"),
        ("q2.offset=30V&adc_bits=12&adc_range=4V", "q2", "clips in"),
        ("q3.gain=-1", "q3", "answers upside down"),
        ("f2.gain=1e-9", "f2", "moves nothing"),
        ("f3.gain=-1", "f3", "pushes the wrong way"),
    ],
)
def test_a_fault_is_named_and_the_rest_goes_on(fault: str, subject: str, words: str, tmp_path: Path) -> None:
    _, done = measured(opened(tmp_path, f"{QUIET}&{fault}"), "linearity")
    bad = done["signs"].finding.bad
    assert list(bad) == [subject]
    assert words in bad[subject]
    values = done["paths"].finding.values
    assert not any(name.startswith(f"{subject}.") for name in values)
    healthy = [name for name in ("f1.gain", "u1.gain", "q1.offset") if name.split(".")[0] != subject]
    assert all(name in values for name in healthy)
    assert values["friction[0,0].added"].value == pytest.approx(0.02, abs=0.002)


def test_a_rig_that_is_switched_off_is_named_and_nothing_is_proposed_for_it(tmp_path: Path) -> None:
    dead = "&".join(f"q{index}.gain=1e9" for index in (1, 2, 3))
    campaign, done = measured(opened(tmp_path, f"{QUIET}&{dead}"), "paths")
    assert "is the rig switched on" in done["signs"].finding.failed
    assert "gave no answer to stand on" in done["paths"].finding.failed
    assert not any(entry.node == "paths" for entry in campaign.record.entries)


def test_a_channel_that_clips_in_the_training_sequence_is_named(tmp_path: Path) -> None:
    settings = f"{QUIET}&q1.offset=1.2V&adc_bits=12&adc_range=2V"
    _, done = measured(opened(tmp_path, settings), "retrace")
    assert any("q1 clips" in words for words in done["retrace"].finding.words) or "q1" in done["signs"].finding.bad


def test_a_link_that_is_lost_ends_the_campaign_and_what_was_proposed_stands(tmp_path: Path) -> None:
    experiment = opened(tmp_path, QUIET)
    fired, run = [], experiment.rig.run

    def breaks(shots: object) -> object:
        fired.append(shots)
        if len(fired) > 4:
            raise TransportError("the cable is out")
        return run(shots)  # type: ignore[arg-type]

    experiment.rig.run = breaks  # type: ignore[method-assign, assignment]
    asked = campaign(experiment, CalibrationRecord(None, "x"))
    found = asked.run(asked.plan_of(("noise", "signs", "paths", "linearity")))
    with pytest.raises(TransportError, match="the cable is out"):
        list(found)
    assert [entry.node for entry in asked.record.entries] == ["noise"]
