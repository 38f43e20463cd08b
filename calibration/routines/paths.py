"""Delays, gains and offsets of all paths, springs, friction and the flip, in one fit (`calibration.identify`).

One broadband push at every port; on rigs that flip, two more of all ports at once, opposite ones, whose ends are
reversed and left to themselves.  All of it twice, and the means are fitted; where equal shots differ by more than noise
(`calibration.repeats`), six times, and the errors are those of whole shots.
"""

from __future__ import annotations

import numpy as np

from calibration.finding import Curve, Finding, Measured
from calibration.fitted import modes_of, told_by
from calibration.identify import Identified, identify
from calibration.missing import missing_part
from calibration.path_model import Record
from calibration.repeats import ENOUGH, MOST, Spread, averaged, spread_of
from calibration.subject import Bench
from calibration.unknowns import Reference, Unknown, parameter_unknowns, path_unknowns
from labrhel.shots.operations import Protocol

TELLS_ALL = 1.5
"""Residual over noise up to which the model explains what the rig shows."""

CLOCK, PLAUSIBLE = "clock.rate", 1e-4
"""By how much the clock of the readings is slow against that of the outputs, and what is plausible of two crystals."""

_FLIP = 0.1
_LOUD = 0.35  # typical motion that all ports together cause in the shot that is flipped


class Paths:
    """The joint fit; values that the data do not tell (error above half of what is plausible) are not proposed."""

    name, title, needs, lifetime = "paths", "delays, gains, offsets, springs, friction, flip", ("noise", "signs"), 12.0

    def shots(self, bench: Bench) -> int:
        """At most: one shot a port, and two that are flipped, in each round."""
        return MOST * (len(bench.ports) + 2 * bench.can_flip)

    def measure(self, bench: Bench) -> Protocol[Finding]:
        """Everything by which the rig differs from its model."""
        if not bench.ports or not bench.channels:
            return Finding(failed="no port or no channel is left to calibrate")
        rounds, spread = [], None
        while len(rounds) < ENOUGH or (len(rounds) < MOST and spread is not None and not spread.is_noise):
            rounds.append((yield from self.records(bench)))
            spread = spread_of(rounds, bench.channels, bench.noise) if len(rounds) >= ENOUGH else None
        assert spread is not None
        kinds = enumerate(zip(*rounds, strict=True))
        records = [averaged(equal, number, spread.late) for number, equal in kinds]
        unknowns = self.unknowns(bench) + spread.unknowns(records, bench.step)
        found = identify(bench.model, records, bench.channels, bench.noise, unknowns)
        return _finding(bench, spread.widened(found), records, spread)

    def records(self, bench: Bench) -> Protocol[list[Record]]:
        """One round of shots."""
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
        # A short record hardly tells clocks apart (`calibration.routines.clock` does), but what they do is no delay.
        found = [Unknown(CLOCK, 0.0, PLAUSIBLE)]
        found += path_unknowns(bench.rig, bench.ports, bench.channels, bench.step, bench.reference, sizes)
        found += parameter_unknowns(bench.task.model, bench.theta, duration, bench.reference, bench.typical)
        if bench.can_flip:
            momentum = bench.typical * float(np.mean(bench.task.model.mass(bench.theta)))
            found.append(Unknown("flip.gain", 1.0, _FLIP))
            found += [Unknown(f"flip[{i}].offset", 0.0, _FLIP * momentum) for i in range(bench.rig.size)]
        return found


def _finding(bench: Bench, found: Identified, records: list[Record], spread: Spread) -> Finding:
    values, doubt = told_by(bench, found), ""
    words = [] if spread.is_noise else [spread.words(bench.step * bench.rig.time_unit)]
    # Of one shot, with what differs from shot to shot: what a check will find.
    repeats = records[0].repeats
    misfit = float(np.sqrt((found.misfit**2 + (repeats - 1) * spread.excess) / repeats))
    values["model.misfit"] = Measured(misfit, misfit / np.sqrt(2 * sum(r.size for r in found.residual)))
    if spread.gain:
        values["gain.jitter"] = Measured(spread.gain, spread.gain / np.sqrt(2 * len(records) * (repeats - 1)))
    if spread.late:
        late = spread.late * bench.step * bench.rig.time_unit
        values["trigger.jitter"] = Measured(late, late / np.sqrt(2 * len(records) * (repeats - 1)), "s")
    if not found.misfit <= spread.fits:
        doubt = f"the model leaves {found.misfit:.2g} times the noise unexplained: it lacks a term for something: "
        doubt += missing_part(bench, found, records)
        words.append(doubt)
    values |= modes_of(bench, found)
    curves = [_overlay(bench, found, records[0])]
    return Finding(values, words=tuple(words), curves=tuple(curves), doubt=doubt)


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
