"""Does twice the voltage push twice as hard?  Gain of every port at a quarter, at half and at its full push."""

from __future__ import annotations

import numpy as np

from calibration.finding import Curve, Finding, Measured
from calibration.subject import Bench
from labrhel.shots.operations import Protocol

LEVELS = (0.25, 0.5, 1.0)
BENT = 0.01
"""Relative change of a gain that is worth a word."""


class Linearity:
    """Largest change of each port's gain with how hard it pushes, by the calibrated model."""

    name, title, needs, lifetime = "linearity", "linearity of the ports", ("paths",), 7 * 24.0

    def shots(self, bench: Bench) -> int:
        """One shot at each level of each port."""
        return len(LEVELS) * len(bench.ports)

    def measure(self, bench: Bench) -> Protocol[Finding]:
        """Measure the linearity of every port."""
        waves = [{port: level * bench.amplitude(port) * bench.multisine(0)} for port in bench.ports for level in LEVELS]
        records = iter((yield from bench.fire(waves)))
        values, words, lines = {}, [], {}
        sigma = np.array([bench.noise[name] for name in bench.channels])[:, None]
        for port in bench.ports:
            gains, errors = [], []
            for _ in LEVELS:
                record = next(records)
                shown = np.stack([record.shown[name] for name in bench.channels])
                predicted, _ = bench.model.shows(record, bench.values, bench.channels, shown.shape[1])
                louder = type(record)({port: 1.01 * record.played[port]}, record.shown)
                slope = (bench.model.shows(louder, bench.values, bench.channels, shown.shape[1])[0] - predicted) / 0.01
                weight = float(np.sum((slope / sigma) ** 2))
                gains.append(1 + float(np.sum(slope * (shown - predicted) / sigma**2)) / weight)
                errors.append(weight**-0.5)
            bend = float(np.ptp(gains))
            error = float(np.hypot(errors[0], errors[-1]))
            values[f"{port}.bend"] = Measured(bend, error)
            lines[port] = np.array(gains)
            if bend > BENT + 3 * error:
                words.append(f"port {port} changes its gain by {100 * bend:.1f} % with how hard it pushes")
        curve = Curve("gain against push", "share of the full push", "gain", np.array(LEVELS), lines)
        return Finding(values, words=tuple(words), curves=(curve,))
