"""Knobs with hysteresis are set from one side, whatever they were before: first beyond their value, then to it.

Backlash of width w leaves a knob between value - w/2 and value + w/2, by the side it is turned from.  One that
overshoots by w or more always ends at the same edge, and what is left is an offset that a calibration knows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from labrhel.executor.handler import Handler
from labrhel.rig.capabilities import Capabilities
from labrhel.rig.wiring import Wiring
from labrhel.shots.operations import Configure, Operation


class Approaching:
    """Turns the knobs that have an `Approach` in `wiring` beyond their values before they are set.

    It stays within the limits of the knob: nearer to a limit than the overshoot, it turns the knob as far as it may.
    """

    def __init__(self, inner: Handler, capabilities: Capabilities, wiring: Wiring) -> None:
        self._inner, self._capabilities = inner, capabilities
        self._approaches = {name: knob.approach for name, knob in wiring.knobs.items() if knob.approach.overshoot}

    def do(self, operation: Operation) -> Any:
        """A setting twice where it has to be; the answer is that of the second."""
        if isinstance(operation, Configure):
            beyond = {}
            for name in operation.knobs.keys() & self._approaches.keys():
                limits = self._capabilities.knob(name).limits
                value = np.asarray(operation.knobs[name], float)
                beyond[name] = self._approaches[name].beyond(value, limits.low, limits.high)
            if beyond:
                self._inner.do(replace(operation, knobs=beyond))
        return self._inner.do(operation)
