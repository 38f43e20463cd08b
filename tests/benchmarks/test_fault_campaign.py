"""A few trials of the fault campaign, of every sort of fault: benchmarks/fault_campaign.py has the full counts."""

import pytest

from benchmarks.fault_campaign import BACK, attempt
from benchmarks.faulty_lab import KINDS, Trial, lab
from benchmarks.stop_campaign import stop, stops

pytestmark = pytest.mark.slow
SLACK = 5  # what a loaded machine may take beyond a deadline


def test_a_trial_is_made_from_its_seed_alone() -> None:
    assert Trial.of(17, KINDS) == Trial.of(17, KINDS)
    assert {Trial.of(seed, KINDS).kind for seed in range(len(KINDS))} == set(KINDS)


def test_faults_in_runs_leave_nothing_on_unsaid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABRHEL_STATE", "")  # put back afterwards
    with lab(disk=False) as place:
        for kind in ("refused", "owner killed", "second client"):
            found, _ = attempt(place, Trial(1, kind, "run", 0.2, ("awg2", "bias"), 0))
            assert found.status is not None, found
            assert found.safe is not None and found.safe < SLACK * BACK, found
            assert "Traceback" not in found.words, found
            assert found.said == (kind == "refused"), found
        with stops(place) as (control, finger):
            stopped = stop(place, Trial(2, "refused", "run", 0.2, ("bias",), 10), control, finger)
        assert (stopped.status, stopped.called) == (3, True), stopped
        assert "Traceback" not in stopped.words
