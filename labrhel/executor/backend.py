"""The innermost handler: hands compiled operations to a rig."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from labrhel.errors import DeadlineError
from labrhel.shots.capture import Capture
from labrhel.shots.operations import Configure, Operation, Read, RunShots
from labrhel.shots.rig import Rig


class RigBackend:
    """Carries out operations on a rig; checkpoints and scalars are the recorder's and end here."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._latest = min([item.latest for item in rig.capabilities.triggers], default=math.inf)

    def do(self, operation: Operation) -> Any:
        """Configure, run or read; DeadlineError for a shot that the rig started too late."""
        if isinstance(operation, RunShots):
            if operation.order == "free":
                return self._in_time(self._rig.run(operation.compiled))
            return [capture for shot in operation.compiled for capture in self._in_time(self._rig.run([shot]))]
        if isinstance(operation, Configure):
            return self._rig.configure(operation.knobs)
        if isinstance(operation, Read):
            return self._rig.read(operation.names)
        return None

    def _in_time(self, captures: Sequence[Capture]) -> list[Capture]:
        for capture in captures:
            late = capture.actual_start - capture.planned_start
            if not late <= self._latest:
                raise DeadlineError(
                    f"a shot started {late:.3g} s after it was planned, and {self._latest:.3g} s are allowed: its "
                    "readings are not those of the program; look for what holds the link or the computer up"
                )
        return list(captures)
