"""The forward pass of a batch: loss, error, and the record that the echo is built from."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import DivergedError
from labrhel.learning.rules import GradientRequest
from labrhel.learning.task import Task, TrialSequence
from labrhel.model.rotating import as_real
from labrhel.shots.capture import Capture, PassCapture
from labrhel.shots.operations import Configure, Protocol, RunShots
from labrhel.shots.program import Pass, ShotProgram
from protocols.forward.clipping import over_range
from protocols.forward.geometry import Geometry

_STILL = 1e-12  # of a reading, by which rounding may move it


@dataclass(frozen=True, slots=True)
class ForwardPass:
    """One sequence at the kicks: positions q, velocities v, error e = dL/dq (n, steps), inputs u (inputs, steps).

    In the rotating frame q are complex amplitudes, e = dL/dq*, and there are no velocities.
    `program` is the same run read no second time, the beginning of every echo shot; `end`: position and momentum (n,)
    half a step after the last kick, where they were read.
    """

    program: ShotProgram
    q: Array
    v: Array
    u: Array
    error: Array
    name: str = ""
    end: tuple[Array, Array] | None = None

    @property
    def steps(self) -> int:
        """Kicks in the pass."""
        return self.q.shape[1]


@dataclass(frozen=True, slots=True)
class ForwardBatch:
    """The forward passes of a batch, its loss, and the direct terms of the loss (`readout`, `readout_offset`).

    `slopes`: of each sequence dL/dy and the readings of the channels, whose product dL/dC is.  `calibration` is the id
    of the set it was compiled with.  `clipped`: by channel, the samples beyond its range.
    """

    passes: tuple[ForwardPass, ...]
    loss: float
    direct: Mapping[str, Array]
    slopes: tuple[tuple[Array, Array], ...]
    calibration: str
    clipped: Mapping[str, int] = field(default_factory=dict)

    @property
    def has_error(self) -> bool:
        """False if the read-out is perfect, and there is nothing to nudge with."""
        return any(item.error.any() for item in self.passes)

    @property
    def has_motion(self) -> bool:
        """False if every reading stands still, as in a dry run: zero, or what a calibration makes of zero volts."""
        return any(bool((np.ptp(q, axis=-1) > _STILL * np.abs(q).max()).any()) for q in map(_real, self.passes))

    @property
    def size(self) -> float:
        """Sum of squares of all positions, the measure that response and retrace error are relative to."""
        return max(sum(float(np.sum(_real(item) ** 2)) for item in self.passes), 1e-300)


@dataclass(frozen=True, slots=True)
class ForwardRun:
    """The forward passes of a request, which is now `asked` at the parameters that the rig achieved, and their cost."""

    asked: GradientRequest
    geometry: Geometry
    batch: ForwardBatch
    shots: int
    passes: int


def run_forward(asked: GradientRequest, *, keep: bool = False) -> Protocol[ForwardRun]:
    """Set the parameters, and run every sequence once; `keep` the end state for what follows in the same shot."""
    task, geometry = asked.task, Geometry(asked.task.capabilities)
    asked = asked.at((yield Configure(task.rig_parameters(asked.theta))))
    programs = tuple(task.forward(item, asked.theta, geometry.channels, keep=keep) for item in asked.sequences)
    captures: list[Capture] = yield RunShots(programs)
    batch = read_forward(task, geometry, asked.sequences, captures, asked.theta)
    return ForwardRun(asked, geometry, batch, len(captures), sum(capture.passes_run for capture in captures))


class Shows(typing.Protocol):
    """Which oscillator, or mode, a channel sees."""

    def state(self, capture: PassCapture, step: float, repeat: int = 0, /) -> tuple[Array, Array]:
        """Positions, or amplitudes, at the kicks (n, steps), and velocities where there are some."""
        ...

    def on_oscillators(self, channels: Sequence[str], error: Array, /) -> Array:
        """Slopes by channels (channels, samples) as slopes by positions, or conjugate amplitudes (n, samples)."""
        ...


def read_forward(
    task: Task, geometry: Shows, sequences: Sequence[TrialSequence], captures: Sequence[Capture], theta: Arrays
) -> ForwardBatch:
    """Evaluate loss and error of the captures, one per sequence."""
    readout, loss = task.readout(theta), task.loss(sequences)
    direct: dict[str, Array] = {
        "readout": np.zeros_like(readout.gain),
        "readout_offset": np.zeros_like(readout.offset),
    }
    total, passes, slopes = 0.0, [], []
    for sequence, capture in zip(sequences, captures, strict=True):
        x = task.captured(capture)
        outputs = readout.outputs(x)
        rho = loss.slope(outputs, sequence.target, sequence.weight)
        total += loss.value(outputs, sequence.target, sequence.weight)
        slopes.append((rho, x))
        for name, term in readout.gradients(x, rho).items():
            direct[name] = direct[name] + term
        q, v = geometry.state(capture.last, task.step)
        error = np.zeros_like(q)
        error[:, :: task.every] = geometry.on_oscillators(task.channels, readout.error(rho))
        u = np.stack([capture.shot.achieved(port, 0) for port in task.model.inputs])
        state = capture.last.end_state
        end = None if state is None else (state.position[0], state.momentum[0])
        passes.append(ForwardPass(_unread(capture.shot.program), q, v, u, error, sequence.name, end))
    if not np.isfinite(total):
        raise DivergedError("the readings of the forward pass are so large that the loss overflows; lower the drive")
    return ForwardBatch(tuple(passes), total, direct, tuple(slopes), captures[0].shot.calibration, over_range(captures))


def _real(item: ForwardPass) -> Array:
    return as_real(item.q)


def _unread(program: ShotProgram) -> ShotProgram:
    first = program.passes[0]
    return ShotProgram(program.dt, program.prepare, (Pass(first.steps, first.drives, keep=True),))
