"""How long is a calibration good?  The same shot again and again; Allan deviation of how far it has moved.

Each shot is compared with the mean of all along the direction in which they move most; what exceeds the noise of the
readings is drift of the rig.  The time until it reaches a hundredth of the motion is proposed as the lifetime of what
depends on the rig.
"""

from __future__ import annotations

import numpy as np

from calibration.finding import Curve, Finding, Measured
from calibration.subject import Bench
from labrhel.arrays import Array
from labrhel.shots.operations import Protocol

SHOTS = 16
TOLERATED = 0.01


class Drift:
    """Drift of the rig per shot, relative to its motion."""

    name, title, needs, lifetime = "drift", "drift", ("signs",), 24.0

    def shots(self, bench: Bench) -> int:
        """Number of shots that the routine fires."""
        return SHOTS

    def measure(self, bench: Bench) -> Protocol[Finding]:
        """Measure slope and Allan deviation of every reading."""
        port = bench.ports[0]
        wave = {port: bench.amplitude(port) * bench.multisine(0)}
        records = yield from bench.fire([wave] * SHOTS)
        rows = np.stack([np.concatenate([record.shown[name] for name in bench.channels]) for record in records])
        size = float(np.sqrt(np.mean(rows**2)))
        away = rows - rows.mean(axis=0)
        number = np.arange(SHOTS) - (SHOTS - 1) / 2
        slope = number @ away / float(np.sum(number**2))  # of every reading, per shot
        sigma = np.repeat([bench.noise[name] for name in bench.channels], bench.steps)
        noise = float(np.mean(sigma**2)) / float(np.sum(number**2))
        power = float(np.mean(slope**2)) - noise
        per_shot = float(np.sqrt(max(power, 0.0))) / size
        error = float(np.sqrt(noise * np.sqrt(2 / rows.shape[1]))) / size
        direction = slope / max(float(np.linalg.norm(slope)), 1e-300)
        allan = _allan(away @ direction / (size * np.sqrt(rows.shape[1])))
        words = ()
        if per_shot > 3 * error:
            words = (f"the rig drifts by {per_shot:.2g} of its motion a shot: calibrate again after "
                     f"{TOLERATED / per_shot:.0f} shots, and take protocol: {{order: abba}}",)  # fmt: skip
        axis = 2.0 ** np.arange(len(allan))
        curve = Curve("Allan deviation", "shots", "relative", axis, {"rig": allan}, logarithmic=True)
        return Finding({"drift.per_shot": Measured(per_shot, max(error, 1e-15))}, words=words, curves=(curve,))


def _allan(samples: Array) -> Array:
    """Deviation at averages over 1, 2, 4 ... samples."""
    found = []
    while len(samples) >= 4:
        found.append(float(np.sqrt(np.mean(np.diff(samples) ** 2) / 2)))
        samples = samples[: len(samples) // 2 * 2].reshape(-1, 2).mean(axis=1)
    return np.array(found)
