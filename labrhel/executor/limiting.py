"""The last check before anything is written: every device sample and every knob value against its safe range."""

from __future__ import annotations

from typing import Any

import numpy as np

from labrhel.capabilities import Capabilities, Limits
from labrhel.compiled import Played
from labrhel.errors import LimitError
from labrhel.executor.handler import Handler
from labrhel.operations import Configure, Operation, RunShots


class Limiting:
    """Refuses operations that would take a port or knob outside its limits or slew; then nothing is sent."""

    def __init__(self, inner: Handler, capabilities: Capabilities) -> None:
        self._inner = inner
        self._capabilities = capabilities

    def do(self, operation: Operation) -> Any:
        """Check, then pass on."""
        if isinstance(operation, RunShots):
            for shot in operation.compiled:
                for item in shot.passes:
                    for name, played in item.played.items():
                        self._check_port(name, played)
        elif isinstance(operation, Configure):
            for name, value in operation.knobs.items():
                knob = self._capabilities.knob(name)
                check_range(f"knob {name}", np.asarray(value), knob.limits, knob.unit)
        return self._inner.do(operation)

    def _check_port(self, name: str, played: Played) -> None:
        port = self._capabilities.port(name)
        samples = played.samples.values
        check_range(f"port {name}", samples, port.limits, port.unit)
        if port.limits.slew is not None:
            # A burst starts from the safe state and idles there, so the first and last steps count as well.
            path = np.concatenate([[port.safe.value], samples, [port.safe.value]])
            fastest = float(np.max(np.abs(np.diff(path)))) / (played.dt * self._capabilities.time_unit)
            if not fastest <= port.limits.slew:
                raise LimitError(
                    f"port {name} would slew at {fastest:.4g} {port.unit}/s; the limit is {port.limits.slew:g}; "
                    "nothing was sent; lower the drive or smooth it"
                )


def check_range(what: str, values: np.ndarray[Any, Any], limits: Limits, unit: str) -> None:
    """Raise LimitError unless all values are finite and inside [low, high]."""
    if values.size == 0:
        return
    # min and max scan once each without a temporary; a NaN comes through either and fails both comparisons.
    extremes = (values.real, values.imag) if np.iscomplexobj(values) else (values,)
    low, high = min(float(part.min()) for part in extremes), max(float(part.max()) for part in extremes)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise LimitError(f"{what} would get a value that is not a finite number; nothing was sent")
    if low < limits.low or high > limits.high:
        raise LimitError(
            f"{what} would get [{low:.4g}, {high:.4g}] {unit}; allowed is [{limits.low:g}, {limits.high:g}]; "
            "nothing was sent; lower the drive or eps, or widen the limit on purpose"
        )
