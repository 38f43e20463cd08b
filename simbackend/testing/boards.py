"""Shots on a board, and what the numerical backend says that they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from labrhel.frozen import FrozenArray
from labrhel.shots.capture import Capture
from labrhel.shots.compile import compile
from labrhel.shots.program import Acquire, Drive, GivenState, Pass, Role, ShotProgram
from labrhel.shots.rig import Rig
from labrhel.shots.waveform import Waveform
from labrhel.testing.boards import STEP, model
from labrhel.wire.board import Build
from simbackend.fixed_point import FixedPointRig
from simbackend.models.oscillator_network import OscillatorNetwork

CHANNELS = tuple(f"{kind}{i + 1}" for kind in "qv" for i in range(6))


def numerical() -> FixedPointRig:
    """The numerical backend with the words of a board."""
    build = Build()
    return FixedPointRig(cast(OscillatorNetwork, model()), STEP, build.state, build.coefficient)


@dataclass(frozen=True)
class Shot:
    """A random shot, and what it must give."""

    program: ShotProgram
    expected: Capture

    @classmethod
    def random(cls, seed: int, steps: int, *, retraced: bool = False) -> Shot:
        """A shot of three drives from a random state; `retraced` adds an echo that undoes it."""
        random = np.random.default_rng(seed)
        start = GivenState(FrozenArray(random.uniform(-0.5, 0.5, 6)), FrozenArray(random.uniform(-0.5, 0.5, 6)))
        drive = {name: Waveform.of(random.uniform(-0.3, 0.3, steps), STEP) for name in ("u1", "f2", "f6")}
        role = {name: Role.INPUT if name == "u1" else Role.NUDGE for name in drive}
        acquire = Acquire(CHANNELS, end_state=True)
        passes = [Pass(steps, tuple(Drive(name, drive[name], role[name]) for name in drive), acquire, keep=True)]
        if retraced:
            back = {name: wave.reversed((steps - 1) * STEP) for name, wave in drive.items()}
            drives = tuple(Drive(name, back[name], role[name]) for name in back)
            passes.append(Pass(steps, drives, acquire, echo=True))
        program = ShotProgram(STEP, start, tuple(passes))
        rig = numerical()
        return cls(program, rig.run([compile(program, rig.capabilities)])[0])

    def run_on(self, rig: Rig) -> Capture:
        return rig.run([compile(self.program, rig.capabilities)])[0]

    def is_right(self, capture: Capture) -> bool:
        return all(
            all(np.array_equal(one.traces[name].values, two.traces[name].values) for name in one.traces)
            and one.end_state is not None
            and two.end_state is not None
            and np.array_equal(one.end_state.position, two.end_state.position)
            and np.array_equal(one.end_state.momentum, two.end_state.momentum)
            for one, two in zip(capture.passes, self.expected.passes, strict=True)
        )
