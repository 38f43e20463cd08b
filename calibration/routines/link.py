"""How long does a shot take beyond its time on the rig?  Latency of the link, and how much it varies."""

from __future__ import annotations

import numpy as np

from calibration.finding import Finding, Measured
from calibration.subject import Bench
from labrhel.shots.operations import Protocol

SHOTS = 8
_SLOW = 10.0  # of the median: a shot that was held up


class Link:
    """Median and spread of the time from asking for a shot to its readings, its time on the rig taken off."""

    name, title, needs, lifetime = "link", "latency of the link", (), 30 * 24.0

    def shots(self, bench: Bench) -> int:
        """Number of shots that the routine fires."""
        return SHOTS

    def measure(self, bench: Bench) -> Protocol[Finding]:
        """Measure what a shot costs beside its own time [s]."""
        took = []
        for _ in range(SHOTS):
            begin = bench.clock()
            yield from bench.fire([{}])
            took.append(bench.clock() - begin - bench.steps * bench.step * bench.rig.time_unit - bench.rig.pause)
        median, jitter = float(np.median(took)), float(np.std(took[1:], ddof=1))  # the first opens what is lazy
        words = ()
        if max(took[1:]) > _SLOW * max(median, 1e-3):
            words = (f"one shot took {max(took):.2g} s longer than the rig needs; the median is {median:.2g} s",)
        error = jitter / np.sqrt(SHOTS)
        values = {"link.latency": Measured(median, error, "s"), "link.jitter": Measured(jitter, jitter / 4, "s")}
        return Finding(values, words=words)
