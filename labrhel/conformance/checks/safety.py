"""Abort, errors, closing and opening: outputs end safe, and the rig goes on as before."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from labrhel.conformance.bounds import readings
from labrhel.conformance.check import check
from labrhel.conformance.finding import Finding, NotApplicable, holds, worst
from labrhel.conformance.subject import Subject
from labrhel.errors import LabrhelError
from labrhel.shots.capture import Capture

_PATIENCE = 60.0  # s, for a thread that should end by itself; only a rig that hangs waits so long


@check("after `make_safe` nothing pushes: a rig at rest stays there")
def quiet(subject: Subject) -> Finding:
    """The rig is silent right after a strong shot on every port."""
    findings = []
    for port in subject.ports:
        subject.run(subject.shot({port: subject.pulse(port)}))
        subject.rig.make_safe()
        capture = subject.run(subject.shot())[0]
        findings.append(subject.compare(readings(capture), subject.expected(capture), traces=1))
    return worst(findings, "no ports")


@check("`make_safe` may be called twice, and the rig answers as before")
def twice(subject: Subject) -> Finding:
    """Nothing is latched by it."""
    subject.rig.make_safe()
    subject.rig.make_safe()
    return _as_before(subject)


@check("after `make_safe` every knob that has a safe state reads back there")
def knobs_safe(subject: Subject) -> Finding:
    """To its resolution, or a thousandth of its range, or of its value where that has no end."""
    findings = []
    knobs = [knob for knob in subject.capabilities.knobs if knob.safe and knob.reads_back]
    if not knobs:
        raise NotApplicable("no knob that reads back has a safe state")
    subject.rig.make_safe()
    for knob in knobs:
        found = np.ravel(subject.rig.read([knob.name])[knob.name])
        off = float(np.abs(found - [state.value for state in knob.safe]).max())
        span = knob.limits.high - knob.limits.low
        scale = span if np.isfinite(span) else max(abs(state.value) for state in knob.safe)
        findings.append(Finding(f"{knob.name} is off by {off:.3g}", off, max(knob.resolution, 1e-3 * scale)))
    subject.set_nominal()
    return worst(findings, "no knob that reads back has a safe state")


def _as_before(subject: Subject) -> Finding:
    port = subject.ports[-1]
    before = readings(subject.answer(port))
    capture = subject.run(subject.shot({port: subject.pulse(port)}))[0]
    return subject.compare(readings(capture), before)


@check("`make_safe` from another thread ends or outlives a running shot, and the rig answers as before")
def abort(subject: Subject) -> Finding:
    """The shot ends in a capture or in an error of labrhel's, and both threads end."""
    port = subject.ports[0]
    shot = subject.shot({port: subject.pulse(port)}, repeats=20)
    ended, trouble = _beside(lambda: subject.run(shot), subject.rig.make_safe)
    if not ended:
        return Finding("a thread hangs", 1.0)
    if trouble:
        return Finding(trouble, 1.0)
    subject.set_nominal()
    return _as_before(subject)


def _beside(shoot: Callable[[], list[Capture]], stop: Callable[[], None]) -> tuple[bool, str]:
    """Both at once; whether both ended, and an error that is none of labrhel's."""
    trouble: list[str] = []

    def guarded(act: Callable[[], object], *allowed: type[Exception]) -> None:
        try:
            act()
        except allowed:
            pass
        except Exception as error:  # a finding, whatever it is
            trouble.append(f"{type(error).__name__}: {error}")

    threads = [
        threading.Thread(target=guarded, args=(shoot, LabrhelError), daemon=True),
        threading.Thread(target=guarded, args=(stop,), daemon=True),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_PATIENCE)
    return not any(thread.is_alive() for thread in threads), "; ".join(trouble)


@check("a shot may come from another thread than the one that opened the rig")
def other_thread(subject: Subject) -> Finding:
    """Runs are trained in the background of a notebook."""
    port, captures = subject.ports[0], []
    shot = subject.shot({port: subject.pulse(port)})
    ended, trouble = _beside(lambda: captures.extend(subject.run(shot)) or captures, lambda: None)
    if not ended or trouble or not captures:
        return Finding(trouble or "the shot does not end", 1.0)
    return subject.compare(readings(captures[0]), readings(subject.answer(port)))


@check("a refused shot leaves the rig as it was")
def after_refusal(subject: Subject) -> Finding:
    """Among good ones, so that nothing of the batch may be played."""
    port = subject.ports[0]
    try:
        subject.run(subject.shot({port: subject.pulse(port)}), subject.shot(channels=("no such channel",)))
    except LabrhelError:
        return _as_before(subject)
    return Finding("the unknown channel is read", 1.0)


@check("a refusal is one sentence that names what was asked")
def words(subject: Subject) -> Finding:
    """No traceback, no line of code, and the name of the offender."""
    problems = []
    for act in (
        lambda: subject.rig.read(["no such thing"]),
        lambda: subject.run(subject.shot(channels=("no such thing",))),
    ):
        try:
            act()
            problems.append("nothing is refused")
        except LabrhelError as error:
            text = str(error)
            problems += [f"it has several lines: {text!r}"] * ("\n" in text or "Traceback" in text)
            problems += [f"it does not name it: {text!r}"] * ("no such thing" not in text)
    return holds(problems, "it is")


@check("the declaration does not change while the rig is used")
def steady(subject: Subject) -> Finding:
    """Programs that are compiled already count on it."""
    before = subject.capabilities.digest
    _as_before(subject)
    subject.rig.make_safe()
    return holds(["it has"] * (subject.capabilities.digest != before), "it stands")


@check("`close` may be called twice, and `make_safe` after it")
def closing(subject: Subject) -> Finding:
    """Every exit path calls them, and some call both."""
    subject.rig.close()
    problems = []
    for what, again in (("close", subject.rig.close), ("make_safe", subject.rig.make_safe)):
        try:
            again()
        except LabrhelError as error:  # a lost link would be another matter, but this one was given back
            problems.append(f"{what} raises {type(error).__name__}: {error}")
    subject.reopen()
    return holds(problems, "they may")


@check("a rig that is opened again is the same rig, with the same firmware")
def same(subject: Subject) -> Finding:
    """The rig that is opened again declares the same."""
    subject.rig.close()
    subject.reopen()
    before, after = subject.first_declared, subject.capabilities
    problems = [f"it is {after.rig}, and was {before.rig}"] * (after.rig != before.rig)
    problems += [f"firmware {after.firmware!r}, and was {before.firmware!r}"] * (after.firmware != before.firmware)
    problems += ["it declares other things"] * (not problems and after.digest != before.digest)
    return holds(problems, f"{after.rig} {after.firmware}".strip())


@check("a rig that is opened again answers as before, once its knobs are set")
def answers_again(subject: Subject) -> Finding:
    """Nothing that counts is lost with the link."""
    subject.rig.close()
    subject.reopen()
    return _as_before(subject)


@check("opening a rig pushes nothing")
def opening(subject: Subject) -> Finding:
    """The rig is silent right after opening."""
    subject.rig.close()
    subject.reopen()
    capture = subject.run(subject.shot())[0]
    return subject.compare(readings(capture), subject.expected(capture), traces=1)
