"""How answers add: waveforms on one port, ports with each other, halves of a push, and nothing at all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from labrhel.arrays import Array
from labrhel.conformance.bounds import readings
from labrhel.conformance.check import check
from labrhel.conformance.finding import Finding, NotApplicable, worst
from labrhel.conformance.subject import Subject
from labrhel.shots.capture import Capture
from labrhel.shots.program import Role


@check("from rest, with nothing played, a channel shows its declared noise")
def silence(subject: Subject) -> Finding:
    """Without a drive the rig shows only what a constant force of the model does."""
    return _against_model(subject, subject.run(subject.shot())[0])


def _against_model(subject: Subject, capture: Capture) -> Finding:
    """Compare with the model in absolute terms: there is no signal to take a share of."""
    return subject.compare(readings(capture), subject.expected(capture), traces=1)


@check("a waveform of zeros is the same as none")
def zeros(subject: Subject) -> Finding:
    """An output that is switched on for it may have an offset."""
    still = np.zeros(subject.steps)
    silent, played = subject.run(subject.shot(), subject.shot(dict.fromkeys(subject.ports, still)))
    return subject.compare(readings(played), readings(silent))


@check("half a push is answered by the half, but for what the model is bent")
def halves(subject: Subject) -> Finding:
    """Twice the answer to the half, minus the answer to the whole."""
    findings = []
    for port in subject.ports:
        half = subject.run(subject.shot({port: subject.pulse(port) / 2}))[0]
        findings.append(
            _combined(subject, [half, half, subject.answer(port)], lambda parts: parts[0] + parts[1] - parts[2])
        )
    return worst(findings, "no port moves the model")


@check("two ports together are answered by the sum, but for what the model is bent")
def ports_add(subject: Subject) -> Finding:
    """Each port plays half its pulse, alone and together."""
    ports = subject.ports
    if len(ports) < 2:
        raise NotApplicable("only one port moves the model")
    findings = []
    for first, second in zip(ports, (*ports[1:], ports[0]), strict=True):
        pushes = {name: subject.pulse(name) / 2 for name in (first, second)}
        shots = [subject.shot(pushes), *(subject.shot({name: push}) for name, push in pushes.items())]
        captures = subject.run(*shots)
        findings.append(_combined(subject, captures, lambda parts: parts[0] - parts[1] - parts[2]))
    return worst(findings, "no two ports")


def _combined(subject: Subject, captures: list[Capture], mix: Callable[[list[Array]], Array]) -> Finding:
    """A sum of answers against the same sum of predictions; as good as the model is for the largest answer."""
    found = [readings(capture) for capture in captures]
    wanted = [subject.expected(capture) for capture in captures]
    findings = []
    for kind in (subject.positions, tuple(name for name in subject.readable if name not in subject.positions)):
        largest = max((float(np.sqrt(np.mean(part[name] ** 2))) for part in wanted for name in kind), default=0.0)
        for name in kind:
            off = mix([part[name] for part in found]) - mix([part[name] for part in wanted])
            size = float(np.sqrt(np.mean(off**2)))
            allowed = subject.slack(name, wanted[0][name], len(captures)) + subject.tolerance * largest
            findings.append(Finding(f"{name} is off by {size:.3g} rms of {largest:.3g}", size, allowed))
    return worst(findings, "nothing is read")


@check("waveforms on one port add")
def waveforms_add(subject: Subject) -> Finding:
    """An input and a nudge on the same output, against their sum as one waveform."""
    findings = []
    for port in subject.ports:
        whole, late = subject.pulse(port), np.roll(subject.pulse(port), subject.steps // 8)
        parts = [subject.drive(port, whole / 2), subject.drive(port, late / 2, Role.NUDGE)]
        apart, summed = subject.run(subject.shot(parts), subject.shot({port: (whole + late) / 2}))
        findings.append(subject.compare(readings(apart), readings(summed)))
    return worst(findings, "no port moves the model")


@check("a waveform is played from its first sample to its last")
def ends(subject: Subject) -> Finding:
    """A push that lasts the whole pass, against the model: a sample that is lost at either end is missed."""
    findings = []
    for port in subject.ports:
        edges = np.zeros(subject.steps)
        edges[0] = edges[-1] = edges[-2] = subject.amplitude(port)
        capture = subject.run(subject.shot({port: edges}))[0]
        findings.append(subject.against_model(capture))
    return worst(findings, "no port moves the model")
