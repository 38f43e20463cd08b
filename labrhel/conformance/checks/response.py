"""Sign, identity and scale of ports and channels, against the nominal model."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from labrhel.conformance.bounds import ROUNDING, SIGMAS, readings, rms
from labrhel.conformance.check import check
from labrhel.conformance.finding import Finding, NotApplicable, holds, worst
from labrhel.conformance.fitting import fit
from labrhel.conformance.subject import Subject

_BLIND = 0.05  # uncertainty of a scale, beyond which an error of a tenth cannot be told
_CLEARLY = 1.5  # by which the strongest answer must stand out to have a name


@check("a positive push on a force port moves its oscillators the way the matrices say")
def force_signs(subject: Subject) -> Finding:
    """drive_matrix and position_matrix only: what mass moves, moves with the force at first."""
    declared = subject.capabilities
    reached = declared.position_matrix.values @ (
        declared.drive_matrix.values / subject.model.mass(subject.theta)[:, None]
    )
    problems, seen = [], 0
    for column, port in zip(reached.T, subject.forces, strict=True):
        if port not in subject.ports:
            continue
        row = int(np.argmax(np.abs(column)))
        channel = subject.positions[row]
        window = slice(0, subject.pulse_end)
        moved = readings(subject.answer(port))[channel][window]
        if not column[row] or np.abs(moved).max() < SIGMAS * subject.sigma(channel):
            continue
        seen += 1
        if moved.sum() * column[row] < 0:
            problems.append(f"{port} pushes {channel} the wrong way")
    if not seen:
        raise NotApplicable("no force port moves a channel beyond its declared noise")
    return holds(problems, f"{seen} ports push the right way")


@check("every port moves the rig in the direction of the model")
def port_signs(subject: Subject) -> Finding:
    """Signs of force ports, and of inputs through the input map."""
    return _signs(subject, ((port, [(port, name) for name in subject.positions]) for port in subject.ports))


@check("every channel shows motion with the sign of the model")
def channel_signs(subject: Subject) -> Finding:
    """Signs of positions and of velocities."""
    return _signs(subject, ((name, [(port, name) for port in subject.ports]) for name in subject.readable))


def _signs(subject: Subject, items: Iterable[tuple[str, list[tuple[str, str]]]]) -> Finding:
    problems = []
    for name, pairs in items:
        fitted = fit([subject.pair(*pair) for pair in pairs])
        if fitted is not None and fitted.scale < -SIGMAS * fitted.scale_error:
            problems.append(f"{name} has the wrong sign (scale {fitted.scale:.2f})")
    return holds(problems, "all have")


@check("every port moves most the channel that it should")
def port_order(subject: Subject) -> Finding:
    """Swapped outputs show here."""
    problems = []
    for port in subject.ports:
        problems += _misnamed(subject, port, {name: (port, name) for name in subject.positions}, "{0} moves most {1}")
    return holds(problems, "each does")


@check("every position channel answers most to the port that it should")
def channel_order(subject: Subject) -> Finding:
    """Swapped inputs of the digitizer show here."""
    problems = []
    for name in subject.positions:
        problems += _misnamed(subject, name, {port: (port, name) for port in subject.ports}, "{0} answers most to {1}")
    return holds(problems, "each does")


@check("every velocity channel answers most to the port that it should")
def velocity_order(subject: Subject) -> Finding:
    """Swapped velocity channels show here."""
    problems = []
    for name in subject.velocities:
        problems += _misnamed(subject, name, {port: (port, name) for port in subject.ports}, "{0} answers most to {1}")
    return holds(problems, "each does")


def _misnamed(subject: Subject, item: str, pairs: dict[str, tuple[str, str]], words: str) -> list[str]:
    """A complaint if the strongest of several answers is another than the model's, where that stands out."""
    found = {name: rms(subject.pair(*pair)[0]) for name, pair in pairs.items()}
    wanted = {name: rms(subject.pair(*pair)[1]) for name, pair in pairs.items()}
    ranked = sorted(wanted, key=wanted.__getitem__, reverse=True)
    if len(ranked) < 2 or wanted[ranked[0]] < _CLEARLY * wanted[ranked[1]]:
        return []
    strongest = max(found, key=found.__getitem__)
    return [] if strongest == ranked[0] else [words.format(item, f"{strongest}, not {ranked[0]}")]


@check("every port has the scale of the model")
def port_scales(subject: Subject) -> Finding:
    """A load taken for another is a factor of 2."""
    return _scales(subject, ((port, [(port, name) for name in subject.positions]) for port in subject.ports))


@check("every channel has the scale of the model")
def channel_scales(subject: Subject) -> Finding:
    """An attenuator of the probe is a factor of 10."""
    return _scales(subject, ((name, [(port, name) for port in subject.ports]) for name in subject.readable))


def _scales(subject: Subject, items: Iterable[tuple[str, list[tuple[str, str]]]]) -> Finding:
    findings = []
    for name, pairs in items:
        fitted = fit([subject.pair(*pair) for pair in pairs])
        if fitted is None or SIGMAS * fitted.scale_error > _BLIND:
            continue
        allowed = subject.tolerance + SIGMAS * fitted.scale_error
        findings.append(Finding(f"{name} has {fitted.scale:.4f} of the model's scale", abs(fitted.scale - 1), allowed))
    return worst(findings, "the declared noise hides an error of a tenth")


@check("the answer to a push on each port is the nominal model's, on every channel, to the end")
def shape(subject: Subject) -> Finding:
    """Dropped samples, a wrong firmware or a wrong model show here, if nowhere else."""
    return worst((subject.against_model(subject.answer(port)) for port in subject.ports), "no port moves the model")


@check("the answer to all ports at once is the nominal model's")
def together(subject: Subject) -> Finding:
    """Each with a share of its pulse, at its own time."""
    ports, spread = subject.ports, subject.steps // 4
    drives = {}
    for number, port in enumerate(ports):
        drives[port] = np.roll(subject.pulse(port), number * spread // len(ports)) * (-1) ** number / len(ports)
    return subject.against_model(subject.run(subject.shot(drives))[0])


@check("velocities are the slopes of positions")
def velocities(subject: Subject) -> Finding:
    """At the kick, the velocity of the leapfrog is the central difference of positions, to rounding."""
    declared = subject.capabilities
    sees, fast = declared.position_matrix.values, declared.velocity_matrix.values
    names, pairs = subject.velocities, []
    for row, name in zip(
        fast, names, strict=True
    ):  # the combination of position channels that this one is the slope of
        mix = np.linalg.lstsq(sees.T, row, rcond=None)[0]
        if np.allclose(sees.T @ mix, row):
            pairs.append((name, mix))
    findings = []
    for port in subject.ports:
        read = readings(subject.answer(port))
        for name, mix in pairs:
            positions = mix @ np.stack([read[item] for item in subject.positions])
            slope = (positions[2:] - positions[:-2]) / (2 * subject.step)
            found = read[name][1:-1]
            heard = np.sqrt(sum((m * subject.sigma(item)) ** 2 for m, item in zip(mix, subject.positions, strict=True)))
            coarse = sum(abs(m) * subject.code(item) for m, item in zip(mix, subject.positions, strict=True)) / 2
            noise = heard / (np.sqrt(2) * subject.step) * (1 + SIGMAS / np.sqrt(2 * found.size))
            allowed = (
                noise
                + coarse / subject.step
                + subject.slack(name, slope, 1)
                + (subject.tolerance + ROUNDING) * rms(slope)
            )
            findings.append(
                Finding(f"{name} under {port} is off by {rms(found - slope):.3g}", rms(found - slope), allowed)
            )
    return worst(findings, "no velocity channel belongs to position channels")


@check("the other sign of every port's pulse is answered as the model says")
def mirrored(subject: Subject) -> Finding:
    """A driver that takes magnitudes, or an output that cannot go below zero."""
    captures = subject.run(*(subject.shot({port: -subject.pulse(port)}) for port in subject.ports))
    return worst((subject.against_model(capture) for capture in captures), "no port moves the model")
