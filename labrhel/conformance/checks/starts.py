"""How a shot begins: rest, a given state, or what is there."""

from __future__ import annotations

import numpy as np

from labrhel.conformance.bounds import readings, rms
from labrhel.conformance.check import check
from labrhel.conformance.finding import Finding, NotApplicable, holds, worst
from labrhel.conformance.subject import Subject
from labrhel.frozen import FrozenArray
from labrhel.shots.program import GivenState, Hold, Rest, ShotProgram


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


def _state(subject: Subject) -> GivenState:
    """Positions and momenta that differ, a tenth to a half of what a pulse reaches."""
    n = subject.model.size
    size = min(subject.wanted_motion(name) for name in subject.positions)
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
