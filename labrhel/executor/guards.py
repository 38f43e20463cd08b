"""What stops a run: readings outside their range, clipping, echoes that do not retrace, a loss that diverges.

Each is a small `labrhel.executor.Guard`, built from the `interlocks` section of a configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from labrhel.arrays import Array
from labrhel.shots.operations import Operation, Publish, RunShots


class OverRange:
    """Too many samples at the ends of a converter: what they say is not what the rig did."""

    name = "over_range"

    def __init__(self, share: float) -> None:
        self._share = share

    def violated(self, operation: Operation, answer: Any) -> str:
        """Of the channel that clips most in a batch of shots."""
        if not isinstance(operation, RunShots):
            return ""
        clipped: dict[str, int] = {}
        counted: dict[str, int] = {}
        for capture in answer:
            for item in capture.passes:
                for channel, trace in item.traces.items():
                    clipped[channel] = clipped.get(channel, 0) + trace.over_range
                    counted[channel] = counted.get(channel, 0) + trace.values.size
        for channel, count in clipped.items():
            if count > self._share * counted[channel]:
                return (
                    f"channel {channel} clipped {count} of {counted[channel]} samples, more than {self._share:g} of "
                    "them: lower the drive or widen the channel's range"
                )
        return ""


class Scalar:
    """A scalar of a step above its limit."""

    def __init__(self, name: str, scalar: str, limit: float, advice: str) -> None:
        self.name, self._scalar, self._limit, self._advice = name, scalar, limit, advice

    def violated(self, operation: Operation, answer: Any) -> str:
        """Of what a step publishes."""
        if not isinstance(operation, Publish) or self._scalar not in operation.scalars:
            return ""
        value = operation.scalars[self._scalar]
        if value <= self._limit:
            return ""
        return f"{self._scalar} was {value:.3g} in step {operation.step}, above {self._limit:g}: {self._advice}"


class Divergence:
    """A loss so many times the lowest that was seen."""

    name = "divergence"

    def __init__(self, factor: float) -> None:
        self._factor, self._lowest = factor, np.inf

    def violated(self, operation: Operation, answer: Any) -> str:
        """Of what a step publishes."""
        if not isinstance(operation, Publish) or "loss" not in operation.scalars:
            return ""
        loss = operation.scalars["loss"]
        self._lowest = min(self._lowest, loss)
        if loss <= self._factor * self._lowest:
            return ""
        return (
            f"the loss was {loss:.3g} in step {operation.step}, more than {self._factor:g} times its lowest, "
            f"{self._lowest:.3g}: lower the optimizer's rate"
        )


class Reads(Protocol):
    """What slow quantities are read from, such as a rig."""

    def read(self, names: Sequence[str]) -> dict[str, Array]:
        """The readings by name."""
        ...


class Reading:
    """A slow reading of the rig outside its range, read at most every `every` [s], before a shot."""

    def __init__(
        self, rig: Reads, reading: str, low: float, high: float, every: float, clock: Callable[[], float]
    ) -> None:
        self.name = reading
        self._rig, self._low, self._high, self._every, self._clock = rig, low, high, every, clock
        self._asked = -np.inf

    def violated(self) -> str:
        """Asked as a condition, before shots."""
        now = self._clock()
        if now - self._asked < self._every:
            return ""
        self._asked = now
        values = np.ravel(self._rig.read([self.name])[self.name])
        wrong = values[~((values >= self._low) & (values <= self._high))]
        if not wrong.size:
            return ""
        return f"{self.name} reads {wrong[0]:.4g}, outside [{self._low:g}, {self._high:g}]"
