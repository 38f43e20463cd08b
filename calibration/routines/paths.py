"""Delays, gains and offsets of all paths, springs, friction and the flip, in one fit (`calibration.identify`).

One broadband push at every port; on rigs that flip, two more of all ports at once, opposite ones, whose ends are
reversed and left to themselves.
"""

from __future__ import annotations

import numpy as np

from calibration.finding import Curve, Finding, Measured
from calibration.identify import FITS, Identified, identify
from calibration.missing import missing_part
from calibration.path_model import Record
from calibration.subject import Bench
from calibration.unknowns import Reference, Unknown, parameter_unknowns, path_unknowns
from labrhel.arrays import Array
from labrhel.shots.operations import Protocol

TELLS_ALL = 1.5
"""Residual over noise up to which the model explains what the rig shows."""

_FLIP = 0.1
_LOUD = 0.35  # typical motion that all ports together cause in the shot that is flipped


class Paths:
    """The joint fit; values that the data do not tell (error above half of what is plausible) are not proposed."""

    name, title, needs, lifetime = "paths", "delays, gains, offsets, springs, friction, flip", ("noise", "signs"), 12.0

    def shots(self, bench: Bench) -> int:
        """One shot a port, and two that are flipped."""
        return len(bench.ports) + 2 * bench.can_flip

    def measure(self, bench: Bench) -> Protocol[Finding]:
        """Everything by which the rig differs from its model."""
        if not bench.ports or not bench.channels:
            return Finding(failed="no port or no channel is left to calibrate")
        records = yield from self.records(bench)
        found = identify(bench.model, records, bench.channels, bench.noise, self.unknowns(bench))
        return _finding(bench, found, records)

    def records(self, bench: Bench) -> Protocol[list[Record]]:
        """The shots of the fit."""
        waves = [{port: bench.amplitude(port) * bench.multisine(0)} for port in bench.ports]
        records = yield from bench.fire(waves)
        if bench.can_flip:
            share = _LOUD / len(bench.ports) ** 0.5
            every = {port: bench.amplitude(port, share) * bench.multisine(1 + i) for i, port in enumerate(bench.ports)}
            # From one end state alone gain and offset of a flip cannot be told apart; from opposite ones they can.
            other = {port: -wave for port, wave in every.items()}
            records += yield from bench.fire([every, other], flip=True)
        return records

    def unknowns(self, bench: Bench) -> list[Unknown]:
        """The unknowns that the fit asks for."""
        sizes = {name: bench.size(name) for name in (*bench.ports, *bench.channels)}
        duration = bench.steps * bench.step
        found = path_unknowns(bench.rig, bench.ports, bench.channels, bench.step, bench.reference, sizes)
        found += parameter_unknowns(bench.task.model, bench.theta, duration, bench.reference, bench.typical)
        if bench.can_flip:
            momentum = bench.typical * float(np.mean(bench.task.model.mass(bench.theta)))
            found.append(Unknown("flip.gain", 1.0, _FLIP))
            found += [Unknown(f"flip[{i}].offset", 0.0, _FLIP * momentum) for i in range(bench.rig.size)]
        return found


def _finding(bench: Bench, found: Identified, records: list[Record]) -> Finding:
    values = {}
    doubt = ""
    for item, value, error in zip(found.unknowns, found.values, found.errors, strict=True):
        if error > item.spread / 2:
            continue  # the data say no more than was plausible before
        scale = bench.rig.time_unit if item.quantity == "delay" else 1.0
        values[item.name] = Measured(float(value) * scale, float(error) * scale, item.unit)
    if not bench.can_flip:
        values |= _relative_delays(bench, found)  # a flip comes at a time of its own, and tells the rest
    values["model.misfit"] = Measured(found.misfit, found.misfit / np.sqrt(2 * sum(r.size for r in found.residual)))
    if found.misfit > FITS:
        doubt = f"the model leaves {found.misfit:.2g} times the noise unexplained: it lacks a term for something: "
        doubt += missing_part(bench, found, records)
    values |= _modes(bench, found)
    curves = [_overlay(bench, found, records[0])]
    return Finding(values, words=(doubt,) if doubt else (), curves=tuple(curves), doubt=doubt)


def _relative_delays(bench: Bench, found: Identified) -> dict[str, Measured]:
    """Delays counted from the first channel's, and their errors: only sums of a port's and a channel's show."""
    names = [item.name for item in found.unknowns]
    first = names.index(f"{bench.channels[0]}.delay")
    values = {}
    for index, name in enumerate(names):
        subject, _, quantity = name.rpartition(".")
        if quantity != "delay":
            continue
        sign = 1.0 if subject in bench.ports else -1.0
        row = np.zeros(len(names))
        row[index] += 1.0
        row[first] += sign
        value = float(row @ found.values) * bench.rig.time_unit
        error = float(np.sqrt(max(row @ found.covariance @ row, 0.0))) * bench.rig.time_unit
        values[name] = Measured(value, error, "s")
    return values


def _modes(bench: Bench, found: Identified) -> dict[str, Measured]:
    """Frequency [Hz] and rate of energy loss [1/s] of every mode, with errors carried over from the fit."""
    from calibration.unknowns import moved

    model, names = bench.task.model, [item.name for item in found.unknowns]

    def of(x: Array) -> Array:
        theta = moved(model, bench.theta, dict(zip(names, x, strict=True)))
        n, mass = model.size, model.mass(theta)
        h = 1e-6 * bench.typical
        eye = h * np.eye(n)
        stiffness = -(model.force(eye, theta) - model.force(-eye, theta)) / (2 * h)
        state = np.block([
            [np.zeros((n, n)), np.eye(n)],
            [-stiffness / mass[:, None], -model.friction(theta) / mass[:, None]],
        ])  # fmt: skip
        rates = np.linalg.eigvals(state)
        rates = rates[np.imag(rates) > 0]
        rates = rates[np.argsort(np.imag(rates))]
        full = np.full(2 * n, np.nan)
        full[: len(rates)], full[n : n + len(rates)] = np.imag(rates) / (2 * np.pi), -2 * np.real(rates)
        return full / bench.rig.time_unit

    here = of(found.values)
    slopes = np.empty((len(here), len(found.values)))
    for index, error in enumerate(found.errors):
        shifted = found.values.copy()
        shifted[index] += 0.1 * error
        slopes[:, index] = (of(shifted) - here) / (0.1 * error)
    spread = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", slopes, found.covariance, slopes), 0.0))
    n, values = model.size, {}
    for mode in range(n):
        if np.isfinite(here[mode]):
            values[f"mode[{mode}].frequency"] = Measured(float(here[mode]), float(spread[mode]), "Hz")
            values[f"mode[{mode}].loss"] = Measured(float(here[n + mode]), float(spread[n + mode]), "1/s")
    return values


def _overlay(bench: Bench, found: Identified, record: Record) -> Curve:
    name = bench.channels[0]
    predicted, _ = bench.model.shows(record, found.by_name, bench.channels, len(record.shown[name]))
    axis = bench.step * bench.rig.time_unit * np.arange(predicted.shape[1])
    lines = {"shown": record.shown[name], "calibrated model": predicted[0]}
    nominal, _ = bench.model.shows(record, {}, bench.channels, predicted.shape[1])
    lines["nominal model"] = nominal[0]
    (port,) = record.played
    return Curve(f"{name} while {port} pushes", "time [s]", name, axis, lines)


def reference_words(bench: Bench) -> str:
    """Say in words which instrument the gains are referred to."""
    first = bench.channels[0] if bench.channels else "the first channel"
    gains = f"the declared masses and the gain of {first}"
    trusted = {
        Reference.MASSES: gains,
        Reference.GAINS: "the gains of all channels, and the first mass",
        Reference.BOTH: "the gains of all channels, and all masses",
    }[bench.reference]
    return trusted if bench.can_flip else f"{trusted}, and the delay of {first}"
