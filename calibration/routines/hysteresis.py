"""Does it matter from which side a knob was turned?  Set from below, set from above, and the answers compared.

The backlash is the change of the parameter, relative to its size, that would explain the difference by the model.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from calibration.finding import Finding, Measured
from calibration.path_model import BenchModel, Record
from calibration.subject import Bench
from labrhel.arrays import Array
from labrhel.shots.operations import Configure, Protocol

SWING = 0.1
"""Of its value, by which a knob is turned away before it comes back."""

WORTH = 0.002


class Hysteresis:
    """Backlash of every knob that is trained."""

    name, title, needs, lifetime = "hysteresis", "hysteresis of the knobs", ("paths",), 30 * 24.0

    def shots(self, bench: Bench) -> int:
        """Two shots a knob: one from below, one from above."""
        return 2 * len(self._knobs(bench))

    def measure(self, bench: Bench) -> Protocol[Finding]:
        """Of every trained knob, all its entries together."""
        port = bench.ports[0]
        wave = {port: bench.amplitude(port) * bench.multisine(0)}
        values, words = {}, []
        for name in self._knobs(bench):
            records: list[Record] = []
            setting = np.asarray(bench.theta[name], float)
            for side in (1 - SWING, 1 + SWING):
                yield Configure({name: side * setting})
                yield Configure({name: setting})
                records += yield from bench.fire([wave])
            backlash, error = _explained(bench, name, records)
            values[f"{name}.backlash"] = Measured(backlash, error)
            if abs(backlash) > WORTH + 3 * error:
                words.append(
                    f"knob {name} is {100 * abs(backlash):.2g} % off by the side it is turned from: let it "
                    f"overshoot by more than that (approach: {{overshoot: ...}} of the knob, in the station file "
                    "or the map)"
                )
        return Finding(values, words=tuple(words))

    def _knobs(self, bench: Bench) -> list[str]:
        known = {knob.name for knob in bench.rig.knobs}
        specs = bench.task.model.parameters
        return [name for name in bench.wanted if name in known and specs[name].kind == "potential"]


def _explained(bench: Bench, name: str, records: list[Record]) -> tuple[float, float]:
    """Relative change of a parameter that takes the first record to the second, and its standard error."""
    shown = [_rows(record.shown, bench) for record in records]
    ends = []
    for factor in (1.0, 1.01):
        theta = {**bench.theta, name: factor * np.asarray(bench.theta[name], float)}
        model = BenchModel(bench.task.model, theta, bench.rig, bench.step)
        ends.append(model.shows(records[0], bench.values, bench.channels, bench.steps)[0])
    sigma = np.array([bench.noise[channel] for channel in bench.channels])[:, None]
    slope = (ends[1] - ends[0]) / 0.01 / sigma
    weight = float(np.sum(slope**2)) or 1.0
    return float(np.sum(slope * (shown[1] - shown[0]) / sigma)) / weight, float(np.sqrt(2 / weight))


def _rows(shown: Mapping[str, Array], bench: Bench) -> Array:
    return np.stack([shown[channel] for channel in bench.channels])
