"""Agnostic echo learning: parameters that are slow variables of the rig drift in the direction of learning.

Nothing of dH/dtheta needs to be known.  The parameters obey theta' = -mu (dH/dtheta + (theta - v)/eta), v the setting
of a control.

*Hold*: run forward, watch how theta drifts from where it rests, and set the control so that it does not,

    v += -eta (theta'/mu + (theta - rest)/eta),                again, `rounds` times: what is left shrinks by mu T each

*Echo*: play that control backwards with the input, and nudge.  What held theta on the way out holds it on the way back,
but for what the nudge changes, and theta drifts by mu eps dL/dtheta.  From the drifts x = (theta[+] - theta[-])/2,

    dL/dtheta = (1/eps) [x(T)/mu + m x'(T) + (1/eta) ∫ x dt],  error of order mu: slow parameters make it exact

m being what little mass they have.

The drift itself is a step of gradient descent if eps < 0.
Sources: Scellier et al., arXiv 2205.15021 (2022), for equilibria; for echoes sketched by Pourcel & Ernoult in the
discussion of their paper, and tested in this project (docs/rules.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError, ProgramError
from labrhel.learning.gradient import Gradient, NudgeRecord
from labrhel.learning.needs import Needs
from labrhel.learning.readout import READOUT
from labrhel.learning.rules import GradientRequest
from labrhel.learning.task import Task, TrialSequence
from labrhel.model.interface import SelfAdjusting
from labrhel.shots.capture import Capture
from labrhel.shots.operations import Configure, Protocol, RunShots
from labrhel.shots.program import Acquire, Drive, Pass, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from protocols.differences import size_of
from protocols.echoes.inherited import with_inherited
from protocols.echoes.plan import representable
from protocols.forward.forward import ForwardBatch, ForwardPass, read_forward
from protocols.forward.geometry import Geometry

LARGEST_DRIFT = 0.05
"""Of a parameter in a forward pass, relative to its size: beyond it the gradient comes with a warning."""


@dataclass(frozen=True, slots=True)
class Agnostic:
    """The rule.  `rounds` of holding; `response`: how strongly the nudge moves the rig, relative to its motion."""

    rounds: int = 3
    response: float = 1e-3

    needs: ClassVar[Needs] = Needs(reversal=True, positions=True, drive_all=True, slow=True, reciprocal=True)

    def __post_init__(self) -> None:
        if self.rounds < 1 or not self.response > 0:
            raise ConfigurationError("rounds must be 1 or more, and response positive")

    def gradient(self, asked: GradientRequest) -> Protocol[Gradient]:
        """Gradient of the batch's loss; ProgramError for a parameter that does not move by itself."""
        task, sequences, wanted = asked.task, asked.sequences, asked.wanted
        asked = asked.at((yield Configure(task.rig_parameters(asked.theta))))
        run = _Run(task, asked.theta, wanted)
        controls = [np.zeros((task.capabilities.size, task.steps(item))) for item in sequences]
        for _ in range(self.rounds):
            captures = yield from run.fire([run.forward(*pair) for pair in zip(sequences, controls, strict=True)])
            controls = [held + run.holding(item) for held, item in zip(controls, captures, strict=True)]
        captures = yield from run.fire([run.forward(*pair) for pair in zip(sequences, controls, strict=True)])
        batch = read_forward(task, run.geometry, sequences, captures, run.theta)
        eps = run.eps(batch, self.response, asked.previous)
        programs = [
            run.echo(item, control, sign * eps)
            for item, control in zip(batch.passes, controls, strict=True)
            for sign in (1, -1)
        ]
        captures = yield from run.fire(programs)
        moved = [run.moved(*captures[start : start + 2]) for start in range(0, len(captures), 2)]
        answered = sum(float(np.sum(x[~run.is_slow] ** 2)) for x, _ in moved)
        missed = sum(
            float(np.sum((mean - item.q[:, ::-1])[~run.is_slow] ** 2))
            for (_, mean), item in zip(moved, batch.passes, strict=True)
        )
        size = sum(float(np.sum(item.q[~run.is_slow] ** 2)) for item in batch.passes) or 1.0
        ratio = float(np.sqrt(answered / size))
        drift = max(float(np.abs(item.q[run.is_slow]).max()) for item in batch.passes)
        typical = size_of(np.asarray(run.theta[run.name], float))
        words = ()
        if drift > LARGEST_DRIFT * typical:
            words = (
                f"the parameters drift by {drift / typical:.2g} of their size on the way out: more rounds, or slower",
            )
        slopes = sum(run.slope(x, eps) for x, _ in moved)
        found = Gradient(
            values={run.name: np.asarray(slopes)}
            | {name: batch.direct[name] for name in wanted if name in batch.direct},
            loss=batch.loss,
            rule="agnostic",
            eps=representable(eps),
            response_ratio=ratio,
            retrace_error=float(np.sqrt(missed / size)),
            shots=run.shots,
            passes=run.passes,
            calibration=batch.calibration,
            warnings=words,
            measured={"drift": drift / typical},
        )
        return found if asked.previous is not None else with_inherited(found, self, asked)


class _Run:
    """The shots of one gradient, in coordinates of which some are the parameters."""

    def __init__(self, task: Task, theta: Arrays, wanted: Sequence[str]) -> None:
        model = task.model
        if not isinstance(model, SelfAdjusting):
            raise ProgramError("no parameter of this rig moves by itself; take rule: rhel")
        names = [name for name in wanted if name not in READOUT]
        if len(names) != 1 or names[0] not in model.slow:
            known = ", ".join(model.slow)
            raise ProgramError(f"only {known} moves by itself on this rig, not {', '.join(names)}; train that alone")
        self.name, self.task, self.theta = names[0], task, theta
        self.geometry = Geometry(task.capabilities)
        self._mobility, self._compliance = model.mobility(theta), model.compliance(theta)
        self._slow = model.slow[self.name]
        self.is_slow = np.zeros(task.capabilities.size, bool)
        self.is_slow[self._slow] = True
        self._mass = model.mass(theta)[self._slow]
        self.shots = self.passes = 0

    def fire(self, programs: Sequence[ShotProgram]) -> Protocol[list[Capture]]:
        captures: list[Capture] = yield RunShots(tuple(programs))
        self.shots += len(captures)
        self.passes += sum(capture.passes_run for capture in captures)
        return captures

    def forward(self, sequence: TrialSequence, control: Array) -> ShotProgram:
        task = self.task
        drives = (*task.inputs(sequence), *self._driven(control, Role.COMPENSATION))
        acquire = Acquire(self.geometry.channels)
        only = Pass(task.steps(sequence), drives, acquire, keep=True)
        return ShotProgram(task.step, task.prepare(self.theta, sequence), (only,))

    def holding(self, capture: Capture) -> Array:
        """The force (n, steps) on the parameters that would have kept them from drifting."""
        x, v = self.geometry.state(capture.last, self.task.step)
        found = np.zeros_like(x)
        found[self._slow] = -(v[self._slow] / self._mobility[:, None] + x[self._slow] / self._compliance)
        return found

    def echo(self, item: ForwardPass, control: Array, eps: float) -> ShotProgram:
        step, first = self.task.step, item.program.passes[0]
        mirror = (item.steps - 1) * step
        replayed = [Drive(drive.port, drive.waveform.reversed(mirror), drive.role) for drive in first.drives]
        nudge = self._driven(eps / step * item.error[:, ::-1], Role.NUDGE)
        acquire = Acquire(self.geometry.channels)
        return ShotProgram(
            step, item.program.prepare, (first, Pass(item.steps, (*replayed, *nudge), acquire, echo=True))
        )

    def moved(self, plus: Capture, minus: Capture) -> tuple[Array, Array]:
        """Half the difference of the two echoes, and their mean, (n, steps)."""
        one, other = (self.geometry.state(capture.last, self.task.step)[0] for capture in (plus, minus))
        return (one - other) / 2, (one + other) / 2

    def slope(self, x: Array, eps: float) -> Array:
        """dL/dtheta of one sequence, from how the parameters drifted."""
        slow = x[self._slow]
        drawn_back = self.task.step * slow.sum(axis=1) / self._compliance
        # The pass ends half a step after the last kick, with a momentum that has not been spent yet.
        late = (slow[:, -1] - slow[:, -2]) / self.task.step
        end = slow[:, -1] + self.task.step / 2 * late
        return (end / self._mobility + self._mass * late + drawn_back) / eps

    def eps(self, batch: ForwardBatch, target: float, previous: NudgeRecord | None) -> float:
        """That should give the response ratio `target`, by the last step or the masses of what is nudged."""
        if previous is not None and previous.response_ratio > 0:
            return representable(previous.eps * target / previous.response_ratio)
        impulse = max(float(np.sqrt(np.mean(item.error**2))) for item in batch.passes)
        moved = max(float(np.sqrt(np.mean(item.q[~self.is_slow] ** 2))) for item in batch.passes)
        lightest = float(self.task.model.mass(self.theta)[~self.is_slow].min())
        kick = lightest / min(self.task.model.largest_step(self.theta), batch.passes[0].steps * self.task.step)
        return representable(0.1 * target * moved * kick / impulse) if impulse > 0 else 1.0

    def _driven(self, force: Array, role: Role) -> list[Drive]:
        ports = self.geometry.to_ports(force)
        return [Drive(port, Waveform.of(values, self.task.step), role) for port, values in ports.items()]
