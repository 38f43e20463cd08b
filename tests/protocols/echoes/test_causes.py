"""A warning names what causes a miss, from tests on the readings at hand, and says how much of it that is."""

import pytest

from benchmarks.honesty import NAMES, SEEDED, named, undeclared_rig
from protocols.echoes.causes import Cause
from protocols.rhel import RHEL
from simbackend.imperfections import HiddenFriction


@pytest.mark.parametrize("name", SEEDED)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_seeded_cause_is_named(name: str, seed: int) -> None:
    assert named(seed, name) == name


def test_what_no_hypothesis_explains_is_said_not_to_be_known() -> None:
    assert "is not known: labrhel audit" in str(Cause("friction", 0.4))
    assert str(Cause("friction", 0.93)).startswith("93 % of that is friction")


def test_a_gradient_names_the_cause_in_its_warning() -> None:
    found = undeclared_rig(0, {"friction": HiddenFriction(uniform=0.02)}).gradient(RHEL(response=0.01), NAMES)
    assert any("of that is friction that the model does not have" in words for words in found.warnings)
