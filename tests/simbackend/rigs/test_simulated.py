from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labrhel.errors import ConfigurationError, InstrumentError, ProgramError
from labrhel.frozen import FrozenArray
from labrhel.rig.capabilities import Kind, Reversal
from labrhel.shots.capture import Capture
from labrhel.shots.compile import compile
from labrhel.shots.program import Acquire, Drive, GivenState, Hold, Pass, Prepare, Rest, Role, ShotProgram
from labrhel.shots.rig import Rig
from labrhel.shots.waveform import Waveform
from simbackend.rigs.reference import lossy_rig, reference_rig
from simbackend.rigs.simulated import SimulatedRig

STEP, STEPS = 0.1, 60
READ = Acquire(("q1", "v6"), end_state=True)
RANDOM = np.random.default_rng(0)
WAVE = Waveform.of(RANDOM.normal(size=STEPS), STEP)
DRIVE = (Drive("u1", WAVE, Role.INPUT),)
ECHO = (Drive("u1", WAVE.reversed((STEPS - 1) * STEP), Role.INPUT),)


def state(seed: int) -> GivenState:
    random = np.random.default_rng(seed)
    return GivenState(FrozenArray(random.normal(size=6)), FrozenArray(random.normal(size=6)))


def run(rig: SimulatedRig, *programs: ShotProgram) -> list[Capture]:
    return rig.run([compile(program, rig.capabilities) for program in programs])


def shot(prepare: Prepare, *passes: Pass, repeats: int = 1) -> ShotProgram:
    return ShotProgram(STEP, prepare, passes, repeats)


def same(a: Capture, b: Capture, index: int = -1) -> bool:
    first, second = a.passes[index], b.passes[index]
    assert first.end_state is not None
    assert second.end_state is not None
    return np.array_equal(first.end_state.position, second.end_state.position) and all(
        np.array_equal(first.traces[name].values, second.traces[name].values) for name in READ.channels
    )


def rig() -> SimulatedRig:
    return reference_rig().rig


def test_it_is_a_rig() -> None:
    assert isinstance(rig(), Rig)


FORWARD = Pass(STEPS, DRIVE, keep=True)
ECHOED = Pass(STEPS, ECHO, READ, echo=True)


@pytest.mark.parametrize("prepare", [Rest(), state(1)])
def test_a_flip_and_an_echo_with_no_nudge_retrace_the_forward_pass(prepare: Prepare) -> None:
    forward, echo = run(rig(), shot(prepare, replace(FORWARD, acquire=READ)), shot(prepare, FORWARD, ECHOED))
    for name, sign in (("q1", 1), ("v6", -1)):
        assert np.abs(echo.last.traces[name].values[0, ::-1] - sign * forward.last.traces[name].values[0]).max() < 1e-12
    start = np.zeros((2, 6)) if isinstance(prepare, Rest) else [prepare.position.values, -prepare.momentum.values]
    assert echo.last.end_state is not None
    assert np.abs(echo.last.end_state.position[0] - start[0]).max() < 1e-12
    assert np.abs(echo.last.end_state.momentum[0] - start[1]).max() < 1e-12


def test_a_restored_state_gives_the_bits_of_a_forward_pass_run_again() -> None:
    stored, fresh = rig(), rig()
    run(stored, shot(state(1), FORWARD))
    restored, again = run(stored, shot(state(1), FORWARD, ECHOED))[0], run(fresh, shot(state(1), FORWARD, ECHOED))[0]
    assert same(restored, again)
    assert (restored.passes_run, again.passes_run) == (1, 2)


def test_a_rig_that_only_flips_runs_the_forward_pass_each_time() -> None:
    flips = SimulatedRig(reference_rig().model, offers=frozenset({Reversal.MOMENTUM_FLIP}))
    run(flips, shot(state(1), FORWARD))
    assert run(flips, shot(state(1), FORWARD, ECHOED))[0].passes_run == 2


def test_turning_a_knob_forgets_the_stored_states() -> None:
    stored = rig()
    run(stored, shot(state(1), FORWARD))
    stored.configure({"stiffness": np.full(6, 1.2)})
    capture = run(stored, shot(state(1), FORWARD, ECHOED))[0]
    assert capture.passes_run == 2


def test_passes_that_are_to_be_read_are_run_even_if_the_state_after_them_is_stored() -> None:
    stored = rig()
    run(stored, shot(state(1), FORWARD))
    capture = run(stored, shot(state(1), replace(FORWARD, acquire=READ), ECHOED))[0]
    assert set(capture.passes[0].traces) == set(READ.channels)
    assert capture.passes_run == 2


def test_a_batch_with_one_state_not_stored_still_answers_each_shot_as_if_alone() -> None:
    stored = rig()
    run(stored, shot(state(1), FORWARD))
    together = run(stored, shot(state(1), FORWARD, ECHOED), shot(state(2), FORWARD, ECHOED))
    alone = [run(rig(), shot(state(seed), FORWARD, ECHOED))[0] for seed in (1, 2)]
    assert all(same(*pair) for pair in zip(together, alone, strict=True))


def test_two_held_shots_never_restore_each_others_state() -> None:
    held = rig()
    run(held, shot(state(1), Pass(STEPS)))
    run(held, shot(Hold(), FORWARD))
    before = run(held, shot(state(2), Pass(STEPS, acquire=READ)))[0].last.end_state
    assert before is not None
    echo = run(held, shot(Hold(), FORWARD, ECHOED))[0].last.end_state  # F from there, reversed, comes back there
    assert echo is not None
    assert np.abs(echo.position - before.position).max() < 1e-12
    assert np.abs(echo.momentum + before.momentum).max() < 1e-12


def test_a_held_shot_goes_on_from_the_shot_before_it_in_the_order_given() -> None:
    piece = Pass(STEPS, acquire=READ)
    whole = run(rig(), shot(state(1), piece, piece))[0]
    for others in ((), (shot(state(2), piece),)):
        captures = run(rig(), shot(state(1), piece), shot(Hold(), piece), *others)
        assert same(captures[1], whole)


def test_making_safe_brings_the_rig_to_rest_and_may_be_done_twice() -> None:
    moved = rig()
    run(moved, shot(state(1), Pass(STEPS)))
    moved.make_safe()
    moved.make_safe()
    capture = run(moved, shot(Hold(), Pass(STEPS, acquire=READ)))[0]
    assert not capture.last.traces["q1"].values.any()
    moved.close()


def test_shots_of_different_form_are_answered_in_the_order_given() -> None:
    programs = [
        shot(state(1), Pass(STEPS, acquire=READ)),
        shot(state(2), Pass(STEPS // 2, acquire=READ)),
        shot(state(3), Pass(STEPS, acquire=READ)),
        shot(state(4), Pass(STEPS, DRIVE, READ)),
    ]
    together = run(rig(), *programs)
    for program, capture in zip(programs, together, strict=True):
        assert capture.shot.program == program
        assert same(capture, run(rig(), program)[0])


def test_repeats_are_kept_apart_and_are_equal_on_a_rig_without_noise() -> None:
    acquire = Acquire(("q1",), 1, ("coupling",), end_state=True)
    capture = run(rig(), shot(state(1), Pass(STEPS, DRIVE, acquire), repeats=3))[0].last
    assert capture.traces["q1"].values.shape == (3, STEPS)
    assert capture.observables["coupling"].shape == (3, 15)
    assert capture.end_state is not None
    assert capture.end_state.position.shape == (3, 6)
    assert np.array_equal(capture.traces["q1"].values[0], capture.traces["q1"].values[2])


def test_a_capture_is_not_changed_by_what_runs_after_it() -> None:
    used = rig()
    first = run(used, shot(state(1), Pass(STEPS, acquire=READ)))[0].last
    assert first.end_state is not None
    before = first.traces["q1"].values.copy(), first.end_state.position.copy()
    run(used, shot(state(2), Pass(STEPS, DRIVE, READ)), shot(Hold(), Pass(STEPS)))
    assert np.array_equal(first.traces["q1"].values, before[0])
    assert np.array_equal(first.end_state.position, before[1])


def test_a_motion_that_diverges_is_an_error_and_not_a_capture() -> None:
    wild = rig()
    wild.configure({"cubic": np.full(6, -50.0)})
    with np.errstate(all="ignore"), pytest.raises(InstrumentError, match="diverged in pass 1"):
        run(wild, shot(state(1), Pass(2000, acquire=READ)))


@pytest.mark.parametrize(
    "bad", [{"mass": np.zeros(6)}, {"stiffness": np.ones(5)}, {"friction": np.triu(np.ones((6, 6)))}]
)
def test_a_knob_value_that_is_refused_leaves_all_knobs_as_they_were(bad: dict[str, Any]) -> None:
    used = rig()
    before = used.read(["cubic", *bad])
    with pytest.raises(ConfigurationError):
        used.configure({"cubic": np.full(6, 9.0), **bad})
    assert all(np.array_equal(before[name], value) for name, value in used.read(list(before)).items())


def test_an_unknown_knob_is_refused_by_name() -> None:
    with pytest.raises(ProgramError, match="no knob 'initial_position'"):
        rig().configure({"initial_position": np.zeros(6)})
    with pytest.raises(ProgramError, match="no knob 'temperature'"):
        rig().read(["temperature"])


def test_configure_answers_with_full_arrays_that_read_confirms() -> None:
    used = lossy_rig(np.random.default_rng(0)).rig
    achieved = used.configure({"mass": np.array(2.0), "friction": np.array(0.1)})
    assert np.array_equal(achieved["friction"], 0.1 * np.eye(6))
    assert np.array_equal(used.read(["mass"])["mass"], np.full(6, 2.0))


def test_the_declared_matrices_fit_the_declared_ports_and_channels() -> None:
    capabilities = rig().capabilities
    assert capabilities.drive_matrix.values.shape == (6, len(capabilities.ports_of(Kind.FORCE)))
    assert capabilities.position_matrix.values.shape == (len(capabilities.channels_of(Kind.POSITION)), 6)
    assert capabilities.velocity_matrix.values.shape == (len(capabilities.channels_of(Kind.VELOCITY)), 6)
