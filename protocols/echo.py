"""Echo shots: built from a forward pass, and read back as derivatives by the nudge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.capture import Capture
from labrhel.errors import ConfigurationError
from labrhel.estimator import Estimator
from labrhel.learning.task import Task
from labrhel.program import Acquire, Drive, GivenState, Pass, Rest, Reversal, Role, ShotProgram
from labrhel.waveform import Waveform
from protocols.forward import ForwardPass
from protocols.geometry import Geometry
from protocols.preparation import affordable_preparation, end_state, fitted_end_state


@dataclass(frozen=True, slots=True)
class Wanted:
    """The parameters to differentiate by, sorted by where their gradient is read."""

    summed: tuple[str, ...]  # observables the rig accumulates
    traced: tuple[str, ...]  # observables computed from traces
    friction: tuple[str, ...]
    state: tuple[str, ...]  # initial position and momentum
    direct: tuple[str, ...]  # read-out gain and offset, which need no echo
    drags_mass: bool  # a mass that also changes the friction of the first half step

    @classmethod
    def of(cls, task: Task, names: Sequence[str], theta: Arrays, *, driven: bool) -> Wanted:
        """Sort `names`; raises ConfigurationError for one that neither the model nor the read-out has."""
        specs = task.model.parameters
        unknown = [name for name in names if name not in specs and name not in ("readout", "readout_offset")]
        if unknown:
            raise ConfigurationError(f"there is no parameter {unknown[0]!r} to differentiate by")
        kinds = {name: specs[name].kind for name in names if name in specs}
        observed = [name for name, kind in kinds.items() if kind in ("potential", "kinetic", "input")]
        moving = np.any(theta.get("initial_momentum", 0.0))
        return cls(
            tuple(name for name in observed if name in task.capabilities.accumulates),
            tuple(name for name in observed if name not in task.capabilities.accumulates),
            tuple(name for name, kind in kinds.items() if kind == "friction"),
            tuple(name for name, kind in kinds.items() if kind in ("position", "momentum")),
            tuple(name for name in names if name not in specs),
            bool("mass" in kinds and driven and moving),
        )


@dataclass(frozen=True, slots=True)
class EchoReading:
    """Echoes of a batch at one nudge strength, one repeat, read back.

    `terms` is the gradient by parameter, `response` and `miss` the sums of squares of the nudge response and of the
    distance between the un-nudged (or mean) echo and the forward path.
    """

    terms: Mapping[str, Array]
    response: float
    miss: float


@dataclass(frozen=True, slots=True)
class EchoPlan:
    """All that building and reading the echoes of one gradient has in common.

    `friction` is G if the echo is driven, else zero: compensation and end corrections belong to the driven echo.
    `reversal` is how the rig reverses its state; by drive, every echo has a preparation in place of the forward pass.
    """

    task: Task
    geometry: Geometry
    estimator: Estimator
    wanted: Wanted
    theta: Arrays
    friction: Array
    repeats: int
    reversal: Reversal

    def programs(self, passes: Sequence[ForwardPass], eps: float) -> tuple[ShotProgram, ...]:
        """All levels of all sequences; + and - next to each other, so that a drifting rig drifts least between."""
        programs = []
        for item in passes:
            by_drive = self.reversal is Reversal.BY_DRIVE
            first = self._preparation(item) if by_drive else item.program.passes[0]
            programs += [self._program(item, first, level * eps) for level in self.estimator.weights]
        return tuple(programs)

    def _program(self, forward: ForwardPass, first: Pass, amplitude: float) -> ShotProgram:
        """An echo after `first`: the forward pass, or the preparation of its reversed end."""
        step = forward.program.dt
        mirror = (forward.steps - 1) * step
        drives = [
            Drive(item.port, item.waveform.reversed(mirror), item.role) for item in forward.program.passes[0].drives
        ]
        # The nudge is an impulse amplitude * e at its kick, so as a force it is divided by the step.
        forces = {Role.NUDGE: amplitude / step * forward.error, Role.COMPENSATION: -2 * self.friction @ forward.v}
        for role, force in forces.items():
            for port, values in self.geometry.to_ports(force[:, ::-1]).items():
                # Linear: held samples change at the kicks, where a fast converter would play half of the one before.
                drives.append(Drive(port, Waveform.of(values, step), role))
        ends = bool(self.wanted.state) or self.wanted.drags_mass
        acquire = Acquire(self.geometry.channels, 1, self.wanted.summed, end_state=ends)
        if self.reversal is Reversal.BY_DRIVE:
            echo = Pass(forward.steps, tuple(drives), acquire)
            return ShotProgram(step, Rest(), (first, echo), self.repeats)
        echo = Pass(forward.steps, tuple(drives), acquire, echo=True)
        return ShotProgram(step, forward.program.prepare, (first, echo), self.repeats)

    def _preparation(self, forward: ForwardPass) -> Pass:
        """A pass from rest to the reversed end of the forward pass."""
        model, theta, step = self.task.model, self.theta, forward.program.dt
        started = forward.program.prepare
        momentum = started.momentum.values if isinstance(started, GivenState) else np.zeros(model.size)
        if any(channel.noise or channel.converter for channel in self.task.capabilities.channels):
            q, p = fitted_end_state(model, theta, forward.q, forward.u, step)
        else:
            q, p = end_state(model, theta, forward.q, forward.u, step, momentum)
        peak = float(np.abs(model.input_force(forward.u, theta)).max())
        force = affordable_preparation(model, theta, q, -p, step, forward.steps, peak)
        ports = self.geometry.to_ports(force)
        drives = [Drive(port, Waveform.of(values, step), Role.PREPARATION) for port, values in ports.items()]
        return Pass(force.shape[1], tuple(drives))

    def by_level(self, captures: Sequence[Capture]) -> list[dict[int, Capture]]:
        """Captures in the order of `programs`, as nudge level -> capture for each sequence."""
        levels = tuple(self.estimator.weights)
        groups = [captures[start : start + len(levels)] for start in range(0, len(captures), len(levels))]
        return [dict(zip(levels, group, strict=True)) for group in groups]

    def achieved_scale(self, passes: Sequence[ForwardPass], captures: Sequence[Capture], eps: float) -> float:
        """Achieved nudge over the one asked for, projected on the error: 1 where nothing is quantized or filtered."""
        overlap = norm = 0.0
        for forward, echoes in zip(passes, self.by_level(captures), strict=True):
            played = {level: self.geometry.forces(capture) for level, capture in echoes.items()}
            asked = forward.error[:, ::-1] / self.task.step
            overlap += float(np.sum(self.estimator.derivative(played, eps) * asked))
            norm += float(np.sum(asked**2))
        return overlap / norm if norm > 0 and overlap > 0 else 1.0

    def read(self, passes: Sequence[ForwardPass], captures: Sequence[Capture], eps: float, repeat: int) -> EchoReading:
        """Turn the captures into derivatives at the achieved `eps`."""
        terms: dict[str, Array] = {}
        response = miss = 0.0
        for forward, echoes in zip(passes, self.by_level(captures), strict=True):
            q, v = {}, {}
            for level, capture in echoes.items():
                q[level], v[level] = self.geometry.state(capture.last, self.task.step, repeat)
            slope = self.estimator.derivative(q, eps)[:, ::-1]
            still = q[0] if 0 in q else (q[1] + q[-1]) / 2
            response += float(np.sum((eps * slope) ** 2))
            miss += float(np.sum((still[:, ::-1] - forward.q) ** 2))
            for name, term in self._terms(forward, echoes, q, v, slope, eps, repeat).items():
                terms[name] = terms[name] + term if name in terms else term
        return EchoReading(terms, response, miss)

    def _terms(
        self,
        forward: ForwardPass,
        echoes: Mapping[int, Capture],
        q: Mapping[int, Array],
        v: Mapping[int, Array],
        slope: Array,
        eps: float,
        repeat: int,
    ) -> dict[str, Array]:
        wanted, task, derivative = self.wanted, self.task, self.estimator.derivative
        terms: dict[str, Array] = {}
        for name in wanted.summed:
            terms[name] = -derivative({k: c.last.observables[name][repeat] for k, c in echoes.items()}, eps)
        if wanted.traced:
            replayed = forward.u[:, ::-1]
            sums = {k: task.model.observables(wanted.traced, q[k], v[k], replayed, task.step, self.theta) for k in q}
            for name in wanted.traced:
                terms[name] = -derivative({k: sums[k][name] for k in sums}, eps)
        for name in wanted.friction:
            rubbed = -task.step * slope @ forward.v.T
            terms[name] = (rubbed + rubbed.T) / 2
        if wanted.state or wanted.drags_mass:
            states = {k: state for k, c in echoes.items() if (state := c.last.end_state) is not None}
            dq = derivative({k: state.position[repeat] for k, state in states.items()}, eps)
            dp = derivative({k: state.momentum[repeat] for k, state in states.items()}, eps)
            mass = task.model.mass(self.theta)
            dragged = task.step**2 / 4 * self.friction @ (dp / mass) / mass
            ends = {"initial_position": dp + self.friction @ dq, "initial_momentum": dq + dragged}
            terms |= {name: ends[name] for name in wanted.state}
            if wanted.drags_mass:
                terms["mass"] = terms["mass"] - np.asarray(self.theta["initial_momentum"]) / mass * dragged
        return terms
