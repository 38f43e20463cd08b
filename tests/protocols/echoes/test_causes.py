"""A warning names what causes a miss, from tests on the readings at hand, and says how much of it that is."""

from typing import Any

import pytest

from benchmarks.honesty import NAMES, STEP, undeclared_rig
from labrhel.executor import execute
from protocols.echoes.causes import Cause, cause_of_miss
from protocols.echoes.measurement import Measurement
from protocols.rhel import RHEL
from simbackend.imperfections import ConverterErrors, FlipErrors, HiddenFriction, PathErrors

SEEDED: dict[str, tuple[dict[str, Any], float | None]] = {
    "clipped": ({"adc": ConverterErrors(12, 0.6)}, 0.05),
    "quantised": ({"adc": ConverterErrors(7, 8.0)}, 0.05),
    "noisy": ({"noise": 1e-2}, 0.05),
    "delayed": ({"ports": PathErrors(delay=0.5 * STEP)}, 0.01),
    "friction": ({"friction": HiddenFriction(uniform=0.02)}, 0.01),
    "nudge": ({}, 0.3),
    "flip": ({"flip": FlipErrors(error=0.05)}, 0.01),
}


@pytest.mark.parametrize("name", SEEDED)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_seeded_cause_is_named(name: str, seed: int) -> None:
    wrong, response = SEEDED[name]
    rig = undeclared_rig(seed, wrong)
    run = Measurement(RHEL(response=response), rig.request(NAMES))
    execute(run.first_block(), rig.handler())
    found = cause_of_miss(run.plan, run.blocks)
    assert found.name == name and found.is_known


def test_what_no_hypothesis_explains_is_said_not_to_be_known() -> None:
    assert "is not known: labrhel audit" in str(Cause("friction", 0.4))
    assert str(Cause("friction", 0.93)).startswith("93 % of that is friction")


def test_a_gradient_names_the_cause_in_its_warning() -> None:
    found = undeclared_rig(0, {"friction": HiddenFriction(uniform=0.02)}).gradient(RHEL(response=0.01), NAMES)
    assert any("of that is friction that the model does not have" in words for words in found.warnings)
