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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labrhel.capture import Capture
from labrhel.errors import ConfigurationError, ProgramError
from labrhel.frozen import FrozenArray
from labrhel.gradient import Gradient, NudgeRecord
from labrhel.interfaces import Arrays
from labrhel.operations import Configure, Protocol, RunShots
from labrhel.program import Acquire, Drive, Pass, Role, ShotProgram
from labrhel.task import Task, TrialSequence
from labrhel.waveform import Interpolation, Waveform
from protocols.geometry import Geometry

Array = NDArray[np.float64]

PLAIN_BELOW = 0.05
"""e-folds of energy up to which an echo without compensation is still a good gradient."""


class Estimator(enum.StrEnum):
    """Which echoes are run, and how they are combined; error in eps of order 1, 2 and 4."""

    ONE_SIDED = "one_sided"
    SYMMETRIC = "symmetric"
    FOUR_POINT = "four_point"

    @property
    def weights(self) -> dict[int, float]:
        """Nudge level (in units of eps) -> weight; the derivative by eps is sum of weight * value / eps."""
        return {
            Estimator.ONE_SIDED: {1: 1.0, 0: -1.0},
            Estimator.SYMMETRIC: {1: 0.5, -1: -0.5},
            Estimator.FOUR_POINT: {1: 2 / 3, -1: -2 / 3, 2: -1 / 12, -2: 1 / 12},
        }[self]


class Echo(enum.StrEnum):
    """Whether the echo is compensated for friction; `auto` drives it on rigs that lose energy."""

    AUTO = "auto"
    PLAIN = "plain"
    DRIVEN = "driven"


@dataclass(frozen=True, slots=True)
class Measured:
    """One set of echoes at one eps: the derivative by eps of all that was read, per sequence and repeat."""

    eps: float
    gradients: list[dict[str, Array]]
    response_ratio: float
    retrace_error: float
    shots: int
    passes: int


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
            if value is not None and not (value > 0 and np.isfinite(value)):
                raise ConfigurationError(f"{name} must be a positive number, not {value}")
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
        run = _Run(self, task, tuple(sequences), {**theta, **achieved}, tuple(wanted))
        forward = yield RunShots(tuple(run.forward_program(sequence) for sequence in run.sequences))
        run.take_forward(forward)
        target = self._target_response(task, run.theta)
        eps = self.eps if self.eps is not None else run.first_guess(target, previous)
        shots, passes = len(forward), sum(capture.passes_run for capture in forward)
        for _ in range(3):
            captures = yield RunShots(run.echo_programs(eps))
            measured = run.measure(eps, captures)
            shots, passes = shots + measured.shots, passes + measured.passes
            if self.eps is not None or not run.has_error or 0.1 < measured.response_ratio / target < 10:
                break
            # The response is linear in eps when it is small: one correction lands on the target.
            eps *= np.clip(target / max(measured.response_ratio, 1e-300), 1e-6, 1e6)
        return run.conclude(measured, shots, passes)

    def _target_response(self, task: Task, theta: Arrays) -> float:
        if self.response is not None:
            return self.response
        if all(channel.noise == 0 and channel.converter is None for channel in task.capabilities.channels):
            return 1e-5
        return 0.3 if task.model.is_linear(theta) else 0.05


class _Run:
    """One evaluation of the rule: programs out, captures in."""

    def __init__(
        self, rule: RHEL, task: Task, sequences: tuple[TrialSequence, ...], theta: Arrays, wanted: tuple[str, ...]
    ) -> None:
        self.rule, self.task, self.sequences, self.theta, self.wanted = rule, task, sequences, theta, wanted
        self.geometry = Geometry(task.capabilities)
        self.friction = task.model.friction(theta)
        self.mass = task.model.mass(theta)
        longest = max(task.steps(sequence) for sequence in sequences)
        self.e_folds = float(np.sum(np.diag(self.friction) / self.mass)) / task.model.size * longest * task.step
        self.driven = rule.echo is Echo.DRIVEN or (rule.echo is Echo.AUTO and self.friction.any())
        kinds = {name: spec.kind for name, spec in task.model.parameters.items()}
        self.by_kind = {
            kind: [name for name in wanted if kinds.get(name) in group]
            for kind, group in {
                "observable": ("potential", "kinetic", "input"),
                "friction": ("friction",),
                "state": ("position", "momentum"),
            }.items()
        }
        unknown = [name for name in wanted if name not in kinds and not name.startswith("readout")]
        if unknown:
            raise ConfigurationError(f"there is no parameter {unknown[0]!r} to differentiate by")
        self.summed = [name for name in self.by_kind["observable"] if name in task.capabilities.accumulates]
        start = np.asarray(theta.get("initial_momentum", 0.0), float)
        # With the initial momentum held fixed, a mass also changes the friction of the first half step.
        self.drags_mass = "mass" in wanted and self.driven and bool(start.any())
        self.from_traces = [name for name in self.by_kind["observable"] if name not in self.summed]

    # -- programs ------------------------------------------------------------------------------------------------

    def forward_program(self, sequence: TrialSequence) -> ShotProgram:
        return self.task.forward(sequence, self.theta, self.geometry.channels, keep=True)

    def echo_programs(self, eps: float) -> tuple[ShotProgram, ...]:
        """All levels of all sequences; + and - next to each other, so that a drifting rig drifts least between."""
        return tuple(
            self._echo_program(index, level * eps)
            for index in range(len(self.sequences))
            for level in self.rule.estimator.weights
        )

    def _echo_program(self, index: int, amplitude: float) -> ShotProgram:
        forward, step = self.forward_programs[index], self.task.step
        length = forward.passes[0].steps
        drives = [
            Drive(drive.port, drive.waveform.reversed((length - 1) * step), drive.role)
            for drive in forward.passes[0].drives
        ]
        for role, waves in ((Role.NUDGE, amplitude * self.errors[index] / step), (Role.COMPENSATION, self.compensation[index])):
            drives += [
                Drive(port, Waveform.of(values, step, interpolation=Interpolation.HOLD), role)
                for port, values in self.geometry.to_ports(waves[:, ::-1]).items()
            ]
        acquire = Acquire(self.geometry.channels, 1, tuple(self.summed), bool(self.by_kind["state"]) or self.drags_mass)
        echo = Pass(length, tuple(drives), acquire, echo=True)
        return ShotProgram(step, forward.prepare, (*forward.passes, echo), self.rule.repeats)

    # -- captures ------------------------------------------------------------------------------------------------

    def take_forward(self, captures: Sequence[Capture]) -> None:
        """Loss, error and compensation from the forward captures."""
        task, loss = self.task, self.task.loss(self.sequences)
        readout = task.readout(self.theta)
        self.loss, self.errors, self.compensation = 0.0, [], []
        self.positions, self.velocities, self.inputs = [], [], []
        self.direct: dict[str, Array] = {"readout": np.zeros_like(readout.gain), "readout_offset": np.zeros_like(readout.offset)}
        self.forward_programs = [
            _without_acquisition(capture.shot.program) for capture in captures
        ]
        for sequence, capture in zip(self.sequences, captures, strict=True):
            x = task.captured(capture)
            outputs = readout.outputs(x)
            rho = loss.slope(outputs, sequence.target, sequence.weight)
            self.loss += loss.value(outputs, sequence.target, sequence.weight)
            for name, term in readout.gradients(x, rho).items():
                self.direct[name] = self.direct[name] + term
            q, v = self.geometry.state(capture.last, task.step)
            error = np.zeros_like(q)
            error[:, :: task.every] = self.geometry.on_oscillators(task.channels, readout.error(rho))
            self.errors.append(error)
            self.positions.append(q)
            self.velocities.append(v)
            self.compensation.append(-2 * self.friction @ v if self.driven else np.zeros_like(q))
            self.inputs.append(np.stack([capture.shot.achieved(port, 0) for port in task.model.inputs]))
        self.has_error = any(error.any() for error in self.errors)

    def first_guess(self, target: float, previous: NudgeRecord | None) -> float:
        """eps that should give the response ratio `target`: scaled from the last step, or from the force balance."""
        if previous is not None and previous.response_ratio > 0:
            return previous.eps * target / previous.response_ratio
        if not self.has_error:
            return 1.0
        impulse = max(float(np.sqrt(np.mean(error**2))) for error in self.errors)
        moved = max(float(np.sqrt(np.mean(q**2))) for q in self.positions)
        rate = 1.0 / self.task.model.largest_step(self.theta)
        return target * max(moved, 1e-12) * float(np.mean(self.mass)) * rate * 0.1 / impulse

    def measure(self, eps: float, captures: Sequence[Capture]) -> Measured:
        """Combine the echoes of one eps into gradients, one per repeat."""
        weights = self.rule.estimator.weights
        per_sequence = [captures[i : i + len(weights)] for i in range(0, len(captures), len(weights))]
        scale = self._achieved_scale(eps, per_sequence)
        gradients = []
        response = state = residue = 0.0
        for repeat in range(self.rule.repeats):
            total = {name: np.zeros(self.task.model.parameters[name].shape) for names in self.by_kind.values() for name in names}
            for index, echoes in enumerate(per_sequence):
                by_level = dict(zip(weights, echoes, strict=True))
                q, v = {}, {}
                for level, capture in by_level.items():
                    q[level], v[level] = self.geometry.state(capture.last, self.task.step, repeat)
                slope = _combine(weights, q, eps * scale)[:, ::-1]
                for name, value in self._terms(index, by_level, q, v, slope, eps * scale, repeat).items():
                    total[name] = total[name] + value
                still = q[0] if 0 in q else (q[1] + q[-1]) / 2
                forward = self.positions[index]
                response += float(np.sum((eps * scale * slope) ** 2))
                residue += float(np.sum((still[:, ::-1] - forward) ** 2))
                state += float(np.sum(forward**2))
            gradients.append({**total, **{name: term for name, term in self.direct.items() if name in self.wanted}})
        reference = max(state, 1e-300)
        return Measured(
            eps * scale,
            gradients,
            float(np.sqrt(response / reference)),
            float(np.sqrt(residue / reference)),
            len(captures) * self.rule.repeats,
            sum(capture.passes_run for capture in captures) * self.rule.repeats,
        )

    def _terms(
        self,
        index: int,
        echoes: Mapping[int, Capture],
        q: Mapping[int, Array],
        v: Mapping[int, Array],
        slope: Array,
        eps: float,
        repeat: int,
    ) -> dict[str, Array]:
        """This sequence's part of the gradient; `slope` is a_k in forward order."""
        task, weights = self.task, self.rule.estimator.weights
        terms: dict[str, Array] = {}
        for name in self.summed:
            sums = {level: capture.last.observables[name][repeat] for level, capture in echoes.items()}
            terms[name] = -_combine(weights, sums, eps)
        if self.from_traces:
            backwards = self.inputs[index][:, ::-1]
            sums = {
                level: task.model.observables(self.from_traces, q[level], v[level], backwards, task.step, self.theta)
                for level in q
            }
            for name in self.from_traces:
                terms[name] = -_combine(weights, {level: values[name] for level, values in sums.items()}, eps)
        for name in self.by_kind["friction"]:
            product = -task.step * slope @ self.velocities[index].T
            terms[name] = (product + product.T) / 2
        if self.by_kind["state"]:
            dq, dp = self._end_slopes(echoes, eps, repeat)
            friction = self.friction if self.driven else np.zeros_like(self.friction)
            dragged = friction @ (dp / self.mass)
            ends = {
                "initial_position": dp + friction @ dq,
                "initial_momentum": dq + task.step**2 / 4 * dragged / self.mass,
            }
            terms.update({name: ends[name] for name in self.by_kind["state"]})
        if self.drags_mass:
            dp = self._end_slopes(echoes, eps, repeat)[1]
            start = np.asarray(self.theta["initial_momentum"], float)
            terms["mass"] -= task.step**2 / 4 * start / self.mass**2 * (self.friction @ (dp / self.mass))
        return terms

    def _end_slopes(self, echoes: Mapping[int, Capture], eps: float, repeat: int) -> tuple[Array, Array]:
        """D[q] and D[p] at the end of the echo."""
        states = {level: capture.last.end_state for level, capture in echoes.items()}
        known = {level: state for level, state in states.items() if state is not None}
        weights = self.rule.estimator.weights
        return (
            _combine(weights, {level: state.position[repeat] for level, state in known.items()}, eps),
            _combine(weights, {level: state.momentum[repeat] for level, state in known.items()}, eps),
        )

    def _achieved_scale(self, eps: float, per_sequence: Sequence[Sequence[Capture]]) -> float:
        """Achieved nudge over the one asked for, projected on the error: 1 where nothing is quantized or clipped."""
        weights = self.rule.estimator.weights
        overlap = norm = 0.0
        for error, echoes in zip(self.errors, per_sequence, strict=True):
            played = {
                level: self.geometry.forces(capture) for level, capture in zip(weights, echoes, strict=True)
            }
            wanted = error[:, ::-1] / self.task.step
            overlap += float(np.sum(_combine(weights, played, eps) * wanted))
            norm += float(np.sum(wanted**2))
        return overlap / norm if norm > 0 and overlap > 0 else 1.0

    def conclude(self, measured: Measured, shots: int, passes: int) -> Gradient:
        """Average the repeats and say in words which assumptions failed."""
        names = [name for name in self.wanted if name in measured.gradients[0]]
        stacked = {name: np.stack([gradient[name] for gradient in measured.gradients]) for name in names}
        repeats = self.rule.repeats
        error = (
            {name: values.std(axis=0, ddof=1) / np.sqrt(repeats) for name, values in stacked.items()} if repeats > 1 else None
        )
        return Gradient(
            values={name: values.mean(axis=0) for name, values in stacked.items()},
            standard_error=error,
            loss=self.loss,
            rule=f"rhel/{self.rule.estimator}/{'driven' if self.driven else 'plain'}",
            eps=measured.eps,
            response_ratio=measured.response_ratio,
            retrace_error=measured.retrace_error,
            shots=shots,
            passes=passes,
            warnings=tuple(self._warnings(measured)),
        )

    def _warnings(self, measured: Measured) -> list[str]:
        words = []
        if not self.has_error:
            words.append("the error is zero everywhere, and so is this gradient")
        if not self.driven and self.e_folds > PLAIN_BELOW:
            words.append(
                f"plain echo on a rig that loses {self.e_folds:.2g} e-folds of energy a pass: the gradient is biased; "
                "use echo: driven"
            )
        if measured.retrace_error > 0.01:
            words.append(
                f"the echo misses the forward path by {measured.retrace_error:.2g} of its size: "
                "friction, flip or timing are not what the model says"
            )
        if measured.response_ratio > 0.1 and not self.task.model.is_linear(self.theta):
            words.append(f"response ratio {measured.response_ratio:.2g} is large for a nonlinear rig: lower eps")
        if self.has_error and measured.response_ratio < 1e-9:
            words.append(f"response ratio {measured.response_ratio:.2g} is close to rounding: raise eps")
        return words


def _combine(weights: Mapping[int, float], values: Mapping[int, Array], eps: float) -> Array:
    """Derivative by eps: sum of weight * value / eps; opposite levels are subtracted first, to lose no digits."""
    total = None
    for level, weight in weights.items():
        if level <= 0:
            continue
        opposite = -level if -level in weights else 0
        term = (weight / eps) * (values[level] - values[opposite])
        total = term if total is None else total + term
    assert total is not None
    return total


def _without_acquisition(program: ShotProgram) -> ShotProgram:
    """The forward part of an echo shot: the same run, read no second time."""
    first = program.passes[0]
    return ShotProgram(program.dt, program.prepare, (Pass(first.steps, first.drives, keep=True),))
