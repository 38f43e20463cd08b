"""The nominal model in place of a rig, behind wires that are not quite what the host takes them for.

Shots are compiled and decoded with what the host *believes* of gains, offsets, delays and clocks, and run on a rig that
is ideal: its nominal model, from kick to kick.  Whatever a protocol makes of that, less what it makes where belief and
rig agree, is what a wrong belief does to it.  No noise, no converters, no limits; no shot is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import DivergedError, ProgramError
from labrhel.frozen import FrozenArray
from labrhel.learning.task import Flip
from labrhel.model.interface import Model
from labrhel.model.motion import run
from labrhel.rig.calibration import CalibrationSet
from labrhel.rig.capabilities import Capabilities, Kind, Limits, Timing
from labrhel.rig.wiring import IDEAL_WIRING
from labrhel.shots.capture import Capture, PassCapture, State, Trace
from labrhel.shots.compile import compile as compiled_for
from labrhel.shots.compiled import CompiledPass, CompiledShot
from labrhel.shots.decode import decode
from labrhel.shots.operations import Configure, Operation, Protocol, RunShots
from labrhel.shots.program import GivenState, Hold, ShotProgram

R = TypeVar("R")


def idealised(rig: Capabilities) -> Capabilities:
    """The same ports and channels without converters, noise, limits and sample grids; positions are read, no sums."""
    free = {"timing": Timing(), "converter": None}
    return replace(
        rig,
        ports=tuple(replace(port, limits=Limits(), **free) for port in rig.ports),
        channels=tuple(
            replace(channel, noise=0.0, **free) for channel in rig.channels if channel.kind is Kind.POSITION
        ),
        velocity_matrix=FrozenArray(np.zeros((0, rig.size))),
        accumulates=frozenset(),
    )


@dataclass(frozen=True, slots=True)
class NominalRig:
    """A rig that exists on paper: the `model` at `theta` behind `rig`'s ideal wires.

    `believed`: what the host takes the ideal wires for.  `flip`: how the rig reverses its momenta; None: exactly.
    `becomes`: what parameters are that are configured to something; None: they stay as they are.
    Raises ProgramError for shots that go on from the state that another has left.
    """

    model: Model
    theta: Arrays
    rig: Capabilities
    believed: CalibrationSet
    flip: Flip | None = None
    becomes: Callable[[Arrays], Arrays] | None = None
    _moved: dict[str, Array] = field(default_factory=dict, init=False)

    def carry_out(self, protocol: Protocol[R]) -> R:
        """Run a protocol to its end and return what it returns."""
        answer = None
        while True:
            try:
                operation = protocol.send(answer)
            except StopIteration as end:
                return end.value
            answer = self.do(operation)

    def do(self, operation: Operation) -> dict[str, Array] | list[Capture] | None:
        """Carry out one operation."""
        if isinstance(operation, Configure):
            if self.becomes is not None:
                self._moved.update(self.becomes(operation.parameters))
            return dict(operation.parameters)
        if isinstance(operation, RunShots):
            return [self._run(program) for program in operation.programs]
        return None

    def _run(self, program: ShotProgram) -> Capture:
        shot = compiled_for(program, self.rig, IDEAL_WIRING, self.believed)
        q, p = self._start(shot)
        found, theta = [], {**self.theta, **self._moved}
        for item in shot.passes:
            if item.reversal is not None:
                p = -p if self.flip is None else -self.flip.gain * p + self.flip.offset
            with np.errstate(over="ignore", invalid="ignore"):
                ran = run(self.model, theta, self._forces(item, theta), program.dt, q[None], p[None])
            q, p = ran.end_position[0], ran.end_momentum[0]
            if not (np.isfinite(q).all() and np.isfinite(p).all()):
                raise DivergedError("the nominal model diverges along this shot")
            found.append(self._shown(item, ran.q[0], program.dt, q, p))
        capture = Capture(shot, tuple(found), len(found))
        return decode(capture, self.rig, IDEAL_WIRING, self.believed)

    def _start(self, shot: CompiledShot) -> tuple[Array, Array]:
        prepare = shot.prepare
        if isinstance(prepare, GivenState):
            return prepare.position.values, prepare.momentum.values
        if isinstance(prepare, Hold):
            raise ProgramError("a nominal rig runs every shot from a start of its own")
        return np.zeros(self.model.size), np.zeros(self.model.size)

    def _forces(self, item: CompiledPass, theta: Arrays) -> Array:
        """On the oscillators (n, steps), by what was sent: no port changes it."""

        def sent(names: tuple[str, ...]) -> Array:
            silence = np.zeros(item.steps)
            rows = [item.played[name].samples.values if name in item.played else silence for name in names]
            return np.stack(rows) if rows else np.zeros((0, item.steps))

        pushed = self.rig.drive_matrix.values @ sent(self.rig.ports_of(Kind.FORCE))
        return self.model.input_force(sent(self.model.inputs), theta) + pushed

    def _shown(self, item: CompiledPass, q: Array, step: float, position: Array, momentum: Array) -> PassCapture:
        names = self.rig.channels_of(Kind.POSITION)
        every = item.acquire.every
        rows = dict(zip(names, self.rig.position_matrix.values @ q[:, ::every], strict=True))
        traces = {name: Trace(rows[name][None], "", 0.0, step * every) for name in item.acquire.channels}
        end = State(position[None], momentum[None]) if item.acquire.end_state else None
        return PassCapture(traces, end_state=end)
