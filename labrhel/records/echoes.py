"""The newest echo whose traces a record kept, beside the forward pass that it retraced."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.model.rotating import is_quadrature
from labrhel.shots.capture import PassCapture
from labrhel.store import RunReader


@dataclass(frozen=True, slots=True)
class RecordedEcho:
    """The newest recorded gradient's first sequence, at the kicks in forward order, for one channel."""

    step: int
    channel: str
    unit: str
    dt: float
    forward: Array
    plus: Array
    minus: Array

    @property
    def times(self) -> Array:
        """From the begin of the forward pass, in the time unit of the model."""
        return np.arange(self.forward.size) * self.dt

    @property
    def retraced(self) -> Array:
        """Mean of the two echoes: where the un-nudged echo would have gone."""
        return (self.plus + self.minus) / 2

    @property
    def response(self) -> Array:
        """Half the difference of the two echoes: the answer to the nudge."""
        return (self.plus - self.minus) / 2


def last_echo(reader: RunReader) -> RecordedEcho | None:
    """The newest pair of echoes whose traces were kept, with its forward pass; None if the record has none."""
    steps = sorted({shot.step for shot in reader.shots() if shot.capture is not None}, reverse=True)
    for step in steps:
        found = _echo_of_step(reader, step)
        if found is not None:
            return found
    return None


@dataclass(frozen=True, slots=True)
class KeptShot:
    """A shot whose capture was kept: of which operation, which of its shots, how many passes, and the way to it."""

    operation: int
    number: int
    passes: int
    load: Callable[[], tuple[PassCapture, ...]]


def echo_of(step: int, kept: Sequence[KeptShot], channel: str, unit: str) -> RecordedEcho | None:
    """The newest pair of echoes among the kept shots of a step, with its forward pass; None if there is none."""
    echoes = [shot for shot in kept if shot.passes == 2]
    if not echoes:
        return None
    newest = max(shot.operation for shot in echoes)
    pair = [shot for shot in echoes if shot.operation == newest][:2]
    before = [shot for shot in kept if shot.passes == 1 and shot.operation < newest and shot.number == 0]
    if len(pair) < 2 or not before:
        return None
    forward = before[-1].load()[-1].traces[channel]
    sign = -1 if is_quadrature(channel) else 1
    plus, minus = (sign * np.asarray(shot.load()[-1].traces[channel].values[0])[::-1] for shot in pair)
    return RecordedEcho(step, channel, forward.unit or unit, forward.dt, np.asarray(forward.values[0]), plus, minus)


def _echo_of_step(reader: RunReader, step: int) -> RecordedEcho | None:
    kept = [
        KeptShot(
            shot.operation,
            shot.number,
            len(reader.load_program(shot.program).passes),
            partial(reader.load_capture, shot),
        )
        for shot in reader.shots(step)
        if shot.capture is not None
    ]
    return echo_of(step, kept, read_out_channel(reader.manifest), reader.manifest["target_unit"])


def read_out_channel(manifest: Mapping[str, Any]) -> str:
    """The first channel that is read out, by the configuration in the record."""
    return manifest["configuration"]["model"]["readout"]["channels"][0]
