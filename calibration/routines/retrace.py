"""How well does the rig come back, and how far?  Un-nudged echoes of growing length: the reversibility budget.

The miss is counted over the noise of the readings and relative to the motion.  A flip that is off, friction that is not
what it seems and drift all grow with the length of the echo; the length up to which the miss stays below a hundredth is
what the rig is good for without an echo lock.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calibration.finding import REFUSED, Curve, Finding, Measured
from calibration.subject import Bench
from labrhel.learning.task import TrialSequence
from labrhel.shots.capture import Capture
from labrhel.shots.operations import Configure, Protocol, RunShots
from protocols.forward.forward import read_forward
from protocols.forward.geometry import Geometry
from protocols.rhel import RHEL

LENGTHS = (0.25, 0.5, 1.0)
GOOD = 0.01


class Retrace:
    """Retrace error by length of the echo, as calibrated."""

    name, title, needs, lifetime = "retrace", "retrace against echo time", ("paths",), 12.0

    def shots(self, bench: Bench) -> int:
        """A forward pass and an echo at each length."""
        return 2 * len(LENGTHS)

    def measure(self, bench: Bench) -> Protocol[Finding]:
        """Measure the retrace residual at each length of a pass."""
        task, rule = bench.task, RHEL()
        geometry = Geometry(task.capabilities)
        yield Configure(task.rig_parameters(bench.theta))
        plan = rule.plan(task, bench.theta, ())
        misses, times, floor = [], [], 0.0
        clipped: dict[str, int] = {}
        for share in LENGTHS:
            sequence = _shortened(bench.sequences[0], share)
            try:
                captures: list[Capture] = yield RunShots((task.forward(sequence, bench.theta, geometry.channels),))
                batch = read_forward(task, geometry, [sequence], captures, bench.theta)
                drives = plan.drives(batch.passes)
                echoes: list[Capture] = yield RunShots(plan.still_programs(batch.passes, drives))
            except REFUSED as error:
                return Finding(failed=str(error))
            for name, trace in captures[0].last.traces.items():
                clipped[name] = max(clipped.get(name, 0), trace.over_range)
            item = batch.passes[0]
            miss = plan.positions(echoes[0])[:, -item.steps :] - item.q[:, ::-1]
            power = float(np.sum(miss**2)) - 2 * item.steps * float(np.sum(geometry.noise**2))
            misses.append(float(np.sqrt(max(power, 0.0) / batch.size)))
            floor = float(np.sqrt(2 * np.sum(geometry.noise**2) / batch.size))
            times.append(item.steps * task.step * task.capabilities.time_unit)
        values = {"retrace.error": Measured(misses[-1], max(floor, 1e-12))}
        words = [
            f"channel {name} clips in {count} samples of the first training sequence: widen its range, or drive less"
            for name, count in clipped.items()
            if count
        ]
        if misses[-1] > GOOD:
            good = [time for time, miss in zip(times, misses, strict=True) if miss <= GOOD]
            budget = f"up to {1e3 * good[-1]:.3g} ms" if good else "at no length tried"
            words.append(
                f"the whole echo misses by {misses[-1]:.2g}, below {GOOD:g} {budget}: take protocol: {{lock: 6}}"
            )
        curve = Curve(
            "retrace error",
            "echo time [s]",
            "miss / motion",
            np.array(times),
            {"miss": np.array(misses)},
            logarithmic=True,
        )
        return Finding(values, words=tuple(words), curves=(curve,))


def _shortened(sequence: TrialSequence, share: float) -> TrialSequence:
    count = max(4, int(share * sequence.samples))
    weight = sequence.weight[:count].copy()
    weight[-1] = weight[-1] or 1.0
    return replace(sequence, target=sequence.target[:, :count], weight=weight)
