"""The outermost stage: from model units to those of the terminals, and from readings back to model units."""

from __future__ import annotations

from typing import Any

import numpy as np

from labrhel.executor.handler import Handler
from labrhel.rig.calibrated import is_for, setting_for
from labrhel.rig.calibration import CalibrationSet
from labrhel.rig.capabilities import Capabilities
from labrhel.rig.wiring import IDEAL_WIRING, Wiring
from labrhel.shots.compile import IDEAL_CALIBRATION, compile_all
from labrhel.shots.decode import decode
from labrhel.shots.operations import Configure, Operation, RunShots


class Compiling:
    """Compiles shots, decodes captures, and maps parameters to knobs, for the rig that declares `capabilities`."""

    def __init__(
        self,
        inner: Handler,
        capabilities: Capabilities,
        wiring: Wiring = IDEAL_WIRING,
        calibration: CalibrationSet = IDEAL_CALIBRATION,
    ) -> None:
        self._inner = inner
        self._capabilities = capabilities
        self._wiring, self._calibration = wiring, calibration

    def do(self, operation: Operation) -> Any:
        """Fill in `compiled` or `knobs`; answer a `Configure` with the parameters achieved."""
        if isinstance(operation, RunShots):
            compiled = compile_all(operation.programs, self._capabilities, self._wiring, self._calibration)
            captures = self._inner.do(RunShots(operation.programs, operation.order, compiled))
            return [decode(item, self._capabilities, self._wiring, self._calibration) for item in captures]
        if isinstance(operation, Configure):
            calibration, set_to = self._calibration, operation.parameters
            if calibration.values:
                set_to = {name: setting_for(calibration, name, np.asarray(to, float)) for name, to in set_to.items()}
            achieved = self._inner.do(Configure(operation.parameters, self._wiring.to_knobs(set_to)))
            found = self._wiring.to_parameters(achieved)
            if not calibration.values:
                return found
            return {name: is_for(calibration, name, value) for name, value in found.items()}
        return self._inner.do(operation)
