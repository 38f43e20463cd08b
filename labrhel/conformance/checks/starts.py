"""How a shot begins: rest, a given state, or what is there."""

from __future__ import annotations

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.conformance.bounds import readings, rms
from labrhel.conformance.check import check
from labrhel.conformance.finding import Finding, NotApplicable, holds, worst
from labrhel.conformance.subject import Subject
from labrhel.errors import ConfigurationError, LimitError, ProgramError
from labrhel.frozen import FrozenArray
from labrhel.shots.program import GivenState, Hold, Rest, ShotProgram

_HALF = 0.5  # ignored is 0, half or double is a wrong unit, -1 a wrong sign
_TELLING = 20.0  # times the noise of a sample, that a change is large enough to have a share


@check("rest is rest, right after a strong shot")
def rest(subject: Subject) -> Finding:
    """The ring-down time that the rig declares is long enough."""
    strong = {port: np.roll(subject.pulse(port), subject.steps // 2) for port in subject.ports[:1]}
    capture = subject.run(subject.shot(strong), subject.shot())[1]
    return subject.compare(readings(capture), subject.expected(capture), traces=1)


@check("a given state is where the shot begins")
def given(subject: Subject) -> Finding:
    """Every oscillator starts elsewhere, at another speed."""
    subject.needs_start("state")
    return subject.against_model(subject.run(subject.shot(prepare=_state(subject)))[0])


@check("a given state is given again to every repeat")
def given_again(subject: Subject) -> Finding:
    """The state is given to the next shot as well."""
    subject.needs_start("state")
    first, second = subject.run(*[subject.shot(prepare=_state(subject), repeats=2)] * 2)
    others = readings(first, repeat=1), readings(second)
    return worst((subject.compare(other, readings(first)) for other in others), "nothing is read")


@check("given states in a batch are answered in order, each as if alone")
def given_in_turn(subject: Subject) -> Finding:
    """Three states, one of them for half as long."""
    subject.needs_start("state")
    shots = [
        subject.shot(prepare=_state(subject, size), steps=subject.steps // (2 if size < 0 else 1))
        for size in (1.0, -0.5, 0.5)
    ]
    findings = []
    for together, alone in zip(subject.run(*shots), subject.run(*shots, fixed=True), strict=True):
        a, b = readings(together), readings(alone)
        if any(a[name].shape != b[name].shape for name in a):
            return Finding("a capture has the length of another shot", 1.0)
        findings += [subject.compare(a, b), subject.against_model(together)]
    return worst(findings, "nothing is read")


@check("from half a given state the motion is the half, but for what the model is bent")
def given_half(subject: Subject) -> Finding:
    """Twice the motion from the half, minus the motion from the whole, against the same of the model."""
    subject.needs_start("state")
    whole, half = subject.run(*(subject.shot(prepare=_state(subject, size)) for size in (1.0, 0.5)))
    found, wanted = ([take(item) for item in (whole, half)] for take in (readings, subject.expected))
    findings = []
    for name in subject.positions:
        off = (2 * found[1][name] - found[0][name]) - (2 * wanted[1][name] - wanted[0][name])
        largest = max(rms(wanted[0][item]) for item in subject.positions)
        allowed = subject.slack(name, wanted[0][name], 3) + subject.tolerance * largest
        findings.append(Finding(f"{name} is off by {rms(off):.3g} rms of {largest:.3g}", rms(off), allowed))
    return worst(findings, "nothing is read")


@check("from a given state, every third kick shows every third sample, and two passes are one")
def given_in_parts(subject: Subject) -> Finding:
    """Three shots from one state."""
    subject.needs_start("state")
    prepare, cut = _state(subject), subject.steps // 3
    parts = subject.stretch(steps=cut), subject.stretch(steps=subject.steps - cut)
    whole, sparse, split = subject.run(
        subject.shot(prepare=prepare),
        subject.shot(prepare=prepare, every=3),
        ShotProgram(subject.step, prepare, parts),
    )
    read = readings(whole)
    joined = {name: np.concatenate([readings(split, index)[name] for index in (0, 1)]) for name in read}
    thirds = {name: values[::3] for name, values in read.items()}
    return worst((subject.compare(joined, read), subject.compare(readings(sparse), thirds)), "nothing is read")


@check("turning a knob changes the motion from a given state as the model says")
def given_and_turned(subject: Subject) -> Finding:
    """The share of the predicted change that is there, for each knob that can be turned up by a tenth."""
    subject.needs_start("state")
    shot, findings = subject.shot(prepare=_state(subject)), []
    before = subject.run(shot)[0]
    still, found = _flat(subject, subject.expected(before)), _flat(subject, readings(before))
    noise = np.sqrt(2) * max(subject.sigma(name) for name in subject.positions)
    for name, nominal in subject.nominal().items():
        if not np.any(nominal):
            continue
        try:
            subject.configure({name: 1.1 * nominal})
            after = subject.run(shot)[0]
            change = _flat(subject, subject.expected(after)) - still
            size = float(np.linalg.norm(change))
            if size > _TELLING * noise:
                share = float((_flat(subject, readings(after)) - found) @ change) / size**2
                words = f"{name} changes the motion by {share:.2f} of what the model says"
                findings.append(Finding(words, abs(share - 1), _HALF))
        except (LimitError, ConfigurationError, ProgramError):
            continue  # a rig need not take every value
        finally:
            subject.set_nominal()
    return worst(findings, "no knob can be turned so far that its effect stands out from the declared noise")


@check("after `make_safe`, and opened anew, the motion from a given state is as it was")
def given_as_before(subject: Subject) -> Finding:
    """Nothing that counts is latched, or lost with the link."""
    subject.needs_start("state")
    shot = subject.shot(prepare=_state(subject))
    before = readings(subject.run(shot)[0])
    subject.rig.make_safe()
    safe = readings(subject.run(shot)[0])
    subject.rig.close()
    subject.reopen()
    again = readings(subject.run(shot)[0])
    return worst((subject.compare(item, before) for item in (safe, again)), "nothing is read")


def _flat(subject: Subject, traces: Arrays) -> Array:
    return np.concatenate([traces[name] for name in subject.positions])


def _state(subject: Subject, share: float = 1.0) -> GivenState:
    """Positions and momenta that differ, a tenth to a half of what a pulse reaches, or a `share` of that."""
    n = subject.model.size
    size = share * min(subject.wanted_motion(name) for name in subject.positions)
    q = size * np.linspace(0.2, 1.0, n) * (-1.0) ** np.arange(n)
    p = 0.5 * size * np.linspace(1.0, 0.2, n) * subject.model.mass(subject.theta)
    return GivenState(FrozenArray(q), FrozenArray(p))


@check("a held shot goes on from where the shot before it ended")
def held(subject: Subject) -> Finding:
    """Two shots are compared with one shot of two passes."""
    subject.needs_start("hold")
    port, cut = subject.ports[0], subject.pulse_end
    push = subject.pulse(port)[:cut]
    parts = subject.stretch({port: push}, steps=cut), subject.stretch()
    whole = subject.run(ShotProgram(subject.step, Rest(), parts))[0]
    held = subject.run(
        *(ShotProgram(subject.step, start, (part,)) for start, part in zip((Rest(), Hold()), parts, strict=True))
    )
    return subject.compare(readings(held[1]), readings(whole))


@check("the end state is where the traces say")
def end_state(subject: Subject) -> Finding:
    """Positions and momenta half a step after the last kick, against the model."""
    if not subject.capabilities.reads_state:
        raise NotApplicable("the rig does not read its state")
    findings = []
    for port in subject.ports:
        capture = subject.run(subject.shot({port: subject.pulse(port)}, end_state=True))[0]
        end, wanted = capture.last.end_state, subject.predict(capture)
        if end is None:
            return holds([f"there is none under {port}"], "")
        mass = subject.model.mass(subject.theta)
        for what, found, expected, trace, names in (
            ("position", end.position[0], wanted.end_position, wanted.q, subject.positions),
            ("momentum", end.momentum[0] / mass, wanted.end_momentum / mass, wanted.v, subject.readable),
        ):
            sigma = max(subject.sigma(name) for name in names)
            coarse = max(subject.code(name) for name in names)
            off = float(np.abs(found - expected).max())
            allowed = 5 * sigma + coarse + subject.tolerance * rms(trace) * np.sqrt(trace.size)
            findings.append(Finding(f"the {what} under {port} is off by {off:.3g}", off, allowed))
    return worst(findings, "no port moves the model")
