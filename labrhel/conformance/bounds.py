"""What a rig declares, through its wires, and how far two answers may therefore lie apart.

    noise * (1 + 5/sqrt(2 N))      rms of N samples, at five standard errors of an rms
    half a code                    of the converter, whatever the noise
    5 * jitter * slope             five standard deviations of the trigger; times sqrt(n) for n of them
    1e-6 of the signal             rounding of a rig that computes in single precision

and, against the model, `tolerance` of the signal: how well the nominal model is said to know the rig.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.conformance.finding import Finding, worst
from labrhel.rig.capabilities import Capabilities, Channel, Converter, Kind, Limits
from labrhel.rig.model_side import model_side
from labrhel.rig.wiring import Wiring
from labrhel.shots.capture import Capture

SIGMAS = 5.0
"""Standard errors that a deviation may have: one false alarm in 1.7 million."""
ROUNDING = 1e-6
TOLERANCE = 0.02
"""Relative error of the nominal response that passes: calibration begins where gains are known this well."""

_SHARE = 0.25  # of its range that a channel is driven to at most
_MOTION = 0.5  # model units that a position is driven to: models are scaled to motions of order one


class Bounds:
    """The numbers of a data sheet, through the wires; `steps` kicks in a pass, `step` [model time] apart."""

    wiring: Wiring
    step: float
    steps: int
    tolerance: float

    @property
    def capabilities(self) -> Capabilities:
        """What the rig declares."""
        raise NotImplementedError

    @property
    def seen(self) -> Capabilities:
        """What the rig declares, in model units."""
        return model_side(self.capabilities, self.wiring)

    def channel_at(self, name: str) -> Channel:
        """A channel by name, in model units."""
        return self.seen.channel(name)

    def wanted_motion(self, channel: str) -> float:
        """How far a channel is driven [model unit]: half a unit of position, at most a quarter of its range."""
        most = _MOTION if self.channel_at(channel).kind is Kind.POSITION else np.inf
        return min(most, _SHARE * self.reach_of_channel(channel))

    def reach_of_port(self, name: str) -> float:
        """The largest value of both signs that limits, slew and converter let a port play [model unit]."""
        port = self.seen.port(name)
        reach = min(_reach(port.limits), _reach(port.converter))
        if port.limits.slew is not None:  # the pulse is steepest where it climbs by pi * height in its whole length
            steepest = np.pi / (self.steps // 4 * self.step * self.capabilities.time_unit)
            reach = min(reach, port.limits.slew / steepest)
        return reach

    def reach_of_channel(self, name: str) -> float:
        """The largest value of both signs that a channel shows [model unit]."""
        return _reach(self.channel_at(name).converter)

    def noise(self, channel: str) -> float:
        """Declared noise of a sample [model unit, rms]."""
        return self.channel_at(channel).noise

    def code(self, channel: str) -> float:
        """One code of the channel's converter [model unit]; 0 without."""
        converter = self.channel_at(channel).converter
        return 0.0 if converter is None else converter.lsb

    def sigma(self, channel: str) -> float:
        """Standard deviation of a sample by noise and rounding to codes [model unit]."""
        return float(np.hypot(self.noise(channel), self.code(channel) / np.sqrt(12)))

    @property
    def jitter(self) -> float:
        """The largest jitter of a trigger [model time]."""
        return max(item.jitter for item in self.capabilities.triggers) / self.capabilities.time_unit

    def slack(self, channel: str, signal: Array, traces: int = 2, triggers: int | None = None) -> float:
        """Rms by which sums and differences of `traces` readings of a signal may be off, by what is declared.

        `triggers`: how many triggers had a part in them, an echo's forward pass included; one a reading by default.
        """
        noise = self.noise(channel) * np.sqrt(traces) * (1 + SIGMAS / np.sqrt(2 * signal.size))
        late = self.late(signal) * np.sqrt(traces if triggers is None else triggers)
        return float(np.hypot(noise, traces * self.code(channel) / 2) + late + ROUNDING * rms(signal))

    def late(self, signal: Array) -> float:
        """Rms by which a signal is off when its trigger comes five standard deviations late or early."""
        return SIGMAS * self.jitter / self.step * rms(np.gradient(signal)) if self.jitter and signal.size > 1 else 0.0

    def compare(
        self,
        found: Arrays,
        expected: Arrays,
        *,
        traces: int = 2,
        triggers: int | None = None,
        share: float = 0.0,
        nothing: str = "nothing is read",
    ) -> Finding:
        """How far traces (samples,) lie from what is expected of them, by channel, rms; the worst of them.

        `traces`: how many readings go into each difference (1: against the model); `triggers` as in `slack`; `share`
        of the largest signal of the kind is allowed as well.
        """
        largest: dict[Kind, float] = {}
        for name, trace in expected.items():
            kind = self.channel_at(name).kind
            largest[kind] = max(largest.get(kind, 0.0), rms(trace))
        findings = []
        for name, trace in found.items():
            off = trace - expected[name]
            scale = (share + ROUNDING) * largest[self.channel_at(name).kind]
            allowed = self.slack(name, expected[name], traces, triggers) + scale
            findings.append(
                Finding(f"{name} differs by {rms(off):.3g} rms of {rms(expected[name]):.3g}", rms(off), allowed)
            )
        return worst(findings, nothing)


def _reach(ends: Limits | Converter | None) -> float:
    """The largest value that lies inside with either sign."""
    return np.inf if ends is None else max(0.0, min(-ends.low, ends.high))


def readings(
    capture: Capture, index: int = -1, names: Iterable[str] | None = None, repeat: int = 0
) -> dict[str, Array]:
    """One repeat of the traces of a pass, by channel (samples,)."""
    traces = capture.passes[index].traces
    return {name: np.asarray(traces[name].values)[repeat] for name in (traces if names is None else names)}


def rms(values: Array) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(np.square(values)))) if np.size(values) else 0.0
