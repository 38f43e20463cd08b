"""What is said over MQTT: JSON objects in UTF-8, every number with its unit, every message with the run it is of.

JSON cannot express a number that is not finite; it becomes null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.shots.capture import Capture
from labrhel.shots.operations import Publish
from labrhel.telemetry.outbox import Taken
from labrhel.units import product

DIGITS = 6  # significant digits of a trace: a picture needs no more


@dataclass(frozen=True, slots=True)
class Message:
    """Something to publish; a retained one is what late subscribers see first."""

    topic: str
    payload: bytes
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """Who speaks: id and name of a run, the steps it will take, and the units of what it measures."""

    identity: str
    name: str
    steps: int
    position_unit: str
    time_unit: str

    def unit(self, scalar: str) -> str:
        """Unit of a scalar of a step; losses and what follows from them are relative, counts have none."""
        if scalar.startswith("test_"):
            return self.position_unit
        if scalar == "eps":  # momentum = eps * d(loss)/d(position)
            return product({self.position_unit: 2, self.time_unit: -1})
        return "1"


def status(run: Run, state: str, **facts: Any) -> bytes:
    """The retained word on how a run is."""
    return _json({"state": state, "run": run.identity, "name": run.name, "steps": run.steps, **facts})


def metrics(run: Run, scalars: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Of all scalars the last loss and test errors, each with its unit."""
    chosen = {name: value for name, value in scalars.items() if name == "loss" or name.startswith("test_")}
    return {name: {"value": _finite(value), "unit": run.unit(name)} for name, value in chosen.items()}


def scalars(run: Run, taken: Taken[Publish]) -> bytes:
    """The scalars and warnings of a step; `dropped` counts the messages lost between this one and the last."""
    values = taken.item.scalars
    return _json(
        {
            "run": run.identity,
            "step": taken.step,
            "time": round(taken.time, 3),
            "scalars": {name: _finite(float(value)) for name, value in values.items()},
            "units": {name: run.unit(name) for name in values},
            "warnings": list(taken.item.words),
            "dropped": taken.dropped,
        }
    )


def traces(run: Run, taken: Taken[Capture], points: int) -> bytes:
    """All channels of the last pass of a shot, its first repeat: the echo of an echo shot."""
    channels = {}
    for channel, trace in taken.item.last.traces.items():
        for name, values in _real(channel, trace.values[0]).items():
            kept, every = thinned(values, points)
            listed = [_short(value) for value in kept.tolist()]
            channels[name] = {"unit": trace.unit, "t0": trace.t0, "dt": trace.dt * every, "values": listed}
    return _json(
        {
            "run": run.identity,
            "step": taken.step,
            "time": round(taken.time, 3),
            "time_unit": run.time_unit,
            "pass": len(taken.item.passes) - 1,
            "channels": channels,
        }
    )


def reply(run: Run, command: str, words: str, *, obeyed: bool) -> bytes:
    """The answer to a command."""
    return _json({"run": run.identity, "command": command, "ok": obeyed, "words": words})


def thinned(values: Array, points: int) -> tuple[Array, float]:
    """At most `points` (even) values that keep the envelope, and how many samples lie between two of them.

    Of each stretch of samples the lowest and the highest, in the order in which they came: peaks stay, and an
    oscillation faster than the points does not turn into a slow one, as it would if every n-th sample were taken.
    """
    if len(values) <= points:
        return values, 1.0
    stretch = -(-len(values) // (points // 2))
    rows = np.pad(values, (0, -len(values) % stretch), mode="edge").reshape(-1, stretch)
    ends = np.sort(np.stack([rows.argmin(axis=1), rows.argmax(axis=1)], axis=1), axis=1)
    return np.take_along_axis(rows, ends, axis=1).ravel(), stretch / 2


def _real(name: str, values: Array) -> dict[str, Array]:
    return {f"{name}.re": np.real(values), f"{name}.im": np.imag(values)} if np.iscomplexobj(values) else {name: values}


def _short(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
