"""decode(capture, ...) -> Capture: readings from the unit of their terminals to model units, on the rig's time axis.

The inverse of what `labrhel.shots.compile` does to outputs: the wire of each channel, then its calibrated gain and
offset (model value = gain * reading + offset), then its delay, and the clock of the readings: sample k, taken at
(1 + rate) t_k, shows what was there at that time less the delay, so the trace is read between its samples, by a cubic
spline, at the times at which it should have been taken.  The record keeps the readings as they came; protocols see them
decoded.
"""

from __future__ import annotations

import operator
from dataclasses import replace

import numpy as np

from labrhel.arrays import Array
from labrhel.rig.calibration import CalibrationSet
from labrhel.rig.capabilities import Capabilities
from labrhel.rig.wiring import Wiring
from labrhel.shots.capture import Capture, PassCapture, Trace


def decode(capture: Capture, capabilities: Capabilities, wiring: Wiring, calibration: CalibrationSet) -> Capture:
    """The capture in model units; traces of channels that are ideal are passed on unchanged."""
    if not (calibration.values or wiring.wires):
        return capture
    unit = capabilities.time_unit
    passes = tuple([_decode_pass(item, unit, wiring, calibration) for item in capture.passes])
    if all(map(operator.is_, passes, capture.passes)):
        return capture
    return replace(capture, passes=passes)


def _decode_pass(item: PassCapture, time_unit: float, wiring: Wiring, calibration: CalibrationSet) -> PassCapture:
    traces = {name: _decode_trace(name, trace, time_unit, wiring, calibration) for name, trace in item.traces.items()}
    if all(map(operator.is_, traces.values(), item.traces.values())):
        return item
    return PassCapture(traces, item.observables, item.end_state)


def _decode_trace(name: str, trace: Trace, time_unit: float, wiring: Wiring, calibration: CalibrationSet) -> Trace:
    gain, offset = calibration.number(name, "gain"), calibration.number(name, "offset")
    delay = calibration.number(name, "delay") / time_unit
    values = wiring.to_model(name, trace.values)
    if gain != 1.0 or offset != 0.0:
        values = gain * values + offset
    rate = calibration.number("clock", "rate")
    if values is trace.values and delay == 0.0 and rate == 0.0:
        return trace
    wire = wiring.wires.get(name)
    values = _in_time(values, delay / trace.dt, rate, trace.t0 / trace.dt)
    return replace(trace, values=values, unit=trace.unit if wire is None else wire.unit)


def _in_time(values: Array, late: float, rate: float, begins: float) -> Array:
    """Samples (repeats, n) at the times at which they should have been taken; straight on beyond the last one.

    They came `late` samples, from a clock that is slow by `rate`, the first of them `begins` samples after the trigger.
    """
    count = values.shape[1]
    if (late == 0.0 and rate == 0.0) or count == 1:
        return values
    from scipy.interpolate import make_interp_spline

    spline = make_interp_spline(np.arange(count), values, k=3 if count > 3 else 1, axis=1)
    wanted = np.arange(count) + late
    return np.asarray(spline(wanted - rate / (1 + rate) * (wanted + begins) if rate else wanted))
