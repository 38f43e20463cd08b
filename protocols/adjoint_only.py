"""No echo at all, on linear reciprocal rigs: send the error itself through the rig.

A linear rig answers to a force the same way wherever it is in its orbit, and reciprocity makes its answer backwards in
time that of the adjoint.  So, from rest and without input, drive the read-out with the error in reverse order,

    M a'' + G a' + K a = e/d,            a (n, steps) put back into the order of the forward pass,

and correlate it with the forward record (`protocols.inference.correlation`).  It is sent with both signs, and the
difference is taken, so that offsets of ports, inputs and channels drop out.  It needs no reversal of the state, and
friction of any strength takes part in the adjoint as it should; the strength of the drive is free, since the rig is
linear.

Source: the adjoint method by Lorentz reciprocity; derived and tested in this project (docs/rules.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from labrhel.learning.gradient import Gradient
from labrhel.learning.needs import Needs
from labrhel.learning.rules import GradientRequest
from labrhel.learning.task import Task
from labrhel.model.rotating import is_rotating
from labrhel.shots.capture import Capture
from labrhel.shots.operations import Protocol, RunShots
from labrhel.shots.program import Acquire, Drive, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from protocols.forward.clipping import TOLERANCE, aimed, of_clipping, over_range
from protocols.forward.forward import ForwardPass, run_forward
from protocols.forward.geometry import Geometry
from protocols.inference.correlation import Backwards
from protocols.periodic.period import Periodic, refuse_periodic
from protocols.periodic.steady import in_steady_state
from protocols.rotating.sending import sent_through


@dataclass(frozen=True, slots=True)
class AdjointOnly:
    """The rule.  `response`: rms of the answer to the error over rms of the forward pass, which the drive aims at.

    `periodic`: in the steady state of inputs that repeat (`protocols.periodic`).
    """

    response: float = 1.0
    periodic: Periodic | None = None

    needs: ClassVar[Needs] = Needs(positions=True, drive=True, linear=True, reciprocal=True, rotates=True)

    def __post_init__(self) -> None:
        if not self.response > 0:
            raise ConfigurationError(f"response must be positive, not {self.response}")
        object.__setattr__(self, "periodic", Periodic.of(self.periodic))

    def gradient(self, asked: GradientRequest) -> Protocol[Gradient]:
        """Gradient of the batch's loss for the parameters named in `wanted`."""
        if is_rotating(asked.task.model):
            refuse_periodic(self.periodic)
            return (yield from sent_through(asked, self.response))
        if self.periodic is not None:
            return (
                yield from in_steady_state(asked, self.periodic, self.response, "adjoint_only/periodic", echoes=False)
            )
        run = yield from run_forward(asked)
        task, theta, geometry, batch = asked.task, run.asked.theta, run.geometry, run.batch
        shots, passes = run.shots, run.passes

        def fire(eps: float) -> Protocol[tuple[float, bool, list[Capture]]]:
            nonlocal shots, passes
            programs = tuple(_error_pass(task, geometry, item, sign * eps) for item in batch.passes for sign in (1, -1))
            captures: list[Capture] = yield RunShots(programs)
            shots, passes = shots + len(captures), passes + sum(capture.passes_run for capture in captures)
            squares = 0.0
            for index in range(len(batch.passes)):
                one, other = (geometry.state(item.last, task.step)[0] for item in captures[2 * index : 2 * index + 2])
                squares += float(np.sum((one - other) ** 2)) / 4
            return float(np.sqrt(squares / batch.size)), bool(over_range(captures)), captures

        first = asked.previous.eps if asked.previous is not None else self._eps(task, batch.passes, theta)
        eps, captures = yield from aimed(fire, first, self.response)
        terms: dict[str, Array] = {}
        answered = 0.0
        for index, item in enumerate(batch.passes):
            plus, minus = captures[2 * index : 2 * index + 2]
            states = [geometry.state(capture.last, task.step) for capture in (plus, minus)]
            q, v = ((one - other) / 2 for one, other in zip(*states, strict=True))
            sent = item.error[:, ::-1] / task.step
            played = (geometry.forces(plus) - geometry.forces(minus)) / 2
            scale = float(np.sum(played * sent)) / max(float(np.sum(sent**2)), 1e-300) or 1.0
            answered += float(np.sum(q**2))
            back = Backwards.of_motion(task.model, theta, item, task.step, q / scale, v / scale)
            for name, term in back.gradients(asked.wanted).items():
                terms[name] = terms[name] + term if name in terms else term
        ratio, clipped = float(np.sqrt(answered / batch.size)), over_range(captures)
        return Gradient(
            values=terms | {name: batch.direct[name] for name in asked.wanted if name in batch.direct},
            loss=batch.loss,
            rule="adjoint_only",
            # The next one aims where this one should have; one that had to be lowered stays low.
            eps=eps * self.response / ratio if ratio and ratio > self.response / TOLERANCE else eps,
            response_ratio=ratio,
            shots=shots,
            passes=passes,
            calibration=batch.calibration,
            warnings=tuple(of_clipping(batch.clipped, clipped)),
        )

    def _eps(self, task: Task, passes: Sequence[ForwardPass], theta: Arrays) -> float:
        """From the balance of forces: an impulse e moves a mass by e/(m w)."""
        impulse = max(float(np.sqrt(np.mean(item.error**2))) for item in passes)
        moved = max(float(np.sqrt(np.mean(item.q**2))) for item in passes)
        longest = max(item.steps for item in passes) * task.step
        kick = float(np.mean(task.model.mass(theta))) / min(task.model.largest_step(theta), longest)
        return 0.1 * self.response * moved * kick / impulse if impulse > 0 else 1.0


def _error_pass(task: Task, geometry: Geometry, item: ForwardPass, eps: float) -> ShotProgram:
    force = eps / task.step * item.error[:, ::-1]
    ports = geometry.to_ports(force)
    drives = tuple(Drive(port, Waveform.of(values, task.step), Role.NUDGE) for port, values in ports.items())
    return ShotProgram(task.step, Rest(), (Pass(item.steps, drives, Acquire(geometry.channels)),))
