"""Passive echoes on linear rigs that lose energy: correlate their difference with the forward record.

An echo without compensation does not retrace, and the sums of RHEL are taken along the wrong path.  On a linear rig the
*difference* of the two nudged echoes does not care where they ran: it is the adjoint, friction included.  So it is
correlated with the recorded forward pass (`protocols.inference.correlation`) in place of the echo's own path; errors of
flip and replay are common to both echoes, and vanish as well.

Source: derived and tested in this project (docs/rules.md); exact for linear rigs with any symmetric friction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import ConfigurationError
from labrhel.learning.estimator import Estimator
from labrhel.learning.gradient import Gradient
from labrhel.learning.needs import Needs
from labrhel.learning.rules import GradientRequest
from labrhel.model.rotating import is_rotating
from labrhel.shots.capture import Capture
from labrhel.shots.compile import reversal_of
from labrhel.shots.operations import Protocol, RunShots
from protocols.echoes.options import Echo, EchoOptions
from protocols.echoes.plan import EchoPlan, Wanted, first_eps
from protocols.forward.clipping import aimed, of_clipping, over_range
from protocols.forward.forward import run_forward
from protocols.inference.correlation import Backwards
from protocols.periodic.period import Periodic, refuse_periodic
from protocols.periodic.steady import in_steady_state
from protocols.rotating.measurement import measured


@dataclass(frozen=True, slots=True)
class RecordedCorrelation:
    """The rule.  `response`: rms of the answer to the nudge over rms of the forward pass, which the nudge aims at.

    `periodic`: in the steady state of inputs that repeat (`protocols.periodic`).
    """

    response: float = 1.0
    periodic: Periodic | None = None

    estimator: ClassVar[Estimator] = Estimator.SYMMETRIC
    needs: ClassVar[Needs] = Needs(
        reversal=True, positions=True, drive=True, linear=True, reciprocal=True, rotates=True
    )

    def __post_init__(self) -> None:
        if not self.response > 0:
            raise ConfigurationError(f"response must be positive, not {self.response}")
        object.__setattr__(self, "periodic", Periodic.of(self.periodic))

    def gradient(self, asked: GradientRequest) -> Protocol[Gradient]:
        """Gradient of the batch's loss for the parameters named in `wanted`."""
        if is_rotating(asked.task.model):
            refuse_periodic(self.periodic)
            options = EchoOptions(self.estimator, Echo.PLAIN, response=self.response)
            found = yield from measured(options, asked, driven=False)
            return replace(found, rule="recorded_correlation", retrace_error=None)
        if self.periodic is not None:
            name = "recorded_correlation/periodic"
            return (yield from in_steady_state(asked, self.periodic, self.response, name, echoes=True))
        run = yield from run_forward(asked, keep=True)
        task, theta, geometry, batch = asked.task, run.asked.theta, run.geometry, run.batch
        model = task.model
        plan = EchoPlan(
            task=task,
            geometry=geometry,
            estimator=self.estimator,
            wanted=Wanted.of(task, (), theta, driven=False),
            theta=theta,
            friction=np.zeros((model.size, model.size)),
            reversal=reversal_of(task.capabilities),
        )
        shots, passes = run.shots, run.passes

        def fire(eps: float) -> Protocol[tuple[float, bool, tuple[float, list[Capture], list[tuple[Array, Array]]]]]:
            nonlocal shots, passes
            captures: list[Capture] = yield RunShots(plan.programs(batch.passes, plan.drives(batch.passes), eps))
            shots, passes = shots + len(captures), passes + sum(capture.passes_run for capture in captures)
            achieved = eps * plan.achieved_scale(batch.passes, captures, eps)
            answers = []
            for (echoes,) in plan.turns(captures):
                states = {level: geometry.state(capture.last, task.step) for level, capture in echoes.items()}
                moved = [{level: state[part] for level, state in states.items()} for part in (0, 1)]
                answers.append(tuple(self.estimator.derivative(item, achieved) for item in moved))
            ratio = float(achieved * np.sqrt(sum(np.sum(q**2) for q, _ in answers) / batch.size))
            return ratio, bool(over_range(captures)) and not batch.clipped, (achieved, captures, answers)

        first = first_eps(task, batch, theta, self.response, asked.previous)
        _, (achieved_eps, captures, answers) = yield from aimed(fire, first, self.response)
        terms: dict[str, Array] = {}
        answered = 0.0
        for item, (q, v) in zip(batch.passes, answers, strict=True):
            answered += float(np.sum((achieved_eps * q) ** 2))
            back = Backwards.of_motion(model, theta, item, task.step, q, v)
            for name, term in back.gradients(asked.wanted).items():
                terms[name] = terms[name] + term if name in terms else term
        return Gradient(
            values=terms | {name: batch.direct[name] for name in asked.wanted if name in batch.direct},
            loss=batch.loss,
            rule="recorded_correlation",
            eps=achieved_eps,
            response_ratio=float(np.sqrt(answered / batch.size)),
            shots=shots,
            passes=passes,
            calibration=batch.calibration,
            warnings=tuple(of_clipping(batch.clipped, over_range(captures))),
        )
