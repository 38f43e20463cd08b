"""Simulated rigs that run one shot after the other: what they share, whatever integrates the motion."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from labrhel.arrays import Array, Arrays
from labrhel.rig.capabilities import Capabilities
from labrhel.rig.wiring import IDEAL_WIRING
from labrhel.shots.capture import Capture, PassCapture, together
from labrhel.shots.compiled import CompiledPass, CompiledShot
from labrhel.shots.program import GivenState, Hold
from simbackend.rigs.clock import ShotClock

S = TypeVar("S")


class SerialRig(ABC, Generic[S]):
    """A `labrhel.shots.rig.Rig` whose state is an S; a kind of rig supplies the knobs, the flip and one pass."""

    def __init__(self, capabilities: Capabilities, rest: S) -> None:
        self.capabilities, self.wiring = capabilities, IDEAL_WIRING
        self._rest = self._now = rest
        self._clock = ShotClock(capabilities)

    @abstractmethod
    def configure(self, knobs: Arrays) -> dict[str, Array]:
        """Set parameters [model units]; returns what they are now."""

    @abstractmethod
    def read(self, names: Sequence[str]) -> dict[str, Array]:
        """Knob values by name."""

    @abstractmethod
    def _given(self, start: GivenState) -> S:
        """The state that a program gives."""

    @abstractmethod
    def _flipped(self, state: S) -> S:
        """The time-reversed state."""

    @abstractmethod
    def _run_pass(self, item: CompiledPass, state: S, step: float) -> tuple[PassCapture, S]:
        """Run one pass; its readings, those of one repeat without observables, and the state after it."""

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        """Run the shots in turn."""
        return [self._run_shot(shot) for shot in shots]

    def make_safe(self) -> None:
        """A simulation that does not run drives nothing; the state goes to rest."""
        self._now = self._rest

    def close(self) -> None:
        """The same as `make_safe`."""
        self.make_safe()

    def _run_shot(self, shot: CompiledShot) -> Capture:
        # Each repeat starts as the program says; after `Hold` that is where the one before has ended.
        repeats = [self._run_once(shot) for _ in range(shot.repeats)]
        passes = tuple(together(readings) for readings in zip(*repeats, strict=True))
        start = self._clock.start(shot, len(shot.passes))
        return Capture(shot, passes, len(shot.passes), start, start)

    def _run_once(self, shot: CompiledShot) -> list[PassCapture]:
        state = self._now if isinstance(shot.prepare, Hold) else self._rest
        if isinstance(shot.prepare, GivenState):
            state = self._given(shot.prepare)
        captures = []
        for item in shot.passes:
            if item.reversal is not None:
                state = self._flipped(state)
            capture, state = self._run_pass(item, state, shot.dt)
            captures.append(capture)
        self._now = state
        return captures
