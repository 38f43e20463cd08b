"""The way between a terminal and the rig: gain, offset, cable delay and AC coupling, of every port and channel.

A path is described as a calibration describes it (labrhel.rig.calibration), so that a calibration with the true
values corrects it: for a port  reaches(t) = gain * played(t - delay) + offset,  for a channel
shows(t) = (there(t - delay) - offset) / gain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from labrhel.arrays import Array
from simbackend.imperfections.draws import stream
from simbackend.imperfections.imperfection import Acting, Place, acting

QUANTITIES = ("gain", "offset", "delay")
"""What may be given exactly, by `subject.quantity`."""


@dataclass(frozen=True, slots=True)
class Path:
    """One path: gain [1], offset [unit], delay [time], corner of the AC coupling [1/time] (0: DC)."""

    gain: float = 1.0
    offset: float = 0.0
    delay: float = 0.0
    corner: float = 0.0


@dataclass(frozen=True, slots=True)
class PathErrors:
    """Errors of all ports, or of all channels; each 0: off.

    `gain`: rms deviation from 1 [1]; `offset`: rms [unit]; `skew`: rms of the delays against each other [time]; each
    drawn for every path from the seed.  `delay`: common to all [time]; `corner`: of the AC coupling, a first-order
    high-pass [1/time].  `jitter`: rms of the gain from shot to shot [1], of ports only.  `exact`: values by
    `subject.quantity`, in place of the drawn ones; a subject is a name, such as f1, or a kind: input, force, position,
    velocity.
    """

    gain: float = 0.0
    offset: float = 0.0
    delay: float = 0.0
    skew: float = 0.0
    corner: float = 0.0
    jitter: float = 0.0
    exact: Mapping[str, float] = field(default_factory=dict)

    def of(self, name: str, kind: str, seed: int) -> Path:
        """The path of one port or channel of device `seed`."""
        drawn = dict(zip(QUANTITIES, stream(seed, "path", name).standard_normal(3), strict=True))
        values = {
            "gain": 1 + self.gain * drawn["gain"],
            "offset": self.offset * drawn["offset"],
            "delay": self.delay + self.skew * drawn["delay"],
        }
        for quantity in QUANTITIES:
            for subject in (kind, name):
                values[quantity] = self.exact.get(f"{subject}.{quantity}", values[quantity])
        return Path(**values, corner=self.corner)

    def acts_on_ports(self, paths: Iterable[Path]) -> Acting:
        """Which settings are on, and where, if these paths of ports have been drawn by them."""
        drawn = list(paths)
        return acting(
            ("port_gain", any(path.gain != 1 for path in drawn), Place.PORTS),
            ("port_offset", any(path.offset for path in drawn), Place.PORTS),
            ("delay", any(path.delay for path in drawn), Place.PORTS),
            ("port_highpass", self.corner, Place.PORT_COUPLING),
            ("gain_jitter", self.jitter, Place.PORT_SIGNALS),
        )

    def acts_on_channels(self, paths: Iterable[Path]) -> Acting:
        """The same for paths of channels."""
        drawn = list(paths)
        return acting(
            ("channel_gain", any(path.gain != 1 for path in drawn), Place.CHANNELS),
            ("channel_offset", any(path.offset for path in drawn), Place.CHANNELS),
            ("channel_delay", any(path.delay for path in drawn), Place.CHANNEL_DELAYS),
            ("channel_highpass", self.corner, Place.CHANNEL_COUPLING),
        )

    def jittered(self, path: Path, name: str, seed: int, shot: int) -> Path:
        """The path as one shot finds it."""
        if not self.jitter:
            return path
        drawn = float(stream(seed, "gain", name, shot).standard_normal())
        return replace(path, gain=path.gain * (1 + self.jitter * drawn))


def high_pass(values: Array, step: float, corner: float) -> Array:
    """First-order high-pass of samples (n,) every `step`, exact for a signal that is straight between them.

    y' = x' - w y,  w = 2 pi corner:  y_0 = x_0 (an uncharged capacitor),  y_k = a y_(k-1) + b (x_k - x_(k-1)),
    a = exp(-w d), b = (1 - a)/(w d).
    """
    from scipy.signal import lfilter

    turned = 2 * np.pi * corner * step
    a = np.exp(-turned)
    b = (1 - a) / turned
    return np.asarray(lfilter([b, -b], [1, -a], values, zi=[(1 - b) * values[0]])[0])
