"""Does i move j as much as j moves i?  The same gentle push at every oscillator in turn, and the answers compared.

From rest, and while it is linear, a reciprocal rig with any symmetric friction gives q_j(push at i) = q_i(push at j).
"""

from __future__ import annotations

import numpy as np

from calibration.finding import Finding, Measured
from calibration.path_model import Record
from calibration.subject import Bench
from labrhel.rig.capabilities import Kind
from labrhel.shots.operations import Protocol

GENTLE = 0.1
"""Of the typical motion: anharmonic terms are a hundredth of what they are there."""

FAILS = 0.03
"""Asymmetry from which rules that send the error through the rig are off by several per cent."""


class Reciprocity:
    """Asymmetry of the rig: rms difference of the crossed answers over their size, noise taken off."""

    name, title, needs, lifetime = "reciprocity", "reciprocity", ("paths",), 30 * 24.0

    def shots(self, bench: Bench) -> int:
        """One a force port whose oscillator is seen; none for a single oscillator."""
        return len(self._pairs(bench)) if bench.rig.size > 1 else 0

    def measure(self, bench: Bench) -> Protocol[Finding]:
        """Measure one number and its standard error."""
        if bench.rig.size < 2:
            return Finding(words=("a single oscillator is reciprocal",))
        pairs = self._pairs(bench)
        if len(pairs) < 2:
            return Finding(failed="fewer than two oscillators are both pushed and seen")
        amplitude = min(bench.amplitude(port, GENTLE) for port, _ in pairs)
        wave = amplitude * bench.multisine(0)
        waves = [{port: wave / bench.values.get(f"{port}.gain", 1.0)} for port, _ in pairs]
        records = yield from bench.fire(waves)
        above = below = noise = 0.0
        model = bench.model
        rest, _ = model.shows(Record({}, {}), bench.values, bench.channels, bench.steps)
        silent = dict(zip(bench.channels, rest, strict=True))
        for i, (_, seen_i) in enumerate(pairs):
            for j in range(i):
                crossed = []
                for shot, name in ((records[j], seen_i), (records[i], pairs[j][1])):
                    gain = bench.values.get(f"{name}.gain", 1.0)
                    crossed.append(gain * (shot.shown[name] - silent[name]))
                    noise += (gain * bench.noise[name]) ** 2 * bench.steps
                # Delays of the paths differ by fractions of a sample: let the model say what they alone would do.
                delays = {name: value for name, value in bench.values.items() if name.endswith(".delay")}
                expected = [
                    model.shows(shot, {**bench.values, **extra}, (name,), bench.steps)[0][0]
                    * bench.values.get(f"{name}.gain", 1.0)
                    for shot, name in ((records[j], seen_i), (records[i], pairs[j][1]))
                    for extra in ({}, dict.fromkeys(delays, 0.0))
                ]
                late = (expected[0] - expected[1]) - (expected[2] - expected[3])
                above += float(np.sum((crossed[0] - crossed[1] - late) ** 2))
                below += float(np.sum(crossed[0] ** 2 + crossed[1] ** 2)) / 2
        asymmetry = float(np.sqrt(max(above - noise, 0.0) / max(below, 1e-300)))
        error = float(np.sqrt(noise / max(below, 1e-300)) / (2 * len(pairs)) ** 0.5)
        words = ()
        if asymmetry > FAILS + 3 * error:
            words = (
                f"couplings are not reciprocal ({100 * asymmetry:.0f} %): gradients by echoes are biased by as much",
            )
        return Finding({"reciprocity.asymmetry": Measured(asymmetry, error)}, words=words)

    def _pairs(self, bench: Bench) -> list[tuple[str, str]]:
        """Force ports with the channel that sees what they push."""
        rig, found = bench.rig, []
        for index, port in enumerate(rig.ports_of(Kind.FORCE)):
            for row, channel in enumerate(rig.channels_of(Kind.POSITION)):
                alone = np.count_nonzero(rig.position_matrix.values[row]) == 1
                pushes = rig.drive_matrix.values[:, index]
                same = np.array_equal(np.flatnonzero(pushes), np.flatnonzero(rig.position_matrix.values[row]))
                if alone and same and port in bench.ports and channel in bench.channels:
                    found.append((port, channel))
        return found
