"""What the rig says of itself: complete, consistent, and about the nominal model.  Nothing is fired."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from labrhel.conformance.check import check
from labrhel.conformance.finding import Finding, NotApplicable, holds
from labrhel.conformance.subject import Subject
from labrhel.rig.capabilities import Channel, Kind, Limits, Port
from labrhel.shots.rig import Rig

_STARTS = {"rest", "state", "hold"}


@check("the rig has the five methods of a rig")
def methods(subject: Subject) -> Finding:
    """`configure`, `run`, `read`, `make_safe`, `close`."""
    return holds(
        [] if isinstance(subject.rig, Rig) else ["it is no labrhel.shots.rig.Rig"],
        "configure, run, read, make_safe and close are there",
    )


@check("the rig, its ports, channels and knobs have names, each its own")
def names(subject: Subject) -> Finding:
    """Programs and configurations call them by name."""
    declared = subject.capabilities
    items = [item.name for item in (*declared.ports, *declared.channels, *declared.knobs)]
    knobs = [item.name for item in declared.knobs]
    problems = [f"a name is empty: {items}"] * (not all((declared.rig, *items)))
    problems += [f"two knobs are named {name}" for name in sorted(set(knobs)) if knobs.count(name) > 1]
    return holds(problems, f"rig {declared.rig}: {len(items)} names")


@check("the rig has as many oscillators as the nominal model")
def size(subject: Subject) -> Finding:
    """Everything else is compared through the model."""
    found, wanted = subject.capabilities.size, subject.model.size
    return Finding(f"{found}, the model has {wanted}", abs(found - wanted))


@check("the matrices have a column or row for each port and channel, and finite entries")
def matrices(subject: Subject) -> Finding:
    """Forces are drive_matrix @ ports, channels are position_matrix @ q."""
    declared, n = subject.capabilities, subject.capabilities.size
    wanted = {
        "drive_matrix": (n, len(declared.ports_of(Kind.FORCE))),
        "position_matrix": (len(declared.places), n),
        "velocity_matrix": (len(declared.channels_of(Kind.VELOCITY)), n),
    }
    problems = []
    for name, shape in wanted.items():
        values = getattr(declared, name).values
        if values.shape != shape and (values.size or np.prod(shape)):
            problems.append(f"{name} has shape {values.shape}, not {shape}")
        elif not np.isfinite(values).all():
            problems.append(f"{name} has entries that are not finite")
    return holds(problems, ", ".join(f"{name} {shape}" for name, shape in wanted.items()))


@check("every input of the nominal model is an input port of the rig")
def inputs(subject: Subject) -> Finding:
    """Data reach the model through them; one that pushes nothing in the model needs none."""
    ports, names = subject.capabilities.ports_of(Kind.INPUT), subject.model.inputs
    felt = subject.model.input_force(np.eye(len(names)), subject.theta)
    felt = felt - subject.model.input_force(np.zeros((len(names), len(names))), subject.theta)
    missing = [name for name, push in zip(names, felt.T, strict=True) if push.any() and name not in ports]
    if not ports and not missing:
        raise NotApplicable("the rig has no input ports, and the nominal model needs none")
    return holds([f"there is no input port {name}" for name in missing], f"{ports}")


@check("converters have bits and a range, channels a noise that is a number")
def converters(subject: Subject) -> Finding:
    """What answers may differ by follows from them."""
    declared = subject.capabilities
    problems = []
    for item in (*declared.ports, *declared.channels):
        converter = item.converter
        if converter is not None and not (converter.bits >= 1 and 0 < converter.lsb < np.inf):
            problems.append(f"{item.name}: {converter.bits} bits over [{converter.low:g}, {converter.high:g}]")
        if isinstance(item, Channel) and not 0 <= item.noise < np.inf:
            problems.append(f"{item.name}: a noise of {item.noise:g}")
    return holds(problems, "all are in order")


@check("the safe state of every output lies within its limits and its converter's range")
def safe_states(subject: Subject) -> Finding:
    """Where an output goes on every exit path."""
    declared = subject.capabilities
    problems = [words for item in declared.ports for words in _outside(item)]
    for knob in declared.knobs:
        outside = [state.value for state in knob.safe if not _within(state.value, knob.limits)]
        problems += [f"{knob.name} goes to {value:g}" for value in outside]
        if knob.safe and len(knob.safe) != int(np.prod(knob.shape)):
            problems.append(f"{knob.name} has {int(np.prod(knob.shape))} entries and {len(knob.safe)} safe states")
    return holds(problems, "all are inside")


def _outside(port: Port) -> Iterator[str]:
    value, converter = port.safe.value, port.converter
    if not _within(value, port.limits):
        yield f"{port.name} goes to {value:g}, beyond its limits"
    if converter is not None and not converter.low <= value <= converter.high:
        yield f"{port.name} goes to {value:g}, which its converter cannot reach"


def _within(value: float, limits: Limits) -> bool:
    return limits.low <= value <= limits.high


@check("the clocks and triggers that ports and channels name are declared")
def domains(subject: Subject) -> Finding:
    """Arming order and skew belong to the domains."""
    declared = subject.capabilities
    clocks, triggers = {item.name for item in declared.clocks}, {item.name for item in declared.triggers}
    problems = []
    for item in (*declared.ports, *declared.channels):
        problems += [f"{item.name} counts the clock {item.timing.clock!r}"] * (item.timing.clock not in clocks)
        problems += [f"{item.name} waits for {item.timing.trigger!r}"] * (item.timing.trigger not in triggers)
    return holds(problems, f"clocks {sorted(clocks)}, triggers {sorted(triggers)}")


@check("the rig can start from rest, and names no start that nobody knows")
def starts(subject: Subject) -> Finding:
    """Rest is what every protocol may count on."""
    offered = subject.capabilities.prepares
    problems = [f"unknown start {name!r}" for name in sorted(offered - _STARTS)]
    return holds(problems + ["it does not start from rest"] * ("rest" not in offered), ", ".join(sorted(offered)))


@check("the rig and the nominal model agree on the unit of time")
def time_unit(subject: Subject) -> Finding:
    """Rates and delays are in seconds, programs in model time."""
    found, wanted = subject.capabilities.time_unit, subject.model.time_unit
    return Finding(f"{found:g} s, the model's is {wanted:g} s", abs(found / wanted - 1), 1e-9)


@check("waiting times are finite and not negative")
def waits(subject: Subject) -> Finding:
    """Settling, ring-down, and the re-arm time of triggers."""
    declared = subject.capabilities
    found = {"settle_time": declared.settle_time, "ring_down_time": declared.ring_down_time}
    found |= {f"re-arm of {item.name}": item.re_arm for item in declared.triggers}
    found |= {f"settling of {item.name}": item.settle for item in declared.knobs}
    return holds([f"{name} is {value:g} s" for name, value in found.items() if not 0 <= value < np.inf], "all are")


@check("every knob is a parameter of the nominal model, of its shape, and may take its nominal value")
def knobs(subject: Subject) -> Finding:
    """A rule turns knobs by the names of parameters."""
    if not subject.capabilities.knobs:
        raise NotApplicable("the rig has no knobs")
    known, problems = subject.model.parameters, []
    turned = subject.wiring.to_knobs(subject.nominal())
    for knob in subject.capabilities.knobs:
        if knob.name not in known:
            problems.append(f"{knob.name} is no parameter")
        elif knob.shape != known[knob.name].shape:
            problems.append(f"{knob.name} has shape {knob.shape}, the parameter {known[knob.name].shape}")
        elif not all(_within(float(value), knob.limits) for value in np.ravel(turned.get(knob.name, ()))):
            problems.append(f"the nominal {knob.name} is outside its limits")
    return holds(problems, ", ".join(knob.name for knob in subject.capabilities.knobs))


@check("every observable that the rig accumulates is a parameter of the nominal model")
def observables(subject: Subject) -> Finding:
    """An observable is named by the parameter whose dH/dtheta it is."""
    summed = subject.capabilities.accumulates
    if not summed:
        raise NotApplicable("the rig accumulates no observables")
    return holds([f"{name} is none" for name in sorted(summed - set(subject.model.parameters))], f"{sorted(summed)}")


@check("the id of firmware or gateware is one line of text")
def firmware(subject: Subject) -> Finding:
    """It stands in the record of every run."""
    if not subject.capabilities.firmware:
        raise NotApplicable("the rig declares no firmware")
    text = subject.capabilities.firmware
    return holds(["it holds what cannot be printed"] * (not text.isprintable() or text != text.strip()), text)
