"""What a gradient would do to the rig, shot by shot, found out on the nominal model: nothing moves.

The rule runs against a backend that answers every shot with what the nominal model says the rig would show, through the
rig's own ports, channels and matrices.  So nudges, compensation and preparations come out at the size that they will
have, and what a converter, a limit or a slew forbids is refused here, on paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labrhel.arrays import Arrays
from labrhel.executor import execute
from labrhel.experiment import Experiment
from labrhel.model.interface import Model
from labrhel.model.prediction import Motion, predicted
from labrhel.rig.capabilities import Capabilities
from labrhel.rig.wiring import Wiring
from labrhel.shots.capture import Capture, PassCapture, State, Trace
from labrhel.shots.compiled import CompiledShot
from labrhel.shots.operations import Configure, Operation, Read, RunShots
from labrhel.timeline.cost import assumed

_READING = 8  # bytes of a sample as it is kept


@dataclass(slots=True)
class NominalBackend:
    """Answers operations as the nominal `model` would; `operations` are those that were asked for, in order."""

    capabilities: Capabilities
    model: Model
    wiring: Wiring
    theta: dict[str, Any] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)

    def do(self, operation: Operation) -> Any:
        """Note the operation, and answer with what a rig would say."""
        self.operations.append(operation)
        if isinstance(operation, RunShots):
            return [self._answer(shot) for shot in operation.compiled]
        if isinstance(operation, Configure):
            self.theta |= operation.parameters
            return dict(operation.knobs)
        if isinstance(operation, Read):
            return {}
        return None

    def _answer(self, shot: CompiledShot) -> Capture:
        passes = []
        for item, motion in zip(shot.passes, predicted(self.model, self.theta, self.capabilities, shot), strict=True):
            shown = motion.traces(self.capabilities)
            traces = {}
            for name in item.acquire.channels:
                values = self.wiring.to_device(name, shown[name][:: item.acquire.every])
                unit = self.capabilities.channel(name).unit
                repeated = np.broadcast_to(values, (shot.repeats, len(values)))
                traces[name] = Trace(repeated, unit, 0.0, shot.dt * item.acquire.every)
            end = State(motion.end_position[None], motion.end_momentum[None]) if item.acquire.end_state else None
            passes.append(PassCapture(traces, self._sums(item.acquire.observables, motion, shot), end))
        return Capture(shot, tuple(passes), shot.planned_passes)

    def _sums(self, names: Sequence[str], motion: Motion, shot: CompiledShot) -> Arrays:
        if not names:
            return {}
        sums = self.model.observables(names, motion.q, motion.v, motion.u, shot.dt, self.theta)
        return {name: value[None] for name, value in sums.items()}


@dataclass(frozen=True, slots=True)
class PlannedPass:
    """One pass of a shot: when it begins and how long it takes [s], and what every port plays, (times, values, roles).

    `label` says what it is for; times are in s from the start of the gradient, values in the unit of the port.
    """

    shot: int
    label: str
    start: float
    seconds: float
    played: dict[str, tuple[np.ndarray, np.ndarray, str]]
    channels: tuple[str, ...]
    samples: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """All passes of one gradient on one sequence, and what they cost; `seconds` without transfers."""

    passes: tuple[PlannedPass, ...]
    shots: int
    seconds: float
    read_bytes: int
    rule: str
    warnings: tuple[str, ...]
    assumes: tuple[str, ...] = ()


def timeline_of(experiment: Experiment) -> Timeline:
    """The time line of the rule's first gradient, on the first sequence alone.

    Raises ProgramError and LimitError for what the rig cannot do, or may not.
    """
    problem, rig = experiment.problem, experiment.rig.capabilities
    x = problem.parameters.flat()
    backend = NominalBackend(rig, problem.task.model, experiment.wiring, problem.theta(x))
    gradient = execute(problem.gradient(x, problem.train[:1]), experiment.on_paper(backend))
    passes: list[PlannedPass] = []
    now, number = 0.0, 0
    for operation in backend.operations:
        for shot in operation.compiled if isinstance(operation, RunShots) else ():
            number += 1
            now += rig.pause
            for index in range(len(shot.passes) - shot.planned_passes, len(shot.passes)):
                passes.append(_planned(shot, index, number, now, rig.time_unit))
                now += passes[-1].seconds
    read = sum(item.samples * len(item.channels) for item in passes)
    assumes = tuple(assumed(gradient))
    return Timeline(tuple(passes), number, now, _READING * read, gradient.rule, gradient.warnings, assumes)


def _planned(shot: CompiledShot, index: int, number: int, start: float, unit: float) -> PlannedPass:
    item, drives = shot.passes[index], shot.program.passes[index].drives
    played = {}
    for name, wave in item.played.items():
        times = start + unit * (wave.t0 + wave.dt * np.arange(len(wave.samples.values)))
        roles = "+".join(dict.fromkeys(str(drive.role) for drive in drives if drive.port == name))
        played[name] = (times, wave.samples.values, roles)
    roles = {str(drive.role) for drive in drives}
    if "preparation" in roles:
        label = "preparation"
    elif item.reversal is not None or index:
        label = "nudged echo" if "nudge" in roles else "echo"
    else:
        label = "forward" if "input" in roles else "error" if "nudge" in roles else "free"
    samples = -(-item.steps // item.acquire.every) if item.acquire.channels else 0
    return PlannedPass(
        number, label, start, item.steps * shot.dt * unit, played, item.acquire.channels, samples * shot.repeats
    )
