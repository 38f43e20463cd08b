"""Rigs that start at another time than planned are found by the conformance kit."""

import pytest

from labrhel.conformance import Outcome, Result, Subject, chosen, judge
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.wrong import MistimedRig

STEP = 0.2
MODEL = OscillatorNetwork(2, coupling="chain", nominal={"stiffness": [1.0, 1.3], "input": [[0.7], [0.2]]})


def judged(late: float, latest: float = float("inf")) -> dict[str, Result]:
    with Subject(lambda: MistimedRig(MODEL, late=late, latest=latest), MODEL, STEP) as subject:
        return {item.name: item for item in judge(subject, [*chosen("planned"), *chosen("a shot starts after")])}


def test_a_rig_that_starts_as_planned_passes() -> None:
    assert {item.outcome for item in judged(0.0).values()} == {Outcome.PASSED}


@pytest.mark.parametrize("steps", [1, 100])
def test_a_rig_that_starts_too_early_is_found(steps: int) -> None:
    result = judged(-steps * STEP)["no shot starts before it was planned"]
    assert result.outcome is Outcome.FAILED
    assert f"by {steps * STEP:.3g} s" in str(result)


def test_a_rig_that_starts_too_late_is_found() -> None:
    result = judged(0.5, latest=0.3)["no shot starts before it was planned"]
    assert result.outcome is Outcome.FAILED
    assert "DeadlineError: a shot started 0.5 s after it was planned" in str(result)
