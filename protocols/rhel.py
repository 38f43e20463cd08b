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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from labrhel.learning.estimator import Estimator, Order
from labrhel.learning.gradient import Gradient, NudgeRecord
from labrhel.learning.needs import PLAIN_BELOW, Needs
from labrhel.learning.task import Task, TrialSequence
from labrhel.rig.capabilities import Reversal
from labrhel.shots.capture import Capture
from labrhel.shots.compile import reversal_of
from labrhel.shots.operations import Configure, Protocol, RunShots
from protocols.echoes.blocks import Block, combined, relative_error
from protocols.echoes.drive import EchoDrive
from protocols.echoes.lock import Locked, lock, noise_floor, warm
from protocols.echoes.miss import bias_of_miss
from protocols.echoes.plan import LARGEST_NUDGE, SMALLEST_NUDGE, EchoPlan, Wanted, first_eps, representable
from protocols.echoes.port_gains import at_common_gains
from protocols.forward.forward import ForwardBatch, read_forward
from protocols.forward.geometry import Geometry
from protocols.inference.fit import fit
from protocols.inference.inverse_dynamics import InverseDynamics

NOISELESS_RESPONSE, LINEAR_RESPONSE, NONLINEAR_RESPONSE = 1e-5, 0.3, 0.05
"""Response ratios aimed at: without noise (float64), and on noisy rigs, where a linear one bears a large nudge."""

LARGEST_RESPONSE, SMALLEST_RESPONSE, LARGEST_MISS = 0.1, 1e-9, 0.01
"""Beyond these the gradient comes with a warning: response ratio of a nonlinear rig, of any, and retrace error."""

LOCKED = 1e-3
"""Retrace error at which an echo counts as locked."""

_ATTEMPTS = 3  # at the response ratio that was asked for
_LEAST_REPEATS = 3  # before a spread is believed
_TOLERANCE = 3.0  # factor by which it may be missed; the next gradient starts from what this one found


class Echo(enum.StrEnum):
    """Whether the echo is compensated for friction; `auto` drives it on rigs that lose energy."""

    AUTO = "auto"
    PLAIN = "plain"
    DRIVEN = "driven"


@dataclass(frozen=True, slots=True)
class RHEL:
    """The rule.  `eps` fixes the nudge; None chooses it so that the response ratio is `response`.

    `response` None takes 1e-5 on channels without noise and 0.05 (0.3 on linear rigs) on noisy ones.  `lock`: rounds of
    un-nudged echoes that may be spent on locking the echo (`protocols.echoes.lock`); 0 trusts the nominal model.
    `repeats` measures the whole gradient so often, forward passes included, and reports the standard error; with
    `precision` it goes on, up to `most_repeats`, until the standard error is that share of the gradient.  `order` is
    that of the nudges within a repeat.  `bound` echoes once more at twice the nudge, for a bound of the bias.
    `partial` lets lossy oscillators be that no port reaches: the echo then misses the forward path, and what that does
    to the gradient is predicted by a twin (`protocols.echoes.miss`) and reported as the bias bound.
    """

    estimator: Estimator = Estimator.SYMMETRIC
    echo: Echo = Echo.AUTO
    eps: float | None = None
    response: float | None = None
    lock: int = 0
    repeats: int = 1
    precision: float | None = None
    most_repeats: int = 64
    order: Order = Order.AB
    bound: bool = False
    partial: bool = False

    def __post_init__(self) -> None:
        for name, value in (("eps", self.eps), ("response", self.response)):
            if value is not None and representable(value) != value:
                raise ConfigurationError(
                    f"{name} must be a positive number from {SMALLEST_NUDGE:g} to {LARGEST_NUDGE:g}, not {value}"
                )
        if self.eps is not None and self.response is not None:
            raise ConfigurationError("response sets an automatic eps; give eps or response, not both")
        if self.precision is not None and not self.precision > 0:
            raise ConfigurationError(f"precision must be positive, not {self.precision}")
        if self.repeats < 1:
            raise ConfigurationError(f"repeats must be 1 or more, not {self.repeats}")
        if self.lock < 0:
            raise ConfigurationError(f"lock is a number of rounds, 0 or more, not {self.lock}")

    @property
    def needs(self) -> Needs:
        """Reversal, and drive ports where the echo is driven."""
        plain = self.echo is Echo.PLAIN
        return Needs(reversal=True, positions=True, drive=True, lossy_drive=not (plain or self.partial))

    def gradient(
        self,
        task: Task,
        sequences: Sequence[TrialSequence],
        theta: Arrays,
        wanted: Sequence[str],
        previous: NudgeRecord | None = None,
    ) -> Protocol[Gradient]:
        """Gradient of the batch's loss for the parameters named in `wanted`.

        `previous`, the nudge of the step before, gives the eps and the drive to start from.  Raises ProgramError where
        the rig lacks what the rule needs (a port on the read-out, on a lossy oscillator, a reading of the end state).
        """
        achieved = yield Configure(task.rig_parameters(theta))
        theta = {**theta, **achieved}
        run = _Run(self, task, sequences, theta, wanted, previous)
        yield from run.first_block()
        while not run.is_precise:
            yield from run.another_block()
        if self.bound and run.blocks[0].batch.has_error:
            yield from run.stronger_block()
        return run.conclude()

    def plan(self, task: Task, theta: Arrays, wanted: Sequence[str]) -> EchoPlan:
        """How echoes are built and read at `theta`."""
        friction = task.model.friction(theta)
        driven = self.echo is Echo.DRIVEN or (self.echo is Echo.AUTO and (self.lock > 0 or bool(friction.any())))
        return EchoPlan(
            task=task,
            geometry=Geometry(task.capabilities),
            estimator=self.estimator,
            wanted=Wanted.of(task, wanted, theta, driven=driven),
            theta=theta,
            friction=friction if driven else np.zeros_like(friction),
            reversal=reversal_of(task.capabilities),
            order=self.order,
            partial=self.partial,
            reads_preparation=self.lock > 0,
        )

    def target_response(self, task: Task, theta: Arrays) -> float:
        """The response ratio that an automatic eps aims at."""
        if self.response is not None:
            return self.response
        if all(channel.noise == 0 and channel.converter is None for channel in task.capabilities.channels):
            return NOISELESS_RESPONSE
        return LINEAR_RESPONSE if task.model.is_linear(theta) else NONLINEAR_RESPONSE


class _Run:
    """One gradient while it is measured."""

    def __init__(
        self,
        rule: RHEL,
        task: Task,
        sequences: Sequence[TrialSequence],
        theta: Arrays,
        wanted: Sequence[str],
        previous: NudgeRecord | None,
    ) -> None:
        self.blocks: list[Block] = []
        self._rule, self._sequences, self._theta, self._wanted = rule, sequences, theta, wanted
        self._previous = previous
        known = previous if previous is not None and rule.lock else NudgeRecord(1.0, 0.0)
        self._deviations, self._learned = known.deviations, known.corrections
        self._plan = rule.plan(task, _moved(theta, self._deviations), wanted)
        self._shots = self._passes = 0
        self._locked: Locked | None = None
        self._stronger: Block | None = None
        self._eps = 1.0

    @property
    def is_precise(self) -> bool:
        """True if no more repeats are wanted."""
        rule, done = self._rule, len(self.blocks)
        if done < max(rule.repeats, 1 if rule.precision is None else _LEAST_REPEATS):
            return False
        if rule.precision is None or not self.blocks[0].batch.has_error or done >= rule.most_repeats:
            return True
        return relative_error(self.blocks) <= rule.precision

    def first_block(self) -> Protocol[None]:
        """Forward pass, lock, and echoes at a nudge that gives the response that is aimed at."""
        rule, plan = self._rule, self._plan
        batch = yield from self._forward()
        drives = self._drives(batch)
        if rule.lock and any(item.name not in self._learned for item in batch.passes):
            drives = yield from self._lock(batch)
        target = rule.target_response(plan.task, plan.theta)
        if rule.eps is not None:
            self._eps = rule.eps
        else:
            self._eps = first_eps(plan.task, batch, plan.theta, target, self._previous)
        for attempt in itertools.count(1):
            block = yield from self._echo(batch, drives)
            if rule.lock and self._locked is None and self._is_astray(block):
                drives = yield from self._lock(batch)
                block = yield from self._echo(batch, drives)
            ratio = block.response_ratio
            settled = 1 / _TOLERANCE < ratio / target < _TOLERANCE
            if rule.eps is not None or not batch.has_error or attempt == _ATTEMPTS or ratio == 0 or settled:
                self.blocks.append(block)
                return
            # A small response is proportional to eps, so one correction lands on the target.
            self._eps = representable(block.eps * float(np.clip(target / max(ratio, 1e-300), 1e-6, 1e6)))

    def another_block(self) -> Protocol[None]:
        """All of it again, so that the noise of the forward record is in the spread, too."""
        batch = yield from self._forward()
        self.blocks.append((yield from self._echo(batch, self._drives(batch))))

    def stronger_block(self) -> Protocol[None]:
        """The echoes of the first block at twice the nudge: what changes is bias."""
        first = self.blocks[0]
        self._eps = 2 * first.eps
        self._stronger = yield from self._echo(first.batch, first.drives)

    def _forward(self) -> Protocol[ForwardBatch]:
        plan = self._plan
        programs = tuple(
            plan.task.forward(item, plan.theta, plan.geometry.channels, keep=True) for item in self._sequences
        )
        captures = yield RunShots(programs)
        self._count(captures)
        return read_forward(plan.task, plan.geometry, self._sequences, captures, plan.theta)

    def _drives(self, batch: ForwardBatch) -> list[EchoDrive]:
        """By the nominal model and what was learned; the preparation is that of the first block."""
        drives = warm(self._plan.drives(batch.passes), [item.name for item in batch.passes], self._learned)
        if not self.blocks:
            return drives
        return [drive.prepared_as(first) for drive, first in zip(drives, self.blocks[0].drives, strict=True)]

    def _lock(self, batch: ForwardBatch) -> Protocol[Sequence[EchoDrive]]:
        plan = self._plan
        believed = fit(plan.task.model, plan.theta, batch.passes, plan.task.step, plan.geometry.noise).theta
        self._deviations = {
            name: np.asarray(value) - self._theta[name]
            for name, value in believed.items()
            if name in plan.task.model.parameters and name in self._theta
        }
        self._plan = self._rule.plan(plan.task, believed, self._wanted)
        drives = self._drives(batch)
        locked = yield from lock(self._plan, batch.passes, drives, LOCKED, self._rule.lock)
        self._locked = locked
        self._shots += locked.shots
        self._passes += locked.passes
        nominal = self._plan.drives(batch.passes)
        added = {
            item.name: new.force - old.force
            for item, new, old in zip(batch.passes, locked.drives, nominal, strict=True)
        }
        self._learned = {**self._learned, **added}
        return locked.drives

    def _is_astray(self, block: Block) -> bool:
        # The mean of two nudged echoes is off by the square of the response, however well the rig retraces.
        return block.retrace_error > max(LOCKED, block.response_ratio**2, noise_floor(self._plan, block.batch.passes))

    def _echo(self, batch: ForwardBatch, drives: Sequence[EchoDrive]) -> Protocol[Block]:
        plan, rule = self._plan, self._rule
        careful = rule.order is not Order.AB or rule.repeats > 1 or rule.precision is not None
        programs = plan.programs(batch.passes, drives, self._eps)
        captures = yield RunShots(programs, order="fixed" if careful else "free")
        self._count(captures)
        eps = self._eps * plan.achieved_scale(batch.passes, captures, self._eps)
        reading = plan.read(batch.passes, captures, eps)
        if not (plan.reads_preparation and plan.reversal is Reversal.BY_DRIVE):
            return Block(batch, tuple(drives), reading, eps)
        settled, jitter = at_common_gains(plan, batch.passes, drives, captures, self._eps)
        # What the echoes missed is told as it was seen: what a model takes off does not count as retraced.
        corrected = replace(plan.read(batch.passes, settled, eps), miss=reading.miss)
        return Block(batch, tuple(drives), corrected, eps, jitter)

    def _count(self, captures: Sequence[Capture]) -> None:
        self._shots += len(captures)
        self._passes += sum(capture.passes_run for capture in captures)

    def conclude(self) -> Gradient:
        """Average the blocks, and say in words which assumptions failed."""
        rule, plan, blocks = self._rule, self._plan, self.blocks
        values, errors = combined(blocks, plan.wanted.direct)
        jitter = float(np.sqrt(np.mean([block.jitter**2 for block in blocks])))
        bias, measured = None, {"port_jitter": jitter} if jitter else {}
        if self._locked is not None:
            measured["lock_rounds"] = float(len(self._locked.misses))
        if self._stronger is not None:
            powers = 2**rule.estimator.order - 1
            weak, strong = blocks[0].reading.terms, self._stronger.reading.terms
            astray = self._bias_of_miss(tuple(weak))
            bias = {name: np.abs(strong[name] - weak[name]) / powers + np.abs(astray[name]) for name in weak}
            bias |= {name: np.zeros_like(values[name]) for name in plan.wanted.direct}
        elif rule.partial:
            bias = {name: np.abs(term) for name, term in self._bias_of_miss(tuple(blocks[0].reading.terms)).items()}
            measured["predicted_bias"] = _norm(bias) / (_norm({name: values[name] for name in bias}) or 1.0)
            bias |= {name: np.zeros_like(values[name]) for name in plan.wanted.direct}
        ratio = float(np.sqrt(np.mean([block.response_ratio**2 for block in blocks])))
        retrace = float(np.sqrt(np.mean([block.retrace_error**2 for block in blocks])))
        driven = "driven" if plan.friction.any() else "plain"
        return Gradient(
            values=values,
            standard_error=errors,
            bias_bound=bias,
            loss=float(np.mean([block.batch.loss for block in blocks])),
            measured=measured,
            rule=f"rhel/{rule.estimator}/{driven}{'/locked' if rule.lock else ''}",
            eps=blocks[-1].eps,
            response_ratio=ratio,
            retrace_error=retrace,
            repeats=len(blocks),
            shots=self._shots,
            passes=self._passes,
            calibration=blocks[0].batch.calibration,
            deviations=self._deviations,
            corrections=self._learned,
            warnings=(*_warnings(plan, blocks[0].batch, ratio, retrace, jitter), *self._doubts(), *_partly(measured)),
        )

    def _bias_of_miss(self, names: Sequence[str]) -> dict[str, Array]:
        """What the retrace error costs, averaged over the blocks; zero where it is noise alone."""
        plan, passes = self._plan, self.blocks[0].batch.passes
        misses = [np.mean(rows, axis=0) for rows in zip(*(block.reading.miss for block in self.blocks), strict=True)]
        inverse = InverseDynamics(plan.task.model, plan.theta, plan.task.step)
        noise = plan.geometry.noise * np.sqrt(2.0 / len(self.blocks))
        smooth = [inverse.smooth(miss, item.q[:, ::-1], noise) for miss, item in zip(misses, passes, strict=True)]
        return bias_of_miss(plan.task.model, plan.theta, passes, smooth, plan.task.step, names)

    def _doubts(self) -> list[str]:
        rule, locked, words = self._rule, self._locked, []
        if locked is not None and locked.refused:
            words.append(f"the echo lock took what drive there is, and stopped at a miss of {min(locked.misses):.2g}")
        if rule.precision is not None and len(self.blocks) >= rule.most_repeats:
            words.append(
                f"{rule.most_repeats} repeats reached a precision of {relative_error(self.blocks):.2g}, not "
                f"{rule.precision:g}; raise eps or most_repeats"
            )
        return words


def _norm(parts: Arrays) -> float:
    return float(np.sqrt(sum(np.sum(np.square(part)) for part in parts.values())))


def _moved(theta: Arrays, deviations: Arrays) -> dict[str, Array]:
    return {**theta, **{name: np.asarray(theta[name]) + value for name, value in deviations.items() if name in theta}}


def _partly(measured: Mapping[str, float]) -> list[str]:
    bias = measured.get("predicted_bias", 0.0)
    if bias <= LARGEST_MISS:
        return []
    return [
        f"lossy oscillators without a drive port bias this gradient by {bias:.2g} of its size, by the nominal model: "
        "give them a port, or take rule: twin"
    ]


def _warnings(plan: EchoPlan, batch: ForwardBatch, ratio: float, retrace: float, jitter: float) -> list[str]:
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
            + (f", or gains are not from shot to shot (they differ by {jitter:.1g}, taken off)" if jitter else "")
        )
    if ratio > LARGEST_RESPONSE and not task.model.is_linear(plan.theta):
        words.append(f"response ratio {ratio:.2g} is large for a nonlinear rig: lower eps")
    if batch.has_error and ratio < SMALLEST_RESPONSE:
        words.append(f"response ratio {ratio:.2g} is close to rounding: raise eps")
    return words
