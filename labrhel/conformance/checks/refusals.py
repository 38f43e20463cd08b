"""What a rig cannot do is refused before anything is sent, in one sentence, by the right class of error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from labrhel.conformance.check import check
from labrhel.conformance.finding import Finding, NotApplicable, holds
from labrhel.conformance.subject import Subject
from labrhel.errors import LabrhelError, LimitError, ProgramError
from labrhel.frozen import FrozenArray
from labrhel.shots.operations import Configure, Operation, RunShots
from labrhel.shots.program import GivenState, Hold, Pass, ShotProgram
from labrhel.shots.waveform import Waveform

_BEYOND = 1.5  # times the end of a range


def refused(subject: Subject, operation: Operation, *classes: type[LabrhelError]) -> list[str]:
    """Problems with the way in which an operation is refused: that it is not, or not before something was sent."""
    handler, counting = subject.counting()
    try:
        handler.do(operation)
    except LabrhelError as error:
        problems = [f"something was sent before the {type(error).__name__}"] * bool(counting.sent)
        problems += [f"{type(error).__name__} is the wrong class: {error}"] * (not isinstance(error, classes))
        return problems + ["the error has no words"] * (not str(error).strip())
    return ["it is carried out"]


def refused_program(subject: Subject, program: ShotProgram, *classes: type[LabrhelError]) -> list[str]:
    """The same of a program; by a ProgramError, unless other classes are named."""
    return refused(subject, RunShots((program,)), *(classes or (ProgramError,)))


@check("an unknown port, channel or observable is refused before anything is sent")
def unknown(subject: Subject) -> Finding:
    """Each by a ProgramError that says what there is."""
    problems = []
    for what, program in (
        ("a port", subject.shot({"no such port": subject.bump()})),
        ("a channel", subject.shot(channels=("no such channel",))),
        ("an observable", subject.shot(observables=("no such observable",))),
    ):
        problems += [f"{what}: {words}" for words in refused_program(subject, program)]
    return holds(problems, "all three")


@check("a value that is no number is refused before anything is sent")
def not_numbers(subject: Subject) -> Finding:
    """NaN and infinity are refused, for a port and for a knob."""
    problems = []
    for value in (np.nan, np.inf):
        for port in subject.ports[:1]:
            try:
                shot = subject.shot({port: np.full(subject.steps, value)})
            except ProgramError:
                continue  # a waveform refuses it before there is a program
            problems += [f"{port}: {words}" for words in refused_program(subject, shot, ProgramError, LimitError)]
        for name, nominal in list(subject.nominal().items())[:1]:
            words = refused(subject, Configure({name: np.full(nominal.shape, value)}), LimitError)
            problems += [f"{name}: {item}" for item in words]
    return holds(problems, "NaN and infinity")


@check("a pass longer than the memory of a port is refused before anything is sent")
def memory(subject: Subject) -> Finding:
    """A waveform that exceeds the board's memory is refused."""
    ports = [(port, depth) for port in subject.capabilities.ports if (depth := port.timing.memory) is not None]
    if not ports:
        raise NotApplicable("no port declares a memory")
    problems = []
    for port, depth in ports:
        steps = 2 * depth + 1
        words = refused_program(subject, subject.shot({port.name: np.zeros(steps)}, steps=steps, channels=()))
        problems += [f"{port.name}: {item}" for item in words]
    return holds(problems, f"{len(ports)} ports")


@check("a step shorter than a port's fastest rate is refused before anything is sent")
def rates(subject: Subject) -> Finding:
    """A rate that the rig lacks is refused rather than replaced by another."""
    ports = [port for port in subject.capabilities.ports if port.timing.rates]
    if not ports:
        raise NotApplicable("ports take any rate")
    problems = []
    for port in ports:
        step = 0.5 / (max(port.timing.rates) * subject.capabilities.time_unit)
        drive = subject.drive(port.name, np.zeros(8))
        short = replace(drive, waveform=replace(drive.waveform, dt=step))
        program = ShotProgram(step, subject.shot().prepare, (Pass(8, (short,)),))
        problems += [f"{port.name}: {item}" for item in refused_program(subject, program)]
    return holds(problems, f"{len(ports)} ports")


@check("a complex waveform on a real port is refused before anything is sent")
def complex_waves(subject: Subject) -> Finding:
    """Only I/Q ports take one."""
    ports = [port.name for port in subject.capabilities.ports if not port.iq]
    if not ports:
        raise NotApplicable("every port is I/Q")
    drive = subject.drive(ports[0], np.zeros(subject.steps))
    turned = replace(drive, waveform=Waveform.of(1j * np.ones(subject.steps), subject.step))
    return holds(refused_program(subject, subject.shot([turned])), ports[0])


@check("a start or a reversal that is not offered is refused before anything is sent")
def not_offered(subject: Subject) -> Finding:
    """Of "state", "hold", the end state, and echoes."""
    declared, n = subject.capabilities, subject.model.size
    still, problems, seen = FrozenArray(np.zeros(n)), [], []
    for name, offered, program in (
        ("state", "state" in declared.prepares, subject.shot(prepare=GivenState(still, still))),
        ("hold", "hold" in declared.prepares, subject.shot(prepare=Hold())),
        ("end state", declared.reads_state, subject.shot(end_state=True)),
        ("echo", _reverses(subject), _echo(subject)),
    ):
        if not offered:
            seen.append(name)
            problems += [f"{name}: {words}" for words in refused_program(subject, program)]
    if not seen:
        raise NotApplicable("the rig offers every start and reverses its state")
    return holds(problems, ", ".join(seen))


def _reverses(subject: Subject) -> bool:
    return bool({"state_restore", "momentum_flip", "conjugation"} & set(subject.capabilities.reversals))


def _echo(subject: Subject) -> ShotProgram:
    first = subject.stretch(channels=())
    return ShotProgram(subject.step, subject.shot().prepare, (first, subject.stretch(echo=True)))


@check("a state of the wrong size is refused before anything is sent")
def wrong_state(subject: Subject) -> Finding:
    """A start state with one oscillator too many is refused."""
    subject.needs_start("state")
    state = FrozenArray(np.zeros(subject.model.size + 1))
    return holds(refused_program(subject, subject.shot(prepare=GivenState(state, state))), "so it is")
