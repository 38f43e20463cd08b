"""Observables that the rig accumulates itself, against its own traces."""

from __future__ import annotations

import numpy as np

from labrhel.arrays import Array
from labrhel.conformance.bounds import ROUNDING
from labrhel.conformance.check import check
from labrhel.conformance.finding import Finding, NotApplicable, holds, worst
from labrhel.conformance.subject import Subject
from labrhel.shots.capture import Capture
from labrhel.shots.program import Rest, ShotProgram


def _names(subject: Subject) -> tuple[str, ...]:
    names = tuple(sorted(subject.capabilities.accumulates))
    if not names:
        raise NotApplicable("the rig accumulates no observables")
    return names


def _drives(subject: Subject) -> dict[str, Array]:
    ports = subject.ports[:2]
    return {port: subject.pulse(port) / len(ports) for port in ports}


def _wanted(subject: Subject, capture: Capture, index: int = -1) -> dict[str, Array]:
    """What the model sums over its own prediction."""
    motion = subject.predict(capture, index)
    return subject.model.observables(_names(subject), motion.q, motion.v, motion.u, subject.step, subject.theta)


def _compared(subject: Subject, capture: Capture, index: int = -1) -> Finding:
    findings, wanted = [], _wanted(subject, capture, index)
    for name, expected in wanted.items():
        found = np.asarray(capture.passes[index].observables[name])[0]
        # sums of squares: a relative error of the motion counts twice
        allowed = (2 * subject.tolerance + ROUNDING) * float(np.abs(expected).max())
        off = float(np.abs(found - expected).max())
        findings.append(Finding(f"{name} is off by {off:.3g} of {np.abs(expected).max():.3g}", off, allowed))
    return worst(findings, "no observables")


@check("observables have the shape of their parameter, one for each repeat")
def shapes(subject: Subject) -> Finding:
    """(repeats, *shape)."""
    names = _names(subject)
    capture = subject.run(subject.shot(_drives(subject), observables=names, repeats=2))[0]
    problems = []
    for name in names:
        wanted = (2, *subject.model.parameters[name].shape)
        found = np.shape(capture.last.observables[name]) if name in capture.last.observables else None
        problems += [f"{name} has shape {found}, not {wanted}"] * (found != wanted)
    return holds(problems, f"{len(names)} observables")


@check("observables are sum_k dt dH/dtheta of the motion")
def values(subject: Subject) -> Finding:
    """All of them in one shot."""
    names = _names(subject)
    return _compared(subject, subject.run(subject.shot(_drives(subject), observables=names))[0])


@check("observables of a pass are of that pass alone")
def by_pass(subject: Subject) -> Finding:
    """The sum begins at zero in every pass."""
    names = _names(subject)
    part = subject.stretch(_drives(subject), observables=names)
    capture = subject.run(ShotProgram(subject.step, Rest(), (part, part)))[0]
    return worst((_compared(subject, capture, index) for index in (0, 1)), "no observables")


@check("observables are the same whether traces are read or not, and with whatever others")
def alone(subject: Subject) -> Finding:
    """Each sum is asked for by itself, without traces."""
    names = _names(subject)
    whole = subject.run(subject.shot(_drives(subject), observables=names))[0]
    findings = []
    for name in names:
        one = subject.run(subject.shot(_drives(subject), observables=(name,), channels=()))[0]
        found, expected = (np.asarray(item.last.observables[name]) for item in (one, whole))
        size = float(np.abs(expected).max())
        findings.append(Finding(f"{name} differs", float(np.abs(found - expected).max()), ROUNDING * size))
    return worst(findings, "no observables")
