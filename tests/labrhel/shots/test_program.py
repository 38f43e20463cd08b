import numpy as np
import pytest

from labrhel.errors import ProgramError
from labrhel.frozen import FrozenArray
from labrhel.shots.program import Acquire, Drive, GivenState, Hold, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform

STATE = GivenState(FrozenArray(np.zeros(2)), FrozenArray(np.ones(2)))


def drive(values: list[float], role: Role = Role.INPUT) -> Drive:
    return Drive("u1", Waveform.of(values, 0.1), role)


def test_two_programs_built_alike_are_equal_and_share_a_digest() -> None:
    first, second = (ShotProgram(0.1, Rest(), (Pass(3, (drive([1.0, 2.0, 3.0]),)),)) for _ in range(2))
    assert first == second
    assert first.digest == second.digest


@pytest.mark.parametrize(
    "other",
    [
        ShotProgram(0.2, Rest(), (Pass(3, (drive([1.0, 2.0]),)),)),
        ShotProgram(0.1, Rest(1.0), (Pass(3, (drive([1.0, 2.0]),)),)),
        ShotProgram(0.1, Hold(), (Pass(3, (drive([1.0, 2.0]),)),)),
        ShotProgram(0.1, STATE, (Pass(3, (drive([1.0, 2.0]),)),)),
        ShotProgram(0.1, Rest(), (Pass(4, (drive([1.0, 2.0]),)),)),
        ShotProgram(0.1, Rest(), (Pass(3, (drive([1.0, 2.5]),)),)),
        ShotProgram(0.1, Rest(), (Pass(3, (drive([1.0, 2.0], Role.NUDGE),)),)),
        ShotProgram(0.1, Rest(), (Pass(3, (drive([1.0, 2.0]),), Acquire(("q1",))),)),
        ShotProgram(0.1, Rest(), (Pass(3, (drive([1.0, 2.0]),), keep=True),)),
        ShotProgram(0.1, Rest(), (Pass(3, (drive([1.0, 2.0]),)), Pass(3, echo=True))),
        ShotProgram(0.1, Rest(), (Pass(3, (drive([1.0, 2.0]),)),), repeats=2),
    ],
)
def test_whatever_differs_between_two_programs_shows_in_the_digest(other: ShotProgram) -> None:
    assert ShotProgram(0.1, Rest(), (Pass(3, (drive([1.0, 2.0]),)),)) != other


def test_only_a_shot_that_prepares_its_own_start_may_be_retried() -> None:
    assert ShotProgram(0.1, Rest(), (Pass(1),)).may_be_retried
    assert ShotProgram(0.1, STATE, (Pass(1),)).may_be_retried
    assert not ShotProgram(0.1, Hold(), (Pass(1),)).may_be_retried


def test_an_echo_needs_something_to_reverse() -> None:
    with pytest.raises(ProgramError, match="nothing to reverse"):
        ShotProgram(0.1, Rest(), (Pass(1, echo=True),))
    ShotProgram(0.1, Hold(), (Pass(1, echo=True),))
    ShotProgram(0.1, STATE, (Pass(1, echo=True),))


@pytest.mark.parametrize("step", [0.0, -0.1, np.nan])
def test_a_step_that_is_not_positive_is_refused(step: float) -> None:
    with pytest.raises(ProgramError, match="step"):
        ShotProgram(step, Rest(), (Pass(1),))


def test_empty_passes_shots_repeats_and_strides_are_refused() -> None:
    for build in (
        lambda: Pass(0),
        lambda: ShotProgram(0.1, Rest(), ()),
        lambda: ShotProgram(0.1, Rest(), (Pass(1),), repeats=0),
        lambda: Acquire(("q1",), every=0),
    ):
        with pytest.raises(ProgramError):
            build()
