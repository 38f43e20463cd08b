"""The innermost handler: hands compiled operations to a rig."""

from __future__ import annotations

from typing import Any

from labrhel.shots.operations import Configure, Operation, Read, RunShots
from labrhel.shots.rig import Rig


class RigBackend:
    """Carries out operations on a rig; checkpoints and scalars are the recorder's and end here."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    def do(self, operation: Operation) -> Any:
        """Configure, run or read."""
        if isinstance(operation, RunShots):
            if operation.order == "free":
                return self._rig.run(operation.compiled)
            return [capture for shot in operation.compiled for capture in self._rig.run([shot])]
        if isinstance(operation, Configure):
            return self._rig.configure(operation.knobs)
        if isinstance(operation, Read):
            return self._rig.read(operation.names)
        return None
