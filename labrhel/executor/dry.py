"""A backend that moves nothing: it answers with silence and adds up what a run would cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from labrhel.rig.capabilities import Capabilities
from labrhel.shots.capture import Capture, PassCapture, State, Trace
from labrhel.shots.compiled import CompiledShot
from labrhel.shots.operations import Configure, Operation, RunShots


@dataclass(slots=True)
class Cost:
    """What a dry run counted; `seconds` is rig time without transfers, `assumes` what the count takes for granted."""

    operations: int = 0
    shots: int = 0
    passes: int = 0
    seconds: float = 0.0
    samples_played: int = 0
    samples_read: int = 0
    assumes: tuple[str, ...] = ()


class DryBackend:
    """Answers every shot with zeros of the right shape, so that a protocol runs through, compiled and checked."""

    def __init__(self, capabilities: Capabilities) -> None:
        self._capabilities = capabilities
        self.cost = Cost()

    def do(self, operation: Operation) -> Any:
        """Count, and answer with zeros."""
        self.cost.operations += 1
        if isinstance(operation, RunShots):
            return [self._silence(shot) for shot in operation.compiled]
        if isinstance(operation, Configure):
            return dict(operation.knobs)
        return None

    def _silence(self, shot: CompiledShot) -> Capture:
        capabilities, cost = self._capabilities, self.cost
        cost.shots += shot.repeats
        cost.passes += shot.repeats * shot.planned_passes
        steps = sum(item.steps for item in shot.passes[-shot.planned_passes :])
        cost.seconds += shot.repeats * (steps * shot.dt * capabilities.time_unit + capabilities.pause)
        passes = []
        for index, item in enumerate(shot.passes):
            kept = -(-item.steps // item.acquire.every)
            if index >= len(shot.passes) - shot.planned_passes:  # what a restored state makes needless is not played
                cost.samples_played += sum(len(played.samples) for played in item.played.values()) * shot.repeats
            cost.samples_read += kept * len(item.acquire.channels) * shot.repeats
            shape = (shot.repeats, kept)
            traces = {
                name: Trace(np.zeros(shape), capabilities.channel(name).unit, 0.0, shot.dt * item.acquire.every)
                for name in item.acquire.channels
            }
            sums = {name: np.zeros((shot.repeats, *capabilities.knob(name).shape)) for name in item.acquire.observables}
            rest = np.zeros((shot.repeats, capabilities.size))
            passes.append(PassCapture(traces, sums, State(rest, rest) if item.acquire.end_state else None))
        return Capture(shot, tuple(passes), shot.planned_passes)
