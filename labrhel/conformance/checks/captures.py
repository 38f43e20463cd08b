"""Shapes and units of what comes back."""

from __future__ import annotations

import numpy as np

from labrhel.conformance.bounds import readings
from labrhel.conformance.check import check
from labrhel.conformance.finding import Finding, NotApplicable, holds
from labrhel.conformance.subject import Subject
from labrhel.shots.program import ShotProgram


@check("a shot is answered by a capture that names it, with one entry for each pass")
def named(subject: Subject) -> Finding:
    """The record keeps what was sent beside what came back."""
    program = ShotProgram(subject.step, subject.shot().prepare, (subject.stretch(), subject.stretch()))
    captures = subject.run(program)
    problems = [f"{len(captures)} captures for one shot"] * (len(captures) != 1)
    problems += ["it names another shot"] * (captures[0].shot.program != program)
    problems += [f"{len(captures[0].passes)} passes of 2"] * (len(captures[0].passes) != 2)
    return holds(problems, "so it is")


@check("a pass has a trace of every channel that was asked for, and no other")
def channels(subject: Subject) -> Finding:
    """Two channels at most are asked for, in the other order."""
    asked = subject.readable[:2][::-1]
    capture = subject.run(subject.shot(channels=asked))[0]
    found = set(capture.last.traces)
    return holds([f"found {sorted(found)}, asked for {sorted(asked)}"] * (found != set(asked)), f"{asked}")


@check("a pass that is not read has no traces")
def unread(subject: Subject) -> Finding:
    """Two passes, the second of which is read."""
    program = ShotProgram(
        subject.step, subject.shot().prepare, (subject.stretch(channels=()), subject.stretch(steps=8))
    )
    first, second = subject.run(program)[0].passes
    problems = [f"the first has {sorted(first.traces)}"] * bool(first.traces)
    return holds(problems + ["the second has none"] * (not second.traces), "none, and the pass after it has its own")


@check("a trace has a row for each repeat and a sample for each kick, the last one included")
def shapes(subject: Subject) -> Finding:
    """Passes of odd and even length, and of one kick."""
    problems = []
    for steps in (subject.steps, subject.steps - 1, 1):
        for repeats in (1, 3):
            capture = subject.run(subject.shot(steps=steps, repeats=repeats))[0]
            for name, trace in capture.last.traces.items():
                if np.shape(trace.values) != (repeats, steps):
                    problems.append(f"{name}: {np.shape(trace.values)} for {repeats} repeats of {steps} kicks")
    return holds(problems[:3], "in passes of three lengths, once and three times")


@check("traces are in the unit that their channel declares")
def units(subject: Subject) -> Finding:
    """Volts are not millivolts."""
    problems = [
        f"{name} is in {trace.unit!r}, declared is {subject.channel_at(name).unit!r}"
        for name, trace in subject.answer(subject.ports[0]).last.traces.items()
        if trace.unit != subject.channel_at(name).unit
    ]
    return holds(problems, "all are")


@check("readings are finite real numbers of double precision")
def numbers(subject: Subject) -> Finding:
    """Every answer to a port's pulse is made of finite numbers."""
    problems = []
    for port in subject.ports:
        for name, trace in subject.answer(port).last.traces.items():
            values = np.asarray(trace.values)
            if values.dtype != np.float64 or not np.isfinite(values).all():
                problems.append(f"{name} under {port}: {values.dtype}, finite: {bool(np.isfinite(values).all())}")
    return holds(problems[:3], "all are")


@check("the converter's codes are its readings: within its bits, and value = code * scale + offset")
def codes(subject: Subject) -> Finding:
    """Raw codes are what the record keeps permanently."""
    problems, seen = [], []
    for name, trace in subject.answer(subject.ports[0]).last.traces.items():
        converter = subject.channel_at(name).converter
        if trace.codes is None or converter is None:
            continue
        seen.append(name)
        spread = int(np.max(trace.codes)) - int(np.min(trace.codes))
        raw = subject.wiring.to_model(name, trace.codes * trace.scale + trace.offset)
        off = float(np.abs(raw - trace.values).max())
        if np.shape(trace.codes) != np.shape(trace.values) or spread >= 2**converter.bits:
            problems.append(f"{name}: codes {np.shape(trace.codes)} that spread over {spread} of {converter.bits} bits")
        elif off > subject.code(name) / 2:
            problems.append(f"{name}: codes and values differ by {off:.3g}")
    if not seen:
        raise NotApplicable("no channel returns codes")
    return holds(problems, f"of {len(seen)} channels")


@check("the passes that were run are counted, between 1 and all")
def passes_run(subject: Subject) -> Finding:
    """What a gradient cost is said in passes."""
    program = ShotProgram(subject.step, subject.shot().prepare, (subject.stretch(), subject.stretch(steps=8)))
    ran = subject.run(program)[0].passes_run
    return holds([f"{ran} of 2, both of which were read"] * (ran != 2), "2 of 2")


@check("no shot starts before it was planned")
def start_times(subject: Subject) -> Finding:
    """It would begin before the rig has come to rest; one that starts too late is refused by the executor."""
    captures = [subject.answer(port) for port in subject.ports]
    early = max(item.planned_start - item.actual_start for item in captures)
    words = f"the earliest by {early:.3g} s" if early > 0 else "none does"
    return Finding(words, max(0.0, early), subject.step * subject.capabilities.time_unit / 2)


@check("a shot starts after the one before it, by the rig's clock")
def start_order(subject: Subject) -> Finding:
    """A rig that does not say when its shots started says 0 of all."""
    starts = [capture.actual_start for capture in subject.run(*[subject.shot()] * 3)]
    return holds([f"at {starts} s"] * (not starts[0] < starts[1] < starts[2]), "three in a row")


@check("the end state is given where it was asked for, one for each repeat")
def end_state(subject: Subject) -> Finding:
    """Positions and momenta (repeats, n)."""
    if not subject.capabilities.reads_state:
        raise NotApplicable("the rig does not read its state")
    asked, other = subject.run(subject.shot(end_state=True, repeats=2), subject.shot())
    end, wanted = asked.last.end_state, (2, subject.model.size)
    problems = ["there is one that was not asked for"] * (other.last.end_state is not None)
    if end is None or (np.shape(end.position), np.shape(end.momentum)) != (wanted, wanted):
        problems.append(f"not of shape {wanted}")
    return holds(problems, f"of shape {wanted}")


@check("a capture is not changed by the shots after it")
def kept(subject: Subject) -> Finding:
    """A driver that hands out its buffer overwrites the past."""
    first, last = subject.ports[0], subject.ports[-1]
    capture = subject.run(subject.shot({first: subject.pulse(first)}))[0]
    before = {name: values.copy() for name, values in readings(capture).items()}
    subject.run(subject.shot({last: -subject.pulse(last)}))
    changed = [name for name, values in readings(capture).items() if not np.array_equal(values, before[name])]
    return holds([f"{name} has changed" for name in changed], "it stands")
