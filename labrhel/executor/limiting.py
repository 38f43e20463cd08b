"""The last check before anything is written: every device sample and every knob value against its safe range."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from labrhel.errors import LimitError
from labrhel.executor.handler import Handler
from labrhel.rig.capabilities import Capabilities, Limits, Port
from labrhel.rig.wiring import IDEAL_WIRING, Wiring
from labrhel.shots.compiled import CompiledShot, Played
from labrhel.shots.operations import Configure, Operation, RunShots
from labrhel.units import interval


class Limiting:
    """Refuses operations that would take a port or knob outside its limits or slew; then nothing is sent.

    Values and limits are in the unit of the terminal, which `wiring` names.
    """

    def __init__(self, inner: Handler, capabilities: Capabilities, wiring: Wiring = IDEAL_WIRING) -> None:
        self._inner = inner
        self._capabilities = capabilities
        self._called = {port.name: f"port {wiring.called(port.name)}" for port in capabilities.ports}

    def do(self, operation: Operation) -> Any:
        """Check, then pass on."""
        if isinstance(operation, RunShots):
            for shot in operation.compiled:
                self._check_shot(shot)
        elif isinstance(operation, Configure):
            for name, value in operation.knobs.items():
                knob = self._capabilities.knob(name)
                check_range(f"knob {name}", np.asarray(value), knob.limits, knob.unit)
        return self._inner.do(operation)

    def _check_shot(self, shot: CompiledShot) -> None:
        slewing: dict[str, Port] = {}
        for item in shot.passes:
            for name, played in item.played.items():
                port = self._capabilities.port(name)
                check_range(self._called[name], played.samples.values, port.limits, port.unit)
                if port.limits.slew is not None:
                    slewing[name] = port
        for name, port in slewing.items():
            passes = [item.played.get(name) for item in shot.passes]
            fastest = _fastest(passes, port.safe.value) / self._capabilities.time_unit
            if port.limits.slew is not None and not fastest <= port.limits.slew:
                raise LimitError(
                    f"{self._called[name]} would slew at {fastest:.4g} {port.unit}/s; the limit is "
                    f"{port.limits.slew:g} {port.unit}/s; "
                    "nothing was sent; lower the drive or smooth it"
                )


def _fastest(passes: list[Played | None], idle: float) -> float:
    """Largest change per model time, over all passes of a shot, from idle and back to it, joints included."""
    fastest, last = 0.0, idle
    for played in passes:
        samples = np.array([idle]) if played is None else played.samples.values
        if played is not None:
            fastest = max(fastest, float(np.max(np.abs(np.diff(samples, prepend=last)))) / played.dt)
        last = samples[-1]
    spacing = [played.dt for played in passes if played is not None]
    # Falling back to idle, after the shot or for a pass that does not drive the port, takes a sample as well.
    ends = [played.samples.values[-1] for played in passes if played is not None]
    return max([fastest, *(abs(end - idle) / dt for end, dt in zip(ends, spacing, strict=True))])


def check_range(what: str, values: np.ndarray[Any, Any], limits: Limits, unit: str) -> None:
    """Raise LimitError unless all values are finite and inside [low, high]."""
    if values.size == 0:
        return
    if values.dtype.kind == "c":
        check_range(what, values.real, limits, unit)
        check_range(what, values.imag, limits, unit)
        return
    # min and max scan once each without a temporary; a NaN comes through either and fails both comparisons.
    low, high = float(np.minimum.reduce(values, axis=None)), float(np.maximum.reduce(values, axis=None))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise LimitError(f"{what} would get a value that is not a finite number; nothing was sent")
    if low < limits.low or high > limits.high:
        raise LimitError(
            f"{what} would get {interval(low, high, unit)}; allowed is {interval(limits.low, limits.high, unit)}; "
            "nothing was sent; lower the drive or eps, or widen the limit on purpose"
        )
