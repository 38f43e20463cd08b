"""What the nominal model says a shot does, held against a simulated rig, which runs on compiled kernels."""

import numpy as np
import pytest

from labrhel.errors import ProgramError
from labrhel.frozen import FrozenArray
from labrhel.model.prediction import predicted
from labrhel.shots.compile import compile
from labrhel.shots.operations import RunShots
from labrhel.shots.program import Acquire, Drive, GivenState, Hold, Pass, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from simbackend.rigs.reference import STEP, lossy_rig

STEPS = 40


def two_passes(rng: np.random.Generator, size: int) -> ShotProgram:
    """From a given state under an input and a force, then back under another force."""
    read = Acquire(tuple(f"{kind}{index + 1}" for kind in "qv" for index in range(size)), end_state=True)
    drives = [
        Drive(port, Waveform.of(rng.normal(size=STEPS), STEP), role)
        for port, role in (("u1", Role.INPUT), ("f2", Role.INPUT), ("f3", Role.NUDGE))
    ]
    state = GivenState(*(FrozenArray(values) for values in rng.normal(size=(2, size))))
    passes = Pass(STEPS, tuple(drives[:2]), read, keep=True), Pass(STEPS, (drives[2],), read, echo=True)
    return ShotProgram(STEP, state, passes)


def test_every_channel_and_end_of_two_passes_is_as_the_rig_shows_it() -> None:
    rng = np.random.default_rng(8)
    reference = lossy_rig(rng)
    rig = reference.rig.capabilities
    (capture,) = reference.handler().do(RunShots((two_passes(rng, reference.model.size),)))
    motions = predicted(reference.model, reference.theta, rig, capture.shot)
    assert len(motions) == len(capture.passes) == 2
    for motion, read in zip(motions, capture.passes, strict=True):
        assert set(motion.traces(rig)) == set(read.traces)
        for name, trace in motion.traces(rig).items():
            assert trace == pytest.approx(read.traces[name].values[0], rel=1e-11, abs=1e-11)
        assert motion.end_position == pytest.approx(read.end_state.position[0], rel=1e-11, abs=1e-11)
        assert motion.end_momentum == pytest.approx(read.end_state.momentum[0], rel=1e-11, abs=1e-11)


def test_what_a_held_rig_does_is_not_guessed() -> None:
    reference = lossy_rig(np.random.default_rng(9))
    rig = reference.rig.capabilities
    shot = compile(ShotProgram(STEP, Hold(), (Pass(STEPS),)), rig)
    with pytest.raises(ProgramError, match="only the rig knows its state"):
        predicted(reference.model, reference.theta, rig, shot)
