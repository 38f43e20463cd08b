"""By how much the clock of the readings is slow against that of the outputs, from how delays grow along a long record.

    shows(t) = there((1 + rate) t - delay):        a delay that grows by rate, n samples tell it to ~ noise / n^(3/2)

All ports push at once for as long as eight passes; whatever else was fitted may move within its standard errors.
Clocks that are apart by r put a sample at the end of a pass of time T off by r T, and a delay of a thousandth of the
fastest period is a per cent of a gradient: what is not known so well is proposed, and not accepted by rule.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calibration.finding import Finding, Measured
from calibration.identify import FITS, identify
from calibration.path_model import Record
from calibration.routines.paths import CLOCK, PLAUSIBLE, Paths
from calibration.subject import Bench
from calibration.unknowns import Unknown
from labrhel.errors import ProgramError
from labrhel.shots.operations import Protocol

PASSES, LONGEST = 8, 2000
"""Length of the record in passes, and in kicks, beyond which it is one pass."""

FINE = 1e-3
"""Of the fastest period: a delay that does not matter."""

_SHARE = 0.35  # of the typical motion, that all ports cause together
_TOLD = 3.0  # standard errors


class Clock:
    """`clock.rate` [1] and its standard error, from one long shot."""

    name, title, needs, lifetime = "clock", "clock of the readings against that of the outputs", ("paths",), 7 * 24.0

    def shots(self, bench: Bench) -> int:
        """One long one."""
        return 1

    def measure(self, bench: Bench) -> Protocol[Finding]:
        """Fit the rate to one long record; fails where it clips, or the model has no motion for so long."""
        steps = max(bench.steps, min(PASSES * bench.steps, LONGEST))
        try:
            records = yield from self.records(bench, steps)
        except ProgramError:  # more than a port or a channel holds
            steps = bench.steps
            records = yield from self.records(bench, steps)
        if any(records[0].over_range.values()):
            return Finding(failed="a long push drives a channel beyond its range; widen it, or drive less")
        found = identify(bench.model, records, bench.channels, bench.noise, self.unknowns(bench))
        if not np.isfinite(found.misfit):
            return Finding(failed="the model has no bounded motion over a long record")
        rate, error = float(found.values[0]), float(found.errors[0])
        doubt = ""
        if found.misfit > FITS:
            doubt = f"over a long record the model leaves {found.misfit:.2g} times the noise unexplained"
        elif _TOLD * error > max(self.wanted(bench), abs(rate)):
            doubt = (
                f"a record of {steps} kicks is too short to see the clocks apart: they agree to {1e6 * error:.2g} ppm, "
                f"and {1e6 * self.wanted(bench) / _TOLD:.2g} ppm matter in a pass"
            )
        return Finding({CLOCK: Measured(rate, error)}, words=(doubt,) if doubt else (), doubt=doubt)

    def records(self, bench: Bench, steps: int) -> Protocol[list[Record]]:
        """The shot of the fit."""
        share = _SHARE / len(bench.ports) ** 0.5
        waves = {
            port: bench.amplitude(port, share) * bench.multisine(1 + number, steps)
            for number, port in enumerate(bench.ports)
        }
        return (yield from bench.fire([waves]))

    def unknowns(self, bench: Bench) -> list[Unknown]:
        """The rate, and what the paths have found, within its errors; triggers that jitter make a delay uncertain."""
        late = bench.values.get("trigger.jitter", 0.0) / bench.rig.time_unit
        found = [Unknown(CLOCK, 0.0, PLAUSIBLE)]
        for item in Paths().unknowns(bench):
            if item.name in bench.errors and not item.name.startswith("flip"):
                wide = bench.errors[item.name] if item.quantity != "delay" else np.hypot(bench.errors[item.name], late)
                found.append(replace(item, start=bench.values[item.name], spread=float(wide)))
        return found

    def wanted(self, bench: Bench) -> float:
        """The rate that shifts the end of a pass by a thousandth of the fastest period."""
        fastest = np.pi * bench.task.model.largest_step(bench.theta)  # which is 2/omega
        return FINE * fastest / (bench.steps * bench.step)
