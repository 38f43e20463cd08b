"""The clock of a simulated rig: it goes on while shots run and while the rig comes to rest, and stands still else."""

from __future__ import annotations

from labrhel.rig.capabilities import Capabilities
from labrhel.shots.compiled import CompiledShot
from labrhel.shots.program import Rest


class ShotClock:
    """Seconds since the rig that declares `capabilities` was opened."""

    def __init__(self, capabilities: Capabilities) -> None:
        self._unit, self._pause = capabilities.time_unit, capabilities.pause
        self.now = 0.0

    def start(self, shot: CompiledShot, passes: int) -> float:
        """When a shot starts [s] of which the last `passes` run; afterwards all of its repeats have ended."""
        prepare, pause = shot.prepare, self._pause
        if isinstance(prepare, Rest) and prepare.wait * self._unit > pause:
            pause = prepare.wait * self._unit
        length = self._unit * shot.dt * sum([item.steps for item in shot.passes[len(shot.passes) - passes :]])
        start = self.now + pause
        self.now += shot.repeats * (pause + length)
        return start
