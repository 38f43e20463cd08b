"""Recurrent Hamiltonian Echo Learning: the gradient from the difference of nudged echoes.

Forward pass F under the input; time-reverse the state; echo E with the input replayed backwards and the nudge
+eps*e_k added to the momentum at the kick that replays sample k (e_k = dL/dq_k).  With D[.] = (value on E(+eps) -
value on E(-eps))/(2 eps), on the half-step grid,

    dL/dtheta = -D[sum_k d dH/dtheta]                          potential, kinetic and input parameters
    dL/dG     = -d sum_k a_k v_k^T,      a = D[q]              friction, v the recorded velocity at the kick
    dL/dq(0)  = D[p] + G D[q],   dL/dp(0) = D[q] + (d^2/4) M^-1 G M^-1 D[p]        at the end of the echo
    dL/dm_i  gains  -(d^2/4) (p_i(0)/m_i^2) (G M^-1 D[p])_i                         if friction and p(0) are not zero

*Driven echo*: on a lossy rig the echo is given, open loop, f_comp = -2 G v(recorded), so that the un-nudged echo
retraces while a nudge still decays with the rig's own friction, which is the adjoint equation.

Sources: Pourcel & Ernoult (2025), Eq. 6 with the force convention used there; the driven echo and the friction
terms are derived and tested in this project (docs/physics.md).
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Arrays
from labrhel.compile import reversal_of
from labrhel.errors import ConfigurationError
from labrhel.estimator import Estimator
from labrhel.gradient import Gradient, NudgeRecord
from labrhel.learning.task import Task, TrialSequence
from labrhel.operations import Configure, Protocol, RunShots
from protocols.echo import EchoPlan, EchoReading, Wanted
from protocols.forward import ForwardBatch, read_forward
from protocols.geometry import Geometry

PLAIN_BELOW = 0.05
"""e-folds of energy up to which an echo without compensation is still a good gradient."""

NOISELESS_RESPONSE, LINEAR_RESPONSE, NONLINEAR_RESPONSE = 1e-5, 0.3, 0.05
"""Response ratios aimed at: without noise (float64), and on noisy rigs, where a linear one bears a large nudge."""

LARGEST_RESPONSE, SMALLEST_RESPONSE, LARGEST_MISS = 0.1, 1e-9, 0.01
"""Beyond these the gradient comes with a warning: response ratio of a nonlinear rig, of any, and retrace error."""

_SMALLEST_NUDGE, _LARGEST_NUDGE = 1e-100, 1e100  # their squares and inverses are numbers, too
_ATTEMPTS = 3  # at the response ratio that was asked for
_TOLERANCE = 3.0  # factor by which it may be missed; the next gradient starts from what this one found


class Echo(enum.StrEnum):
    """Whether the echo is compensated for friction; `auto` drives it on rigs that lose energy."""

    AUTO = "auto"
    PLAIN = "plain"
    DRIVEN = "driven"


@dataclass(frozen=True, slots=True)
class RHEL:
    """The rule.  `eps` fixes the nudge; None chooses it so that the response ratio is `response`.

    `response` None takes 1e-5 on channels without noise and 0.05 (0.3 on linear rigs) on noisy ones.  `repeats`
    runs every echo so often and reports the standard error.
    """

    estimator: Estimator = Estimator.SYMMETRIC
    echo: Echo = Echo.AUTO
    eps: float | None = None
    response: float | None = None
    repeats: int = 1

    def __post_init__(self) -> None:
        for name in ("eps", "response"):
            value = getattr(self, name)
            if value is not None and not _SMALLEST_NUDGE <= value <= _LARGEST_NUDGE:
                raise ConfigurationError(
                    f"{name} must be a positive number from {_SMALLEST_NUDGE:g} to {_LARGEST_NUDGE:g}, not {value}"
                )
        if self.eps is not None and self.response is not None:
            raise ConfigurationError("response sets an automatic eps; give eps or response, not both")
        if self.repeats < 1:
            raise ConfigurationError(f"repeats must be 1 or more, not {self.repeats}")

    def gradient(
        self,
        task: Task,
        sequences: Sequence[TrialSequence],
        theta: Arrays,
        wanted: Sequence[str],
        previous: NudgeRecord | None = None,
    ) -> Protocol[Gradient]:
        """Gradient of the batch's loss for the parameters named in `wanted`.

        `previous`, the nudge of the step before, gives the eps to start from.  Raises ProgramError where the rig
        lacks what the rule needs (a port on the read-out, on a lossy oscillator, a reading of the end state).
        """
        achieved = yield Configure(task.rig_parameters(theta))
        theta = {**theta, **achieved}
        plan = self._plan(task, theta, wanted)
        programs = tuple(task.forward(sequence, theta, plan.geometry.channels, keep=True) for sequence in sequences)
        captures = yield RunShots(programs)
        batch = read_forward(task, plan.geometry, sequences, captures, theta)
        shots, passes = len(captures), sum(capture.passes_run for capture in captures)
        target = self._target_response(task, theta)
        eps = self.eps if self.eps is not None else _first_eps(task, batch, theta, target, previous)
        for attempt in itertools.count(1):
            captures = yield RunShots(plan.programs(batch.passes, eps))
            shots += len(captures) * self.repeats
            passes += sum(capture.passes_run for capture in captures) * self.repeats
            eps *= plan.achieved_scale(batch.passes, captures, eps)
            readings = [plan.read(batch.passes, captures, eps, repeat) for repeat in range(self.repeats)]
            ratio = float(np.sqrt(np.mean([reading.response for reading in readings]) / batch.size))
            if (
                self.eps is not None
                or not batch.has_error
                or attempt == _ATTEMPTS
                or ratio == 0
                or 1 / _TOLERANCE < ratio / target < _TOLERANCE
            ):
                return _conclude(self, plan, batch, readings, eps, ratio, shots, passes)
            # A small response is proportional to eps, so one correction lands on the target.
            eps = _representable(eps * float(np.clip(target / max(ratio, 1e-300), 1e-6, 1e6)))
        raise AssertionError("unreachable: the last attempt returned")

    def _plan(self, task: Task, theta: Arrays, wanted: Sequence[str]) -> EchoPlan:
        friction = task.model.friction(theta)
        driven = self.echo is Echo.DRIVEN or (self.echo is Echo.AUTO and bool(friction.any()))
        return EchoPlan(
            task=task,
            geometry=Geometry(task.capabilities),
            estimator=self.estimator,
            wanted=Wanted.of(task, wanted, theta, driven=driven),
            theta=theta,
            friction=friction if driven else np.zeros_like(friction),
            repeats=self.repeats,
            reversal=reversal_of(task.capabilities),
        )

    def _target_response(self, task: Task, theta: Arrays) -> float:
        if self.response is not None:
            return self.response
        if all(channel.noise == 0 and channel.converter is None for channel in task.capabilities.channels):
            return NOISELESS_RESPONSE
        return LINEAR_RESPONSE if task.model.is_linear(theta) else NONLINEAR_RESPONSE


def _first_eps(task: Task, batch: ForwardBatch, theta: Arrays, target: float, previous: NudgeRecord | None) -> float:
    """Eps that should give the response ratio `target`: scaled from the last step, or from the force balance."""
    if previous is not None and previous.response_ratio > 0:
        return _representable(previous.eps * target / previous.response_ratio)
    if not batch.has_error:
        return 1.0
    impulse = max(float(np.sqrt(np.mean(item.error**2))) for item in batch.passes)
    moved = max(float(np.sqrt(np.mean(item.q**2))) for item in batch.passes)
    # Without any restoring force a nudge adds up over the whole pass.
    longest = max(item.steps for item in batch.passes) * task.step
    slowest_kick = float(np.mean(task.model.mass(theta))) / min(task.model.largest_step(theta), longest)
    return _representable(0.1 * target * max(moved, 1e-12) * slowest_kick / impulse)


def _representable(eps: float) -> float:
    return float(np.clip(eps, _SMALLEST_NUDGE, _LARGEST_NUDGE))


def _conclude(
    rule: RHEL,
    plan: EchoPlan,
    batch: ForwardBatch,
    readings: Sequence[EchoReading],
    eps: float,
    ratio: float,
    shots: int,
    passes: int,
) -> Gradient:
    """Average the repeats, and say in words which assumptions failed."""
    stacked = {name: np.stack([reading.terms[name] for reading in readings]) for name in readings[0].terms}
    count = len(readings)
    spread = (
        {name: values.std(axis=0, ddof=1) / np.sqrt(count) for name, values in stacked.items()} if count > 1 else {}
    )
    direct = {name: batch.direct[name] for name in plan.wanted.direct}
    retrace = float(np.sqrt(np.mean([reading.miss for reading in readings]) / batch.size))
    return Gradient(
        values={name: values.mean(axis=0) for name, values in stacked.items()} | direct,
        standard_error=spread | {name: np.zeros_like(term) for name, term in direct.items()} if count > 1 else None,
        loss=batch.loss,
        rule=f"rhel/{rule.estimator}/{'driven' if plan.friction.any() else 'plain'}",
        eps=eps,
        response_ratio=ratio,
        retrace_error=retrace,
        shots=shots,
        passes=passes,
        calibration=batch.calibration,
        warnings=tuple(_warnings(plan, batch, ratio, retrace)),
    )


def _warnings(plan: EchoPlan, batch: ForwardBatch, ratio: float, retrace: float) -> list[str]:
    task, words = plan.task, []
    longest = max(item.steps for item in batch.passes) * task.step
    lost = float(np.mean(np.diag(task.model.friction(plan.theta)) / task.model.mass(plan.theta))) * longest
    if not batch.has_error:
        words.append("the error is zero everywhere, and so is this gradient")
    if not plan.friction.any() and lost > PLAIN_BELOW:
        words.append(
            f"plain echo on a rig that loses {lost:.2g} e-folds of energy a pass: "
            "the gradient is biased; use echo: driven"
        )
    if retrace > LARGEST_MISS:
        words.append(
            f"the echo misses the forward path by {retrace:.2g} of its size: "
            "friction, flip or timing are not what the model says"
        )
    if ratio > LARGEST_RESPONSE and not task.model.is_linear(plan.theta):
        words.append(f"response ratio {ratio:.2g} is large for a nonlinear rig: lower eps")
    if batch.has_error and ratio < SMALLEST_RESPONSE:
        words.append(f"response ratio {ratio:.2g} is close to rounding: raise eps")
    return words
