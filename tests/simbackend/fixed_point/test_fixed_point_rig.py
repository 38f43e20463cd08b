"""Learning rules on the integer leapfrog, through the interface of any rig."""

from dataclasses import replace

import numpy as np
import pytest

from labrhel.errors import ProgramError
from labrhel.executor import execute
from labrhel.frozen import FrozenArray
from labrhel.learning.train import free_run
from labrhel.shots.operations import RunShots
from labrhel.shots.program import Acquire, GivenState, Hold, Pass, Rest, ShotProgram
from labrhel.wire.fixed_point import Format
from protocols.rhel import RHEL
from simbackend.fixed_point import FixedPointRig
from simbackend.rigs.reference import STEP, ReferenceTask, reference_rig

PARAMETERS = ("mass", "stiffness", "cubic", "coupling", "input", "input_offset", "initial_position", "initial_momentum")


FINE = Format(32, 30)


def board(word: int, factor: Format = FINE) -> ReferenceTask:
    """The published reference rig on a board with words of `word` bits, four of them before the point."""
    reference = reference_rig()
    rig = FixedPointRig(reference.model, STEP, Format(word, word - 4), factor)
    return replace(reference, rig=rig, task=replace(reference.task, capabilities=rig.capabilities))


@pytest.mark.parametrize(
    ("word", "response", "error"),
    [(16, 0.1, 0.3), (20, 0.05, 0.03), (24, 0.01, 5e-3), (28, 0.01, 1e-3), (32, 1e-3, 3e-4)],
)
def test_the_gradient_by_echoes_approaches_the_float_one_as_words_grow(
    word: int, response: float, error: float
) -> None:
    cosine, found = board(word).compare(board(word).gradient(RHEL(response=response), PARAMETERS))
    assert found < error
    assert cosine > 1 - error**2


def test_at_24_and_32_bits_its_cosine_is_that_of_a_good_bench_and_of_a_simulation() -> None:
    cosines = [
        board(word).compare(board(word).gradient(RHEL(response=response), PARAMETERS))[0]
        for word, response in ((24, 0.01), (32, 1e-3))
    ]
    assert cosines[0] > 0.99999
    assert cosines[1] > 0.9999999


def test_a_parameter_is_set_to_the_value_of_its_code_and_read_back_so() -> None:
    reference = board(16, Format(16, 14))
    wanted = np.linspace(0.9, 1.1, 6)
    achieved = reference.rig.configure({"stiffness": wanted})["stiffness"]
    assert 0 < np.abs(achieved - wanted).max() <= 2**-15 / STEP
    assert np.array_equal(reference.rig.read(["stiffness"])["stiffness"], achieved)


def test_the_trace_is_the_codes_times_their_scale() -> None:
    reference = board(16)
    shot = ShotProgram(STEP, Rest(), (Pass(9, acquire=Acquire(("q1", "v1"))),), repeats=2)
    capture = execute(iter_shots(shot), reference.handler())[0]
    trace = capture.last.traces["q1"]
    assert trace.values.shape == (2, 9)
    assert trace.codes is not None
    assert np.array_equal(trace.codes * trace.scale, trace.values)


def test_repeats_start_as_the_program_says_and_after_hold_where_the_one_before_ended() -> None:
    reference = board(16)
    start = GivenState(FrozenArray(np.full(6, 0.2)), FrozenArray(np.zeros(6)))
    read = (Pass(9, acquire=Acquire(("q1",), end_state=True)),)
    again, *_ = execute(iter_shots(ShotProgram(STEP, start, read, repeats=3)), reference.handler())
    held, *_ = execute(iter_shots(ShotProgram(STEP, Hold(), read, repeats=3)), reference.handler())
    same, going_on = (item.last.traces["q1"].values for item in (again, held))
    assert np.array_equal(same[0], same[2])
    assert not np.array_equal(going_on[0], going_on[1])
    assert held.last.end_state is not None
    assert held.last.end_state.position.shape == (3, 6)


def iter_shots(*shots: ShotProgram):
    return (yield RunShots(shots))


def test_two_runs_give_the_same_bits() -> None:
    outputs = []
    for _ in range(2):
        reference = board(24)
        outputs.append(execute(free_run(reference.task, reference.sequences, reference.theta), reference.handler())[0])
    assert np.array_equal(*outputs)


def test_a_shot_of_another_step_is_refused() -> None:
    shot = ShotProgram(2 * STEP, Rest(), (Pass(9),))
    with pytest.raises(ProgramError, match=r"are for a step of 0\.1, not 0\.2"):
        execute(iter_shots(shot), board(16).handler())


def test_words_that_did_not_fit_are_counted() -> None:
    reference = board(24)
    reference.gradient(RHEL(response=0.01), ("stiffness",))
    assert reference.rig.overflows == 0
    # From -1 to 1 the input does not fit: the compiler refuses it, before a word could wrap.
    narrow = FixedPointRig(reference.model, STEP, Format(24, 23), FINE)
    with pytest.raises(ProgramError, match="port u1 needs"):
        replace(reference, rig=narrow, task=replace(reference.task, capabilities=narrow.capabilities)).gradient(RHEL())
    # From -2 to 2 it fits, but the square of the motion does not.
    tight = FixedPointRig(reference.model, STEP, Format(24, 22), FINE)
    replace(reference, rig=tight, task=replace(reference.task, capabilities=tight.capabilities)).gradient(
        RHEL(response=0.01), ("stiffness",)
    )
    assert tight.overflows > 0
