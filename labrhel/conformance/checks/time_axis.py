"""When things happen: time axes, every n-th kick, alignment to a fraction of a sample."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from labrhel.conformance.bounds import SIGMAS, readings
from labrhel.conformance.check import check
from labrhel.conformance.finding import Finding, NotApplicable, worst
from labrhel.conformance.fitting import Pair, fit
from labrhel.conformance.subject import Subject
from labrhel.shots.program import Rest, ShotProgram

_ALIGNED = 0.25  # samples: a sampling bug is 1 off, a hold that was forgotten 0.5
_BLIND = 0.25  # samples of uncertainty, beyond which an alignment says nothing


@check("sample k of a trace is taken at kick k: t0 is 0, dt is the step")
def axes(subject: Subject) -> Finding:
    """To half a step; the spacing to a part in a million, which adds up to nothing over a pass."""
    findings = []
    for every in (1, 3):
        capture = subject.run(subject.shot(every=every))[0]
        for name, trace in capture.last.traces.items():
            spacing = every * subject.step
            findings.append(Finding(f"{name} has dt {trace.dt:g}, not {spacing:g}", abs(trace.dt / spacing - 1), 1e-6))
            findings.append(Finding(f"{name} has t0 {trace.t0:g}", abs(trace.t0), subject.step / 2))
    return worst(findings, "nothing is read")


@check("reading every third kick shows every third sample")
def every(subject: Subject) -> Finding:
    """Of the same shot; the count of samples included."""
    port = subject.ports[0]
    sparse = readings(subject.run(subject.shot({port: subject.pulse(port)}, every=3))[0])
    dense = {name: values[::3] for name, values in readings(subject.answer(port)).items()}
    for name, values in sparse.items():
        if values.shape != dense[name].shape:
            return Finding(f"{name} has {values.size} samples of {dense[name].size}", 1.0)
    return subject.compare(sparse, dense)


@check("nothing moves before the push")
def causal(subject: Subject) -> Finding:
    """The quiet kicks before the pulse look as those of a shot without one."""
    still = readings(subject.run(subject.shot())[0])
    findings = []
    for port in subject.ports:
        pushed = {name: values[: subject.onset] for name, values in readings(subject.answer(port)).items()}
        findings.append(subject.compare(pushed, {name: still[name][: subject.onset] for name in pushed}))
    return worst(findings, "no port moves the model")


@check("a push some kicks later is answered as many samples later")
def shifted(subject: Subject) -> Finding:
    """The rig is compared with itself, so that nothing depends on the model."""
    later, port = 5, subject.ports[0]
    if any(np.any(trace) for trace in subject.expected(subject.run(subject.shot())[0]).values()):
        raise NotApplicable("the nominal model does not rest where it starts")
    shot = subject.shot({port: np.roll(subject.pulse(port), later)})
    moved = {name: values[later:] for name, values in readings(subject.run(shot)[0]).items()}
    first = {name: values[:-later] for name, values in readings(subject.answer(port)).items()}
    return subject.compare(moved, first)


@check("a long pass begins as a short one")
def beginnings(subject: Subject) -> Finding:
    """Half the pass is compared with the whole."""
    port, half = subject.ports[0], subject.steps // 2
    short = readings(subject.run(subject.shot({port: subject.pulse(port)[:half]}, steps=half))[0])
    return subject.compare(
        short, {name: values[:half] for name, values in readings(subject.answer(port)).items() if name in short}
    )


@check("two passes run on without a gap: together they are one long pass")
def joints(subject: Subject) -> Finding:
    """The second pass begins where the first ended, half a step after its last kick."""
    port, cut = subject.ports[0], subject.onset + subject.steps // 8
    pulse = subject.pulse(port)
    parts = tuple(subject.stretch({port: part}, steps=len(part)) for part in (pulse[:cut], pulse[cut:]))
    capture = subject.run(ShotProgram(subject.step, Rest(), parts))[0]
    first, second = readings(capture, 0), readings(capture, 1)
    joined = {name: np.concatenate([values, second[name]]) for name, values in first.items()}
    return subject.compare(joined, readings(subject.answer(port)), share=subject.tolerance)


@check("every port is aligned with the model to a fraction of a sample")
def port_delays(subject: Subject) -> Finding:
    """Through all position channels, while the pulse lasts."""
    findings = (
        _delay(subject, port, (subject.pair(port, name) for name in subject.positions)) for port in subject.ports
    )
    return worst((item for item in findings if item), "the declared noise hides a delay of a sample")


@check("every channel is aligned with the model to a fraction of a sample")
def channel_delays(subject: Subject) -> Finding:
    """Delays of channels show through all ports while the pulse lasts."""
    findings = (
        _delay(subject, name, (subject.pair(port, name) for port in subject.ports)) for name in subject.readable
    )
    return worst((item for item in findings if item), "the declared noise hides a delay of a sample")


def _delay(subject: Subject, name: str, pairs: Iterator[Pair]) -> Finding | None:
    """None where the noise hides a delay of a sample, or where nothing is expected to move."""
    fitted = fit(pairs)
    if fitted is None or SIGMAS * fitted.delay_error > _BLIND:
        return None
    declared = subject.capabilities
    item = next(item for item in (*declared.ports, *declared.channels) if item.name == name)
    known = (abs(item.timing.skew) / declared.time_unit + SIGMAS * subject.jitter) / subject.step
    allowed = _ALIGNED + known + SIGMAS * fitted.delay_error
    return Finding(f"{name} comes {fitted.delay:+.3f} samples late", abs(fitted.delay), allowed)
