"""Repeats and batches: kept apart, in order, and each what it would be alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from labrhel.conformance.bounds import SIGMAS, readings
from labrhel.conformance.check import check
from labrhel.conformance.finding import Finding, NotApplicable, holds, worst
from labrhel.conformance.subject import Subject
from labrhel.shots.capture import Capture
from labrhel.shots.program import ShotProgram

_REPEATS = 4


@check("repeats agree within the declared noise")
def agree(subject: Subject) -> Finding:
    """Each repeat is compared with the first."""
    capture = _repeated(subject)
    others = (readings(capture, repeat=repeat) for repeat in range(1, _REPEATS))
    return worst((subject.compare(other, readings(capture)) for other in others), "nothing is read")


@check("repeats are measured each for itself, not one buffer handed out again or averaged")
def apart(subject: Subject) -> Finding:
    """Where noise is declared that the converter can show, no two repeats are equal, nor quieter than one reading."""
    names = _noisy(subject)
    capture, problems = _repeated(subject), []
    for name in names:
        values = np.asarray(capture.last.traces[name].values)
        equal = np.array_equal(values[0], values[1]) or np.array_equal(values[-1], values[0])
        problems += [f"repeats of {name} are equal"] * bool(equal)
        spread = float(np.sqrt(np.var(values, axis=0, ddof=1).mean()))
        samples = values.shape[1] * (_REPEATS - 1)
        if spread < 0.5 * subject.noise(name) and samples > 2 * (2 * SIGMAS) ** 2:
            problems.append(f"{name} spreads by {spread:.3g} over its repeats, a reading by {subject.noise(name):.3g}")
    return holds(problems, f"on {len(names)} channels")


def _noisy(subject: Subject) -> list[str]:
    """Channels whose noise moves their last bit."""
    names = [name for name in subject.readable if subject.noise(name) > subject.code(name) / 2]
    if not names:
        raise NotApplicable("no channel declares a noise above half of its code")
    return names


def _repeated(subject: Subject) -> Capture:
    port = subject.ports[0]
    return subject.run(subject.shot({port: subject.pulse(port)}, repeats=_REPEATS))[0]


@check("every shot is measured anew")
def fresh(subject: Subject) -> Finding:
    """Where noise is declared, two shots are never equal, nor is a shot to the one after another drive."""
    names, port = _noisy(subject), subject.ports[0]
    shots = [subject.run(subject.shot({port: subject.pulse(port)}))[0] for _ in range(2)]
    first, second = (readings(capture) for capture in shots)
    return holds([f"{name} is the same twice" for name in names if np.array_equal(first[name], second[name])], "it is")


def _different(subject: Subject) -> list[ShotProgram]:
    """Shots that differ in what they play and how long they last."""
    programs = []
    for number in range(6):
        port = subject.ports[number % len(subject.ports)]
        size = (1.0, -0.5, 0.25, -1.0, 0.5, -0.25)[number]
        steps = subject.steps // (2 if number in (1, 4) else 1)
        programs.append(subject.shot({port: size * subject.pulse(port)[:steps]}, steps=steps))
    return programs


@check("a batch answers every shot as if it were alone")
def batch(subject: Subject) -> Finding:
    """Six shots are fired together and one by one."""
    programs = _different(subject)
    together, alone = subject.run(*programs), subject.run(*programs, fixed=True)
    return worst(_pairwise(subject, together, alone), "no shots")


def _pairwise(subject: Subject, found: list[Capture], wanted: list[Capture]) -> Iterator[Finding]:
    for number, (one, other) in enumerate(zip(found, wanted, strict=True), 1):
        a, b = readings(one), readings(other)
        if any(a[name].shape != b[name].shape for name in a):
            yield Finding(f"the capture of shot {number} has another length than that shot", 1.0)
        else:
            yield subject.compare(a, b)


@check("a batch is answered in the order in which it was asked")
def order(subject: Subject) -> Finding:
    """By the shots that the captures name, and by what they hold."""
    programs = _different(subject)
    captures = subject.run(*programs)
    if [item.shot.program for item in captures] != programs:
        return Finding("the captures name the shots in another order", 1.0)
    expected = [subject.expected(item) for item in captures]
    for number, capture in enumerate(captures):
        read = readings(capture)
        if any(values.shape != expected[number][name].shape for name, values in read.items()):
            return Finding(f"the capture of shot {number + 1} has the length of another", 1.0)
    return worst((subject.against_model(item) for item in captures), "no shots")


@check("shots that are equal are answered each")
def equal(subject: Subject) -> Finding:
    """The same shot is fired three times in one batch."""
    port = subject.ports[0]
    captures = subject.run(*[subject.shot({port: subject.pulse(port)})] * 3)
    if len(captures) != 3:
        return Finding(f"{len(captures)} captures for 3 shots", 1.0)
    return worst((subject.compare(readings(item), readings(captures[0])) for item in captures[1:]), "no shots")


@check("no shots are answered by no captures")
def empty(subject: Subject) -> Finding:
    """An empty batch is no error."""
    captures = subject.rig.run([])
    return holds([f"by {captures!r}"] * (captures != []), "by none")
