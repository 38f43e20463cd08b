"""Is the gradient right?  Four repeats for its error bar, its sign by one difference, and a null test.

The sign is the classic failure: the loss is measured a little ahead and a little behind along the gradient, and
must rise.  With the target at what the rig does anyway there is nothing to learn: what is then left is noise.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calibration.finding import REFUSED, Finding, Measured
from calibration.subject import Bench
from labrhel.arrays import Array, Arrays
from labrhel.learning.rules import GradientRequest
from labrhel.learning.train import free_run
from labrhel.shots.operations import Configure, Protocol
from protocols.differences import ends_along, size_of
from protocols.forward.moving import MovedLoss
from protocols.rhel import RHEL

REPEATS = 4
_AHEAD = 0.01  # of the size of each parameter


class GradientTest:
    """Predicted relative error of one gradient, slope of the loss over that of the gradient, and the null test."""

    name, title, needs, lifetime = "gradient", "gradient: error, sign and null test", ("nudge",), 12.0

    def shots(self, bench: Bench) -> int:
        """Repeats of the gradient with a second nudge, the null test, and the differences."""
        return 3 * REPEATS + 2 + 4 + 3

    def measure(self, bench: Bench) -> Protocol[Finding]:
        """Of the first sequence, for the parameters that are trained."""
        task, sequences, rule = bench.task, bench.sequences[:1], bench.rule
        yield Configure(task.rig_parameters(bench.theta))
        if not isinstance(rule, RHEL):
            return Finding(failed="the rule of the configuration has no error bars of its own")
        eps = bench.values.get("nudge.eps")
        asked = replace(rule, repeats=REPEATS, bound=True, eps=eps, response=None if eps else rule.response)
        try:
            found = yield from asked.gradient(GradientRequest(task, sequences, bench.theta, bench.wanted))
            shown = yield from free_run(task, sequences, bench.theta)
            nothing = [replace(sequences[0], target=shown[0])]
            null = yield from replace(asked, repeats=1, bound=False).gradient(
                GradientRequest(task, nothing, bench.theta, bench.wanted)
            )
        except REFUSED as error:
            return Finding(failed=str(error))
        names = [name for name in found.values if not name.startswith("readout")]
        if not names:
            return Finding(failed="only the read-out is trained, and its gradient takes no echo")
        assert found.standard_error is not None and found.bias_bound is not None
        size = _norm(found.values, names, bench.theta)
        single = REPEATS**0.5 * _norm(found.standard_error, names, bench.theta)  # of one gradient
        error = float(np.hypot(single, _norm(found.bias_bound, names, bench.theta))) / max(size, 1e-300)
        left = _norm(null.values, names, bench.theta) / max(size, 1e-300)
        ratio, spread = yield from self._slope(bench, {name: found.values[name] for name in names}, size)
        words = [*found.warnings]
        if ratio < 0:
            words.append("THE SIGN IS WRONG: the loss falls along the gradient; look for a reversed polarity")
        values = {
            "gradient.error": Measured(error, error / (2 * REPEATS) ** 0.5),
            "gradient.null": Measured(left, max(left, 1e-12)),
        }
        if np.isfinite(ratio):
            values["gradient.slope"] = Measured(ratio, spread)
        return Finding(values, words=tuple(dict.fromkeys(words)))

    def _slope(self, bench: Bench, slopes: Arrays, size: float) -> Protocol[tuple[float, float]]:
        """Measured slope of the loss along the gradient over the gradient's own; nan if nothing can be moved."""
        knobs = {knob.name for knob in bench.rig.knobs}
        if not size or not set(slopes) <= knobs:
            return np.nan, np.nan
        moved = MovedLoss(bench.task, bench.sequences[:1], bench.theta)
        along = {name: size_of(np.asarray(bench.theta[name])) ** 2 * slope / size for name, slope in slopes.items()}
        try:
            high, low = yield from moved.restoring(ends_along(moved, along, _AHEAD))
            again, _ = yield from moved.restoring(ends_along(moved, along, _AHEAD))
        except REFUSED:
            return np.nan, np.nan
        expected = 2 * _AHEAD * size
        return (high - low) / expected, max(abs(high - again) / expected, 1e-6)


def _norm(parts: Arrays, names: list[str], theta: Arrays) -> float:
    """Of the gradient in units of each parameter's size."""
    found: list[Array] = [size_of(np.asarray(theta[name])) * np.ravel(parts[name]) for name in names]
    return float(np.linalg.norm(np.concatenate(found)))
