"""A rig at rest under inputs that stand still: where it settles, and how a steady force moves it from there.

A shot is the free pass and, after it, a pass of equal length under a steady force f.  The settled state is the mean
over the samples that the loss counts; it moves by

    q_f - q_0 = R f + O(f^2),      R = -J^-1,      J = dF/dq at q_0,     F the force at rest
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ProgramError
from labrhel.learning.task import Task, TrialSequence
from labrhel.model.motion import hessian_along
from labrhel.shots.capture import Capture, PassCapture
from labrhel.shots.operations import Protocol, RunShots
from labrhel.shots.program import Acquire, Drive, Pass, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from protocols.forward.forward import ForwardBatch, ForwardPass, read_forward
from protocols.forward.geometry import Geometry

STILL = 1e-3
"""Share of its size that a settled state may move in the last tenth of a pass, noise apart."""

_SIGMAS = 5.0


@dataclass(frozen=True, slots=True)
class Rest:
    """A sequence that has settled: at `q` (n,), under inputs `u` (inputs,), with `error` dL/dq (n,) of all samples."""

    item: ForwardPass
    window: slice
    q: Array
    u: Array
    error: Array


@dataclass(frozen=True, slots=True)
class Moved:
    """Answer to +f and -f: half the difference of states and of forces (n,), and the states themselves (n,)."""

    by: Array
    force: Array
    plus: Array
    minus: Array


class Settling:
    """The shots of one gradient; counts them."""

    def __init__(self, task: Task, theta: Arrays) -> None:
        self.task, self.theta = task, theta
        self.geometry = Geometry(task.capabilities)
        self.shots = self.passes = 0

    def settle(self, sequences: Sequence[TrialSequence]) -> Protocol[tuple[ForwardBatch, list[Rest]]]:
        """Run freely; raises ProgramError, with how far it still moves, for a rig that has not come to rest."""
        task, geometry = self.task, self.geometry
        captures = yield from self._run([task.forward(item, self.theta, geometry.channels) for item in sequences])
        batch = read_forward(task, geometry, sequences, captures, self.theta)
        rests = []
        for sequence, item in zip(sequences, batch.passes, strict=True):
            counted = np.flatnonzero(sequence.weight) * task.every
            window = slice(int(counted[0]), int(counted[-1]) + 1)
            self._check(sequence.name, item.q)
            rests.append(
                Rest(item, window, item.q[:, window].mean(axis=1), item.u[:, window].mean(axis=1), item.error.sum(1))
            )
        return batch, rests

    def push(self, rests: Sequence[Rest], forces: Sequence[Array]) -> Protocol[list[list[Moved]]]:
        """Push each rest by the columns (n, pushes) of its `forces`, both ways; an answer for each column."""
        programs = [
            self._pushed(rest, sign * column)
            for rest, columns in zip(rests, forces, strict=True)
            for column in columns.T
            for sign in (1, -1)
        ]
        captures = iter((yield from self._run(programs)))
        return [
            [self._moved(rest, next(captures), next(captures)) for _ in columns.T]
            for rest, columns in zip(rests, forces, strict=True)
        ]

    def stiffness(self, rest: Rest) -> Array:
        """-J (n, n) as the nominal model has it, for the size of a first push."""
        return hessian_along(self.task.model, self.theta, rest.q[:, None])[0]

    def energy_slopes(self, names: Sequence[str], rest: Rest, q: Array) -> dict[str, Array]:
        """dE/dtheta at rest at `q` (n,); zero for what does not matter there: masses, friction, the initial state."""
        specs = self.task.model.parameters
        static = [name for name in names if name in specs and specs[name].kind in ("potential", "input")]
        at, still = q[:, None], np.zeros((len(q), 1))
        found = self.task.model.observables(static, at, still, rest.u[:, None], 1.0, self.theta)
        return {name: found.get(name, np.zeros(specs[name].shape)) for name in names if name in specs}

    def _run(self, programs: Sequence[ShotProgram]) -> Protocol[list[Capture]]:
        captures: list[Capture] = yield RunShots(tuple(programs), order="fixed")
        self.shots += len(captures)
        self.passes += sum(capture.passes_run for capture in captures)
        return captures

    def _pushed(self, rest: Rest, force: Array) -> ShotProgram:
        step, steps = self.task.step, rest.item.steps
        steady = np.repeat(force[:, None], steps, axis=1)
        nudge = [
            Drive(port, Waveform.of(values, step), Role.NUDGE)
            for port, values in self.geometry.to_ports(steady).items()
        ]
        first = rest.item.program.passes[0]
        second = Pass(steps, (*first.drives, *nudge), Acquire(self.geometry.channels))
        return ShotProgram(step, rest.item.program.prepare, (Pass(steps, first.drives), second))

    def _moved(self, rest: Rest, plus: Capture, minus: Capture) -> Moved:
        ends = [self._at(rest, capture.last) for capture in (plus, minus)]
        pushes = [self.geometry.forces(capture)[:, rest.window].mean(axis=1) for capture in (plus, minus)]
        return Moved((ends[0] - ends[1]) / 2, (pushes[0] - pushes[1]) / 2, *ends)

    def _at(self, rest: Rest, read: PassCapture) -> Array:
        return self.geometry.state(read, self.task.step)[0][:, rest.window].mean(axis=1)

    def _check(self, name: str, q: Array) -> None:
        tail = q[:, -max(2, q.shape[1] // 10) :]
        half = tail.shape[1] // 2
        moved = tail[:, half:].mean(axis=1) - tail[:, :half].mean(axis=1)
        noise = _SIGMAS * np.sqrt(2 / half) * float(np.linalg.norm(self.geometry.noise))
        size = float(np.linalg.norm(tail.mean(axis=1)))
        if float(np.linalg.norm(moved)) > STILL * size + noise:
            raise ProgramError(
                f"{name}: the rig has not settled: in the last tenth of the pass it still moves by "
                f"{float(np.linalg.norm(moved)) / max(size, 1e-300):.2g} of its size; make the sequence longer"
            )
