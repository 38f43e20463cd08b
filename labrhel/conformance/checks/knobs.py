"""Knobs: set, read back, felt by the rig, and left alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from labrhel.arrays import Array
from labrhel.conformance.bounds import ROUNDING, SIGMAS, readings
from labrhel.conformance.check import check
from labrhel.conformance.finding import Finding, NotApplicable, holds, worst
from labrhel.conformance.subject import Subject
from labrhel.errors import ConfigurationError, LabrhelError, LimitError, ProgramError
from labrhel.rig.capabilities import Knob

_TURN = 0.1  # of the nominal value, or of the unit where that is zero
_HALF = 0.5  # ignored is 0, half or double is a wrong unit, -1 a wrong sign
_REFUSED = (LimitError, ConfigurationError, ProgramError)


def _knobs(subject: Subject) -> tuple[Knob, ...]:
    if not subject.capabilities.knobs:
        raise NotApplicable("the rig has no knobs")
    return subject.capabilities.knobs


def _turned(subject: Subject) -> Iterator[tuple[str, Array, Array]]:
    """Each knob in turn: its parameter's name, the value asked for, and the one achieved; then nominal again.

    Values that a rig refuses by name are left out: an integer core without friction need not take any.
    """
    for name, nominal in subject.nominal().items():
        more = _TURN * nominal if np.any(nominal) else _TURN * (np.eye(*nominal.shape) if nominal.ndim == 2 else 1)
        try:
            achieved = subject.configure({name: nominal + more})
            yield name, nominal + more, np.asarray(achieved[name], float)
        except _REFUSED:
            continue
        finally:
            subject.set_nominal()


def _resolution(subject: Subject, name: str, value: Array) -> float:
    """Half a step of the knob, in parameters, or what single precision leaves."""
    knob = subject.capabilities.knob(name)
    jacobian = np.abs(np.linalg.inv(subject.wiring.jacobian(name, max(1, value.size)))).sum(axis=1).max()
    return float(knob.resolution / 2 * jacobian + ROUNDING * np.abs(value).max())


@check("`configure` answers with the values achieved, each of the shape of its knob")
def answers(subject: Subject) -> Finding:
    """The rig answers for all knobs at once."""
    shapes = {knob.name: knob.shape for knob in _knobs(subject)}
    achieved = subject.configure(subject.nominal())
    problems = [f"no answer for {name}" for name in shapes if name in subject.nominal() and name not in achieved]
    problems += [f"{n} has shape {np.shape(v)}" for n, v in achieved.items() if np.shape(v) != shapes.get(n)]
    return holds(problems, f"{len(shapes)} knobs")


@check("a knob takes the value that it was given, to its resolution")
def takes(subject: Subject) -> Finding:
    """Where no resolution is declared, to a hundredth of the turn."""
    _knobs(subject)
    findings = []
    for name, asked, achieved in _turned(subject):
        turn = float(np.abs(asked - subject.nominal()[name]).max())
        off = float(np.abs(achieved - asked).max())
        findings.append(Finding(f"{name} is off by {off:.3g}", off, 2 * _resolution(subject, name, asked) + turn / 100))
    return worst(findings, "the rig lets no knob be turned up by a tenth")


@check("what reads back says what was achieved")
def reads_back(subject: Subject) -> Finding:
    """Knobs read back after each of two settings."""
    names = [knob.name for knob in _knobs(subject) if knob.reads_back and knob.name in subject.nominal()]
    if not names:
        raise NotApplicable("no knob reads back")
    findings = []
    for name, asked, achieved in _turned(subject):
        if name in names:
            findings.append(_read(subject, name, asked, achieved))
    nominal = subject.configure(subject.nominal())
    findings += [_read(subject, name, subject.nominal()[name], np.asarray(nominal[name])) for name in names]
    return worst(findings, "no knob that reads back can be turned")


def _read(subject: Subject, name: str, asked: Array, achieved: Array) -> Finding:
    raw = subject.rig.read([name])[name]
    found = np.asarray(subject.wiring.to_parameters({name: raw})[name], float)
    if found.shape != achieved.shape:
        return Finding(f"{name} reads back with shape {found.shape}", 1.0)
    off = float(np.abs(found - achieved).max())
    return Finding(f"{name} reads back off by {off:.3g}", off, 2 * _resolution(subject, name, asked))


@check("turning a knob changes the answer as the model says")
def felt(subject: Subject) -> Finding:
    """The share of the predicted change that is there, on the port where the knob is felt most."""
    _knobs(subject)
    findings = []
    before = {port: _flat(subject, subject.expected(subject.answer(port))) for port in subject.ports}
    for name, _, _ in _turned(subject):
        change = {port: _flat(subject, subject.expected(subject.answer(port))) - before[port] for port in before}
        port = max(change, key=lambda item: float(np.linalg.norm(change[item])))
        size = float(change[port] @ change[port])
        sigma = np.sqrt(2) * max(subject.sigma(item) for item in subject.positions)
        if not size or SIGMAS * sigma / np.sqrt(size) > _HALF / 2:
            continue
        found = readings(subject.run(subject.shot({port: subject.pulse(port)}))[0])
        moved = _flat(subject, found) - _flat(subject, readings(subject.answer(port)))
        share = float(moved @ change[port]) / size
        words = f"{name} changes the answer to {port} by {share:.2f} of what the model says"
        findings.append(Finding(words, abs(share - 1), _HALF + SIGMAS * sigma / np.sqrt(size)))
    return worst(findings, "no knob can be turned so far that its effect stands out from the declared noise")


def _flat(subject: Subject, traces: dict[str, Array]) -> Array:
    return np.concatenate([traces[name] for name in subject.positions])


@check("set back to nominal, the rig answers as before")
def back(subject: Subject) -> Finding:
    """The rig is the same after every knob was turned up and down."""
    _knobs(subject)
    for _ in _turned(subject):
        pass
    port = subject.ports[0]
    capture = subject.run(subject.shot({port: subject.pulse(port)}))[0]
    return subject.compare(readings(capture), readings(subject.answer(port)))


@check("a knob leaves the others where they are")
def others(subject: Subject) -> Finding:
    """All knobs are read back after each is turned."""
    names = [knob.name for knob in _knobs(subject) if knob.reads_back and knob.name in subject.nominal()]
    if len(names) < 2:
        raise NotApplicable("fewer than two knobs read back")
    before, findings = subject.rig.read(names), []
    for turned, _, _ in _turned(subject):
        now = subject.rig.read(names)
        for name in names:
            if name != turned:
                off = float(np.abs(np.asarray(now[name]) - before[name]).max())
                findings.append(
                    Finding(f"{turned} moves {name}", off, _resolution(subject, name, np.asarray(before[name])))
                )
    return worst(findings, "no knob can be turned")


@check("an unknown knob is refused by name, and nothing is turned")
def unknown(subject: Subject) -> Finding:
    """An unknown knob is refused together with a known one, and for reading."""
    names = [knob.name for knob in subject.capabilities.knobs if knob.reads_back and knob.name in subject.nominal()]
    before = subject.rig.read(names)
    turned = {name: 1.05 * np.asarray(before[name]) for name in names[:1]}
    problems = []
    for what, ask in (
        ("configure", lambda: subject.rig.configure({**turned, "no such knob": np.array(1.0)})),
        ("read", lambda: subject.rig.read(["no such knob"])),
    ):
        try:
            ask()
            problems.append(f"{what} takes it")
        except LabrhelError as error:
            problems += [f"{what} does not say which"] * ("no such knob" not in str(error))
    after = subject.rig.read(names)
    problems += [f"{name} was turned all the same" for name in names if not np.array_equal(before[name], after[name])]
    subject.set_nominal()
    return holds(problems, "by both")


@check("a value of the wrong shape is refused, and nothing is turned")
def shape(subject: Subject) -> Finding:
    """A setting with one entry too many is refused."""
    names = [knob.name for knob in _knobs(subject) if knob.shape and knob.reads_back and knob.name in subject.nominal()]
    if not names:
        raise NotApplicable("no knob with several entries reads back")
    before, problems = subject.rig.read(names), []
    for name in names:
        wrong = np.ones((before[name].shape[0] + 1, *before[name].shape[1:]))
        try:
            subject.rig.configure({name: wrong})
            problems.append(f"{name} takes {wrong.shape}")
        except LabrhelError:
            pass
    after = subject.rig.read(names)
    problems += [f"{name} was turned all the same" for name in names if not np.array_equal(before[name], after[name])]
    subject.set_nominal()
    return holds(problems, "of every knob")
