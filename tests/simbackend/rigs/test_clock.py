from dataclasses import replace

import pytest

from labrhel.rig.capabilities import Capabilities, TriggerDomain
from labrhel.shots.compile import compile
from labrhel.shots.program import Acquire, Pass, Prepare, Rest, ShotProgram
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.clock import ShotClock
from simbackend.rigs.simulated import SimulatedRig, capabilities_of

MODEL = OscillatorNetwork(2, nominal={"input": [[0.7], [0.2]]})
STEP, UNIT = 0.2, 1e-3  # model time, s


def rig(**changes: object) -> Capabilities:
    return replace(capabilities_of(MODEL, "sim"), time_unit=UNIT, **changes)  # type: ignore[arg-type]


def start_of(clock: ShotClock, declared: Capabilities, *steps: int, passes: int, prepare: Prepare, repeats: int = 1):
    program = ShotProgram(STEP, prepare, tuple(Pass(count, (), Acquire(("q1",))) for count in steps), repeats)
    return clock.start(compile(program, declared), passes)


def test_a_shot_starts_when_those_before_it_have_ended_and_the_rig_is_at_rest() -> None:
    declared = rig(ring_down_time=0.03)
    clock = ShotClock(declared)
    assert start_of(clock, declared, 50, 20, passes=2, prepare=Rest()) == pytest.approx(0.03)
    assert start_of(clock, declared, 50, passes=1, prepare=Rest()) == pytest.approx(0.03 + 0.014 + 0.03)


def test_it_waits_as_long_as_its_program_wants_and_for_the_trigger_to_be_armed_again() -> None:
    declared = rig(ring_down_time=0.03, triggers=(TriggerDomain("host", re_arm=0.07),))
    clock = ShotClock(declared)
    assert start_of(clock, declared, 50, passes=1, prepare=Rest(wait=40.0)) == pytest.approx(0.07)
    assert start_of(clock, declared, 50, passes=1, prepare=Rest(wait=90.0)) == pytest.approx(0.07 + 0.01 + 0.09)


def test_passes_that_were_restored_and_not_run_take_no_time_and_every_repeat_takes_its_own() -> None:
    declared = rig(ring_down_time=0.03)
    clock = ShotClock(declared)
    start_of(clock, declared, 50, 20, passes=1, prepare=Rest(), repeats=3)
    assert clock.now == pytest.approx(3 * (0.03 + 20 * STEP * UNIT))


def test_captures_of_a_simulated_rig_say_when_they_were_taken() -> None:
    simulated = SimulatedRig(MODEL)
    program = ShotProgram(STEP, Rest(), (Pass(50, (), Acquire(("q1",))),), repeats=2)
    sent = compile(program, simulated.capabilities)
    starts = [(item.planned_start, item.actual_start) for item in simulated.run([sent, sent])]
    assert starts == [(0.0, 0.0), (pytest.approx(20.0), pytest.approx(20.0))]
