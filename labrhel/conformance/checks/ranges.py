"""Limits of ports and knobs, in the executor and in the driver, and readings beyond the range of a channel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from labrhel.arrays import Array
from labrhel.conformance.check import check
from labrhel.conformance.checks.refusals import refused, refused_program
from labrhel.conformance.finding import Finding, NotApplicable, holds
from labrhel.conformance.subject import Subject
from labrhel.errors import LabrhelError, LimitError, ProgramError
from labrhel.frozen import FrozenArray
from labrhel.rig.capabilities import Port
from labrhel.shots.compile import compile
from labrhel.shots.compiled import CompiledShot
from labrhel.shots.operations import Configure
from labrhel.shots.program import GivenState, ShotProgram

_BEYOND = 1.5  # times the end of a range


@check("a waveform beyond the range of a converter is refused before anything is sent")
def converters(subject: Subject) -> Finding:
    """On every port that declares one; clipping would change the experiment."""
    ports = [port for port in subject.capabilities.ports if port.converter is not None]
    if not ports:
        raise NotApplicable("no port declares a converter")
    return _beyond(subject, ports)


@check("a waveform beyond the limits of a port is refused before anything is sent")
def limits(subject: Subject) -> Finding:
    """Limits hold on both sides of every limited port."""
    return _beyond(subject, _limited(subject))


def _limited(subject: Subject) -> list[Port]:
    ports = [item for item in subject.capabilities.ports if np.isfinite([item.limits.low, item.limits.high]).any()]
    if not ports:
        raise NotApplicable("no port declares limits")
    return ports


def _beyond(subject: Subject, ports: Iterable[Port]) -> Finding:
    problems = []
    for port in ports:
        for end in _ends(port):
            values = np.ones(subject.steps) * subject.wiring.to_model(port.name, np.array([end]))
            words = refused_program(subject, subject.shot({port.name: values}), ProgramError, LimitError)
            problems += [f"{port.name} at {end:g}: {item}" for item in words]
    return holds(problems, "every port")


def _ends(port: Port) -> list[float]:
    """Device values clearly beyond the ends of what a port may play."""
    lows = [port.limits.low, *([port.converter.low] if port.converter else [])]
    highs = [port.limits.high, *([port.converter.high] if port.converter else [])]
    low, high = max(lows), min(highs)
    width = high - low if np.isfinite(high - low) else 1.0
    outside = (low - (_BEYOND - 1) * max(width, abs(low)), high + (_BEYOND - 1) * max(width, abs(high)))
    return [end for end in outside if np.isfinite(end)]


@check("the driver itself refuses values beyond the limits of a port")
def guarded(subject: Subject) -> Finding:
    """Sent past the executor, as a program of one's own would: limits stand in the driver as well."""
    problems = []
    for port in _limited(subject):
        for end in _ends(port):
            shot = _forged(subject, port.name, np.full(subject.steps, end))
            try:
                subject.rig.run([shot])
                problems.append(f"{port.name} plays {end:g} {port.unit}")
            except LabrhelError:
                pass
    return holds(problems, "on every port")


def _forged(subject: Subject, port: str, values: Array) -> CompiledShot:
    """A compiled shot whose samples are others than the program's."""
    shot = compile(subject.shot({port: np.zeros(subject.steps)}), subject.capabilities, subject.wiring)
    item = shot.passes[0]
    samples = FrozenArray(np.resize(values, len(item.played[port].samples)))
    played = replace(item.played[port], samples=samples, delivered=None)
    reaches = FrozenArray(subject.wiring.to_model(port, np.asarray(values, float)))
    return replace(shot, passes=(replace(item, played={port: played}, achieved={port: reaches}),))


@check("a knob value beyond its limits is refused before anything is sent")
def knob_limits(subject: Subject) -> Finding:
    """A setting beyond a knob's limits is refused by a LimitError."""
    problems = []
    for name, knob, value in _knob_ends(subject):
        parameters = subject.wiring.to_parameters({name: value})
        problems += [f"{name} at {knob:g}: {words}" for words in refused(subject, Configure(parameters), LimitError)]
    return holds(problems, "every knob")


@check("the driver itself refuses knob values beyond their limits, and turns nothing")
def guarded_knobs(subject: Subject) -> Finding:
    """The rig itself refuses a setting that is sent past the executor."""
    problems = []
    for name, knob, value in _knob_ends(subject):
        try:
            subject.rig.configure({name: value})
            problems.append(f"{name} goes to {knob:g}")
        except LabrhelError:
            pass
    subject.set_nominal()
    return holds(problems, "every knob")


def _knob_ends(subject: Subject) -> list[tuple[str, float, Array]]:
    """Values beyond each finite limit of each knob: by name, the value, and the full array."""
    found = []
    for knob in subject.capabilities.knobs:
        for end, sign in ((knob.limits.low, -1), (knob.limits.high, 1)):
            if np.isfinite(end) and knob.name in subject.nominal():
                value = end + sign * max(abs(end), 1.0) / 2
                found.append((knob.name, value, np.full(knob.shape, value)))
    if not found:
        raise NotApplicable("no knob declares limits")
    return found


@check("a slew beyond the limit of a port is refused before anything is sent")
def slew(subject: Subject) -> Finding:
    """From one sample to the next, up to half the range."""
    ports = [port for port in subject.capabilities.ports if port.limits.slew is not None]
    if not ports:
        raise NotApplicable("no port declares a slew limit")
    problems = []
    for port in ports:
        jump = np.zeros(subject.steps)
        jump[subject.steps // 2 :] = min(subject.reach_of_port(port.name), 1e12) / 2
        fastest = jump.max() / (subject.step * subject.capabilities.time_unit)
        if fastest > _BEYOND * (subject.seen.port(port.name).limits.slew or 0.0):
            words = refused_program(subject, subject.shot({port.name: jump}), LimitError)
            problems += [f"{port.name}: {item}" for item in words]
    return holds(problems, f"{len(ports)} ports")


@check("a reading that the channel cannot show is counted as over range")
def over_range(subject: Subject) -> Finding:
    """Set or driven to half as much again as the channel reaches."""
    names = [name for name in subject.positions if np.isfinite(subject.reach_of_channel(name))]
    if not names:
        raise NotApplicable("no position channel declares a range")
    problems, seen = [], 0
    for name in names:
        for shot in _strong(subject, name):
            try:
                once, twice = subject.run(shot, replace(shot, repeats=2))
            except LabrhelError:
                continue  # refused, which is as good as counted
            seen += 1
            trace, counted = once.last.traces[name], twice.last.traces[name].over_range
            reach = 1.001 * subject.reach_of_channel(name) + subject.code(name)
            problems += [f"{name} clips, and counts nothing"] * (not trace.over_range)
            problems += [f"{name} counts {trace.over_range}, in two repeats {counted}"] * (
                counted < 1.5 * trace.over_range
            )
            problems += [f"{name} shows more than it can"] * bool(np.abs(trace.values).max() > reach)
            break
    if not seen:
        raise NotApplicable("no channel can be brought beyond its range: states and drives beyond it are refused")
    return holds(problems, f"on {seen} channels")


def _strong(subject: Subject, channel: str) -> list[ShotProgram]:
    """Shots that should bring a channel beyond its range: by a given state, by drive."""
    shots, target = [], _BEYOND * subject.reach_of_channel(channel)
    row = subject.capabilities.position_matrix.values[subject.positions.index(channel)]
    if "state" in subject.capabilities.prepares and row.any():
        position, still = FrozenArray(target * row / (row @ row)), FrozenArray(np.zeros(subject.model.size))
        shots.append(subject.shot(prepare=GivenState(position, still), steps=4))
    for port in subject.ports:
        peak = float(np.abs(subject.expected(subject.answer(port))[channel]).max())
        if peak > 0 and target / peak * subject.amplitude(port) <= subject.reach_of_port(port):
            shots.append(subject.shot({port: 1.2 * target / peak * subject.pulse(port)}))
    return shots


@check("a reading within the range counts nothing as over range")
def in_range(subject: Subject) -> Finding:
    """In the answers to all pulses, a quarter of the range high."""
    counts = {
        f"{name} under {port}": trace.over_range
        for port in subject.ports
        for name, trace in subject.answer(port).last.traces.items()
        if trace.over_range
    }
    return holds([f"{name} counts {count}" for name, count in counts.items()], "nothing")
