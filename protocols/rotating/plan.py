"""Conjugation echoes: built from a forward pass, and read back as derivatives by the nudge.

From conj(a(T)), under conj(W u) backwards and the nudge f = -eps conj(e)/d (e = dL/da* at the kick),

    f_comp = (H* - H) conj(a_recorded)         i kappa conj(a) where J is real: the un-nudged echo then retraces

while the difference of two echoes, delta, obeys H and decays as everything on the array does.  That is the adjoint if
H = H^T.  With a flux y, J_ij = x + i y, it is so with y reversed: the rule turns that knob between forward pass and
echo, on a rig that can be prepared in the state it was read in.

    dL/dtheta = -2 d Re sum_k delta_k . df_k/dtheta,       dL/da(0)* = i conj(delta) at the end of the echo

Source: docs/rotating-frame.md; Lopez-Pastor & Marquardt (2023) for the lossless echo, the driven one derived and tested
in this project.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError, ProgramError
from labrhel.frozen import FrozenArray
from labrhel.learning.estimator import Estimator, Order
from labrhel.learning.readout import READOUT
from labrhel.learning.task import STATE, Task
from labrhel.model.rotating import Amplitudes, RotatingFrame, as_real
from labrhel.rig.capabilities import Reversal
from labrhel.shots.capture import Capture
from labrhel.shots.program import Acquire, Drive, GivenState, Pass, Rest, Role, ShotProgram
from protocols.echoes.options import Echo, EchoOptions
from protocols.echoes.plan import EchoReading
from protocols.forward.forward import ForwardPass
from protocols.rotating.quadratures import Quadratures

Levels = Mapping[int, Capture]


@dataclass(frozen=True, slots=True)
class ConjugationPlan:
    """All that building and reading the echoes of one gradient has in common.

    `driven`: the echo is given what it loses; `partial`: as far as ports reach.  `apart`: it is a shot of its own, in
    the state that the forward pass was read in, so that the flux can be reversed between them.
    """

    task: Task
    model: RotatingFrame
    geometry: Quadratures
    theta: Arrays
    wanted: tuple[str, ...]
    estimator: Estimator
    order: Order
    reversal: Reversal
    driven: bool
    partial: bool
    apart: bool

    @classmethod
    def of(
        cls, options: EchoOptions, task: Task, theta: Arrays, wanted: Sequence[str], reversal: Reversal
    ) -> ConjugationPlan:
        """By the options of a rule; raises ConfigurationError for a parameter that is not there.

        Raises ProgramError for a flux on a rig that cannot be prepared in a state, and read.
        """
        model, rig = task.model, task.capabilities
        assert isinstance(model, RotatingFrame)
        unknown = [name for name in wanted if name not in task.model.parameters and name not in READOUT]
        if unknown:
            raise ConfigurationError(f"there is no parameter {unknown[0]!r} to differentiate by")
        lacks = not rig.reversals
        apart = reversing_flux(task, theta) != {} or (options.by_state and lacks)
        settable = all(name in [knob.name for knob in rig.knobs] for name in reversing_flux(task, theta))
        if apart and not (settable and "state" in rig.prepares and rig.reads_state):
            raise ProgramError(
                f"rig {rig.rig} has a flux, which an echo needs reversed: that takes a knob for it, and a state "
                "that is read and prepared again while it turns; this rig lacks one of them: take rule: spsa"
            )
        return cls(
            task=task,
            model=model,
            geometry=Quadratures(rig),
            theta=theta,
            wanted=tuple(name for name in wanted if name not in READOUT),
            estimator=options.estimator,
            order=options.order,
            reversal=reversal,
            driven=options.echo is not Echo.PLAIN,
            partial=options.partial,
            apart=apart,
        )

    @property
    def turned(self) -> dict[str, Array]:
        """What is set on the rig for the echoes, and put back after them."""
        return reversing_flux(self.task, self.theta)

    @property
    def reads_end(self) -> bool:
        """Whether the end of an echo is read."""
        return any(name in STATE for name in self.wanted)

    def compensation(self, item: ForwardPass) -> Amplitudes:
        """F_comp (n, steps), in the order of the echo, and what replaying the inputs leaves out of conj(W u)."""
        whole, echoing = self.model.matrix(self.theta), self.model.matrix({**self.theta, **self.turned})
        back = np.conj(item.q)[:, ::-1]
        field, replayed = self.model.field(item.u, self.theta), self.model.field(_conjugate(item.u), self.theta)
        left_out = (np.conj(field) - replayed)[:, ::-1]
        if not self.driven:
            return left_out
        lost = (np.conj(whole) - echoing) @ back + left_out
        return self.geometry.reachable(lost) if self.partial else lost

    def nudge(self, item: ForwardPass) -> Amplitudes:
        """The nudge of eps 1 (n, steps), in the order of the echo."""
        error: Amplitudes = np.asarray(item.error, np.complex128)
        return -error.conj()[:, ::-1] / self.task.step

    def end(self, item: ForwardPass) -> Amplitudes:
        """Where the forward pass ended (n,): as it was read, or half a step after the last reading by the model."""
        if item.end is not None:
            return np.asarray(item.end[0] + 1j * item.end[1], complex)
        m = item.q[:, -1]
        bent = self.model.kerr(self.theta) * np.abs(m) ** 2 * m
        pull = self.model.matrix(self.theta) @ m + bent + self.model.field(item.u[:, -1:], self.theta)[:, 0]
        return m - 0.5j * self.task.step * pull

    def programs(self, passes: Sequence[ForwardPass], eps: float, more: Mapping[str, Array]) -> tuple[ShotProgram, ...]:
        """All levels of all sequences; `more`: by name of the sequence, what a lock adds to the drive (n, steps)."""
        levels = self.order.of(tuple(self.estimator.weights))
        return tuple(self.program(item, level * eps, more) for item in passes for level in levels)

    def program(self, item: ForwardPass, amplitude: float, more: Mapping[str, Array]) -> ShotProgram:
        """An echo, nudged by `amplitude`: after the forward pass, from a state, or after a preparation by drive."""
        step, steps = self.task.step, item.steps
        lost = self.compensation(item)
        if item.name in more:
            lost = lost + self.geometry.reachable(more[item.name])
        drives = (
            *_replayed(item),
            *self.geometry.played(amplitude * self.nudge(item), step, Role.NUDGE),
            *self.geometry.played(lost, step, Role.COMPENSATION),
        )
        acquire = Acquire(self.geometry.channels, 1, end_state=self.reads_end)
        if self.apart:
            start = np.conj(self.end(item))
            prepare = GivenState(FrozenArray(np.real(start)), FrozenArray(np.imag(start)))
            return ShotProgram(step, prepare, (Pass(steps, drives, acquire),))
        if self.reversal is Reversal.BY_DRIVE:
            fields = self.preparation(item)
            first = Pass(fields.shape[1], self.geometry.played(fields, step, Role.PREPARATION))
            return ShotProgram(step, Rest(), (first, Pass(steps, drives, acquire)))
        first = item.program.passes[0]
        return ShotProgram(step, item.program.prepare, (first, Pass(steps, drives, acquire, echo=True)))

    def preparation(self, item: ForwardPass) -> Amplitudes:
        """Fields (n, kicks) that bring the array from rest to conj(a(T)), by the model: no conjugation is needed.

        The path grows as sin^2 along the free lossless motion that ends there, so its drive is as weak as that growth
        and the loss let it be: about that of the input, unless this would take longer than the pass itself.
        """
        step, goal = self.task.step, np.conj(self.end(item))
        whole = self.model.matrix(self.theta)
        typical = float(np.sqrt(np.mean(np.abs(self.model.field(item.u, self.theta)) ** 2))) or 1.0
        kicks = int(np.clip(np.pi / 2 * np.abs(goal).max() / typical / step, 16, max(16, item.steps)))
        energy, modes = np.linalg.eigh((whole + whole.conj().T) / 2)
        phases = np.exp(1j * np.outer(energy, step * (kicks - np.arange(kicks + 1))))
        grown = np.sin(np.pi / 2 * np.arange(kicks + 1) / kicks) ** 2
        path = modes @ (phases * (modes.conj().T @ goal)[:, None]) * grown
        m = (path[:, :-1] + path[:, 1:]) / 2
        bent = self.model.kerr(self.theta)[:, None] * np.abs(m) ** 2 * m
        return 1j * (path[:, 1:] - path[:, :-1]) / step - whole @ m - bent

    def turns(self, captures: Sequence[Capture]) -> list[list[Levels]]:
        """Captures in the order of `programs`: for each sequence, for each turn, nudge level -> capture."""
        levels = tuple(self.estimator.weights)
        order, found = self.order.of(levels), []
        for start in range(0, len(captures), len(order)):
            taken = list(zip(order, captures[start : start + len(order)], strict=True))
            found.append([dict(taken[turn : turn + len(levels)]) for turn in range(0, len(order), len(levels))])
        return found

    def achieved(self, passes: Sequence[ForwardPass], captures: Sequence[Capture], eps: float) -> tuple[float, float]:
        """What the ports made of a nudge of `eps`: its strength over that, and its distortion relative to it."""
        overlap = norm = off = 0.0
        for item, turns in zip(passes, self.turns(captures), strict=True):
            asked = self.nudge(item)
            for echoes in turns:
                fields = {level: self.geometry.fields(capture) for level, capture in echoes.items()}
                played = self.estimator.derivative(fields, eps)
                overlap += float(np.sum(played * np.conj(asked)).real)
                norm += float(np.sum(np.abs(asked) ** 2))
                off += float(np.sum(np.abs(played) ** 2))
        if not (norm > 0 and overlap > 0):
            return 1.0, 0.0
        scale = overlap / norm
        return scale, float(np.sqrt(max(off / norm / scale**2 - 1, 0.0)))

    def read(self, passes: Sequence[ForwardPass], captures: Sequence[Capture], eps: float) -> EchoReading:
        """Turn the captures into derivatives at the achieved `eps`, averaged over the turns."""
        terms: dict[str, Array] = {}
        response, misses = 0.0, []
        for item, turns in zip(passes, self.turns(captures), strict=True):
            answers, stills, ends = [], [], []
            for echoes in turns:
                b = {level: self.geometry.state(capture.last, self.task.step)[0] for level, capture in echoes.items()}
                answers.append(self.estimator.derivative(b, eps))
                stills.append(b[0] if 0 in b else (b[1] + b[-1]) / 2)
                if self.reads_end:
                    ends.append(self.estimator.derivative({level: _end(echo) for level, echo in echoes.items()}, eps))
            answer = np.mean(answers, axis=0)
            end = np.mean(ends, axis=0) if ends else None
            for name, term in self.terms(item, answer, end).items():
                terms[name] = terms[name] + term if name in terms else term
            response += float(np.sum(np.abs(eps * answer) ** 2))
            misses.append(as_real(np.mean(stills, axis=0) - np.conj(item.q)[:, ::-1]))
        return EchoReading(terms, response, tuple(misses))

    def terms(self, item: ForwardPass, answer: Amplitudes, end: Amplitudes | None) -> dict[str, Array]:
        """DL/dtheta of an answer delta (n, steps) in the order of the echo, which ends in `end` (n,)."""
        at_start = np.zeros(self.task.model.size) if end is None else 2j * np.conj(end)
        of_state = dict(zip(STATE, (at_start.real, at_start.imag), strict=True))
        return {
            name: of_state[name]
            if name in STATE
            else -2 * self.task.step * self.model.pulled(name, answer[:, ::-1], item.q, item.u, self.theta).real
            for name in self.wanted
        }


def reversing_flux(task: Task, theta: Arrays) -> dict[str, Array]:
    """What the rig is set to for echoes: each coupling that is not reciprocal the other way round."""
    names = [name for name, spec in task.model.parameters.items() if spec.kind == "directed"]
    values = {name: np.asarray(theta.get(name, task.model.parameters[name].nominal), float) for name in names}
    return {name: -value for name, value in values.items() if value.any()}


def _end(capture: Capture) -> Amplitudes:
    state = capture.last.end_state
    assert state is not None
    return state.position[0] + 1j * state.momentum[0]


def _conjugate(u: Array) -> Array:
    """Terminals I, Q, I, Q ... of the conjugate fields."""
    turned = u.copy()
    turned[1::2] = -turned[1::2]
    return turned


def _replayed(item: ForwardPass) -> tuple[Drive, ...]:
    """What drove a forward pass, backwards and conjugated: the quadrature terminals play the opposite."""
    mirror = (item.steps - 1) * item.program.dt
    found = []
    for drive in item.program.passes[0].drives:
        waveform = drive.waveform
        if drive.port.endswith("_q"):
            waveform = replace(waveform, samples=FrozenArray(-waveform.samples.values))
        found.append(Drive(drive.port, waveform.reversed(mirror), drive.role))
    return tuple(found)
