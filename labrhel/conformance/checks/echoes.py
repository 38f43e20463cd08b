"""Time reversal: un-nudged echoes retrace, by every way that the rig offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from labrhel.arrays import Array
from labrhel.conformance.bounds import readings
from labrhel.conformance.check import check
from labrhel.conformance.finding import Finding, NotApplicable, worst
from labrhel.conformance.subject import Subject
from labrhel.errors import ConfigurationError, LimitError, ProgramError
from labrhel.model.preparation import preparation
from labrhel.rig.capabilities import Kind, Reversal
from labrhel.shots.capture import Capture
from labrhel.shots.operations import RunShots
from labrhel.shots.program import Drive, Pass, Prepare, Rest, Role, ShotProgram

_IN_PLACE = (Reversal.STATE_RESTORE, Reversal.MOMENTUM_FLIP)


@dataclass(frozen=True, slots=True)
class _Echo:
    """A forward pass that was run and kept, and how to run echoes of it."""

    subject: Subject
    forward: Capture
    reversal: Reversal

    def run(self, nudge: dict[str, Array] | None = None) -> Capture:
        """The echo under the mirrored drives, the compensation of friction, and a nudge by port."""
        return self.batch([nudge or {}])[0]

    def batch(self, nudges: Sequence[dict[str, Array]]) -> list[Capture]:
        """Echoes with several nudges, fired as one operation."""
        programs = tuple(self._program(nudge) for nudge in nudges)
        return self.subject.handler(self.reversal).do(RunShots(programs))

    def _program(self, nudge: dict[str, Array]) -> ShotProgram:
        subject, program = self.subject, self.forward.shot.program
        first = program.passes[0]
        mirror = (first.steps - 1) * subject.step
        drives = [Drive(item.port, item.waveform.reversed(mirror), item.role) for item in first.drives]
        drives += _compensation(subject, self.forward)
        drives += [subject.drive(port, values, Role.NUDGE) for port, values in nudge.items()]
        echo = subject.stretch(drives, steps=first.steps, echo=True)
        return ShotProgram(subject.step, program.prepare, (Pass(first.steps, first.drives, keep=True), echo))

    def miss(self, echo: Capture) -> Finding:
        """How far an echo is from the forward pass played backwards, velocities with the other sign."""
        read, subject = readings(self.forward), self.subject
        sign = {name: 1 if name in subject.positions else -1 for name in read}
        mirrored = {name: sign[name] * values[::-1] for name, values in read.items()}
        return subject.compare(readings(echo), mirrored, share=subject.tolerance)


def _echo(subject: Subject, reversal: Reversal, *, inverted: bool = False, prepare: Prepare | None = None) -> _Echo:
    """A forward pass under all inputs, by one way to reverse; a rig that offers it is needed."""
    if reversal not in subject.capabilities.reversals:
        raise NotApplicable(f"the rig does not reverse by {reversal}")
    drives = _drives(subject, inverted=inverted)
    program = subject.shot(drives, keep=True, prepare=Rest() if prepare is None else prepare)
    return _Echo(subject, subject.handler(reversal).do(RunShots((program,)))[0], reversal)


def _drives(subject: Subject, *, inverted: bool) -> dict[str, Array]:
    """Two ports at most, at different times: a trajectory that is not its own mirror image."""
    sign, ports = -1 if inverted else 1, (subject.ports[0], subject.ports[-1])
    return {port: sign * np.roll(subject.pulse(port), subject.steps // 3 * k) / 2 for k, port in enumerate(ports)}


def _compensation(subject: Subject, forward: Capture) -> list[Drive]:
    """-2 G v of the nominal model, mirrored, on rigs that lose energy."""
    friction = subject.model.friction(subject.theta)
    if not friction.any():
        return []
    force = -2 * friction @ subject.predict(forward).v[:, ::-1]
    return _on_ports(subject, force, Role.COMPENSATION)


def _on_ports(subject: Subject, force: Array, role: Role) -> list[Drive]:
    matrix = subject.capabilities.drive_matrix.values
    if np.linalg.matrix_rank(matrix) < subject.model.size:
        raise NotApplicable("the force ports do not reach every oscillator")
    values = np.linalg.pinv(matrix) @ force
    return [subject.drive(port, row, role) for port, row in zip(subject.forces, values, strict=True)]


def _in_place(subject: Subject) -> Reversal:
    """A way to reverse during a shot."""
    for reversal in _IN_PLACE:
        if reversal in subject.capabilities.reversals:
            return reversal
    raise NotApplicable("the rig cannot reverse its state during a shot")


@check("an un-nudged echo by momentum flip retraces the forward pass")
def flip(subject: Subject) -> Finding:
    """Positions run backwards, velocities with the other sign."""
    echo = _echo(subject, Reversal.MOMENTUM_FLIP)
    return echo.miss(echo.run())


@check("an un-nudged echo by store and restore retraces the forward pass")
def restore(subject: Subject) -> Finding:
    """The same from the stored end state."""
    echo = _echo(subject, Reversal.STATE_RESTORE)
    return echo.miss(echo.run())


@check("an echo from a state prepared by drive retraces the forward pass")
def by_drive(subject: Subject) -> Finding:
    """From rest, the nominal model's inverse dynamics plays the rig into the reversed end state."""
    if Reversal.BY_DRIVE not in subject.capabilities.reversals and subject.capabilities.reversals:
        raise NotApplicable("the rig reverses its state itself")
    forward = subject.run(subject.shot(_drives(subject, inverted=False)))[0]
    end = subject.predict(forward)
    wanted = end.end_position, -end.end_momentum
    prepared = preparation(subject.model, subject.theta, *wanted, subject.step, subject.steps)
    before = Pass(subject.steps, tuple(_on_ports(subject, prepared.force, Role.PREPARATION)))
    first = forward.shot.program.passes[0]
    mirror = (first.steps - 1) * subject.step
    back = [Drive(item.port, item.waveform.reversed(mirror), item.role) for item in first.drives]
    program = ShotProgram(subject.step, Rest(), (before, subject.stretch([*back, *_compensation(subject, forward)])))
    try:
        echo = subject.run(program)[0]
    except (ProgramError, LimitError) as error:
        raise NotApplicable(f"the preparation takes more drive than there is: {error}") from None
    return _Echo(subject, forward, Reversal.BY_DRIVE).miss(echo)


@check("a restored state and a flipped one give the same echo")
def same(subject: Subject) -> Finding:
    """Two ways of reversing end in one state."""
    flipped, restored = (_echo(subject, reversal).run() for reversal in reversed(_IN_PLACE))
    return subject.compare(readings(restored), readings(flipped))


@check("an echo is that of its own forward pass, whatever ran in between")
def own(subject: Subject) -> Finding:
    """Two forward passes are kept, one after the other, and the first is echoed."""
    reversal = _in_place(subject)
    first = _echo(subject, reversal)
    second = _echo(subject, reversal, inverted=True)
    return worst((echo.miss(echo.run()) for echo in (first, second, first)), "no echo")


@check("an echo after a knob was turned is that of the new parameters")
def turned(subject: Subject) -> Finding:
    """A stored state belongs to the parameters under which it was reached."""
    reversal = _in_place(subject)
    echo = _echo(subject, reversal)
    spec = subject.model.parameters
    for name, value in subject.nominal().items():
        if spec[name].kind == "potential" and np.any(value):
            try:
                subject.configure({name: 1.2 * value})
                return subject.against_model(echo.run())
            except (LimitError, ConfigurationError, ProgramError):
                continue
            finally:
                subject.set_nominal()
    raise NotApplicable("no knob of the potential can be turned up by a fifth")


@check("nudges of either sign push the echo either way, each as the model says")
def nudged(subject: Subject) -> Finding:
    """Both echoes as one batch."""
    echo, port = _echo(subject, _in_place(subject)), subject.forces[0]
    push = subject.pulse(port) / 4
    captures = echo.batch([{port: push}, {port: -push}, {}])
    return worst((subject.against_model(capture) for capture in captures), "no echo")


@check("an echo replays the input backwards")
def replayed(subject: Subject) -> Finding:
    """Only the input's last kicks are driven, so that it must be heard at the echo's first."""
    reversal, port = _in_place(subject), subject.ports[0]
    push = np.roll(subject.pulse(port), subject.steps - subject.pulse_end)
    forward = subject.handler(reversal).do(RunShots((subject.shot({port: push}, keep=True),)))[0]
    return subject.against_model(_Echo(subject, forward, reversal).run())


@check("an echo is read in its own pass, the forward pass in its own")
def passes(subject: Subject) -> Finding:
    """Both are read in one shot."""
    reversal = _in_place(subject)
    echo = _echo(subject, reversal)
    program = echo.run().shot.program
    both = replace(program, passes=(replace(program.passes[0], acquire=program.passes[1].acquire), program.passes[1]))
    capture = subject.handler(reversal).do(RunShots((both,)))[0]
    return worst((subject.against_model(capture, index) for index in (0, 1)), "no echo")


@check("an echo leaves the rig at rest, where the forward pass began")
def home(subject: Subject) -> Finding:
    """The last sample of the echo, and the state half a step later, are those of the start."""
    echo = _echo(subject, _in_place(subject))
    read = readings(echo.run())
    last = {name: values[-subject.onset :] for name, values in read.items()}
    start = {name: values[: subject.onset][::-1] for name, values in readings(echo.forward).items()}
    sizes = {name: float(np.abs(read[name]).max()) for name in read}
    findings = []
    for name, values in last.items():
        sign = 1 if subject.channel_at(name).kind is Kind.POSITION else -1
        miss = float(np.sqrt(np.mean((values - sign * start[name]) ** 2)))
        allowed = subject.slack(name, values, 2) + subject.tolerance * max(sizes.values())
        findings.append(Finding(f"{name} ends {miss:.3g} from rest", miss, allowed))
    return worst(findings, "no echo")
