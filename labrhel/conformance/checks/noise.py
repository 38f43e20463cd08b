"""Steadiness: two shots alike, ten shots alike, noise as declared and of each channel its own."""

from __future__ import annotations

import itertools

import numpy as np

from labrhel.conformance.bounds import ROUNDING, SIGMAS, readings, rms
from labrhel.conformance.check import check
from labrhel.conformance.finding import Finding, NotApplicable, worst
from labrhel.conformance.subject import Subject

_SHOTS = 10


@check("two identical shots agree within the declared noise")
def twice(subject: Subject) -> Finding:
    """On every port, against the answer that was taken first."""
    captures = subject.run(*(subject.shot({port: subject.pulse(port)}) for port in subject.ports), fixed=True)
    pairs = zip(subject.ports, captures, strict=True)
    return worst((subject.compare(readings(c), readings(subject.answer(p))) for p, c in pairs), "no ports")


@check("nothing drifts over ten shots")
def drift(subject: Subject) -> Finding:
    """The mean of the last three shots against that of the first three."""
    port = subject.ports[0]
    captures = subject.run(*[subject.shot({port: subject.pulse(port)})] * _SHOTS, fixed=True)
    means = []
    for part in (captures[:3], captures[-3:]):
        read = [readings(capture) for capture in part]
        means.append({name: np.mean([item[name] for item in read], axis=0) for name in read[0]})
    return subject.compare(means[1], means[0])


@check("the noise of a channel is no larger than declared")
def size(subject: Subject) -> Finding:
    """The spread over repeats of a shot in which nothing moves, and of one in which much does."""
    port, findings = subject.ports[0], []
    for shot in (subject.shot(repeats=8), subject.shot({port: subject.pulse(port)}, repeats=8)):
        for name, trace in subject.run(shot)[0].last.traces.items():
            values = np.asarray(trace.values)
            spread = float(np.sqrt(np.var(values, axis=0, ddof=1).mean()))
            count = values.shape[1] * (len(values) - 1)
            noise = np.hypot(subject.noise(name), subject.code(name) / 2) * (1 + SIGMAS / np.sqrt(2 * count))
            allowed = float(noise + subject.late(values[0]) + ROUNDING * rms(values))
            findings.append(Finding(f"{name} has {spread:.3g}, declared is {subject.noise(name):.3g}", spread, allowed))
    return worst(findings, "nothing is read")


@check("the noise of one channel is not that of another")
def independent(subject: Subject) -> Finding:
    """A channel that is a copy of another, with its noise."""
    names = [name for name in subject.readable if subject.noise(name) > subject.code(name) / 2]
    if len(names) < 2:
        raise NotApplicable("fewer than two channels declare a noise above half of their code")
    capture = subject.run(subject.shot(repeats=2))[0]
    noise = {name: np.subtract(*np.asarray(capture.last.traces[name].values)) for name in names}
    findings = []
    for a, b in itertools.combinations(names, 2):
        overlap = float(noise[a] @ noise[b] / max(np.linalg.norm(noise[a]) * np.linalg.norm(noise[b]), 1e-300))
        samples = len(noise[a])
        # five standard errors of a correlation by Fisher's z, and 1 for what is a copy
        findings.append(
            Finding(
                f"{a} and {b} correlate by {overlap:.2f}", abs(overlap), np.tanh((SIGMAS + 1) / np.sqrt(samples - 3))
            )
        )
    return worst(findings, "no two channels")


@check("what is not driven does not hum: silence has no mean")
def mean(subject: Subject) -> Finding:
    """The mean of a silent trace, apart from what a constant force of the model does."""
    capture = subject.run(subject.shot(repeats=4))[0]
    expected, findings = subject.expected(capture), []
    for name, trace in capture.last.traces.items():
        off = float(np.mean(np.asarray(trace.values) - expected[name]))
        count = np.size(trace.values)
        allowed = SIGMAS * subject.noise(name) / np.sqrt(count) + subject.code(name) / 2
        allowed += (subject.tolerance + ROUNDING) * rms(expected[name])
        findings.append(Finding(f"{name} stands at {off:.3g}", abs(off), allowed))
    return worst(findings, "nothing is read")
