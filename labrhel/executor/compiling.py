"""The outermost stage: from model units to device units, and from readings back to model units."""

from __future__ import annotations

from typing import Any

from labrhel.executor.handler import Handler
from labrhel.rig.calibration import CalibrationSet
from labrhel.rig.capabilities import Capabilities
from labrhel.rig.wiring import IDEAL_PARAMETERS, IDEAL_PORTS, ParameterMap, PortMap
from labrhel.shots.compile import IDEAL_CALIBRATION, compile
from labrhel.shots.decode import decode
from labrhel.shots.operations import Configure, Operation, RunShots


class Compiling:
    """Compiles shots, decodes captures, and maps parameters to knobs, for the rig that declares `capabilities`."""

    def __init__(
        self,
        inner: Handler,
        capabilities: Capabilities,
        port_map: PortMap = IDEAL_PORTS,
        parameter_map: ParameterMap = IDEAL_PARAMETERS,
        calibration: CalibrationSet = IDEAL_CALIBRATION,
    ) -> None:
        self._inner = inner
        self._capabilities = capabilities
        self._port_map, self._parameter_map, self._calibration = port_map, parameter_map, calibration

    def do(self, operation: Operation) -> Any:
        """Fill in `compiled` or `knobs`; answer a `Configure` with the parameters achieved."""
        if isinstance(operation, RunShots):
            compiled = tuple(
                compile(program, self._capabilities, self._port_map, self._parameter_map, self._calibration)
                for program in operation.programs
            )
            captures = self._inner.do(RunShots(operation.programs, operation.order, compiled))
            return [decode(item, self._capabilities, self._port_map, self._calibration) for item in captures]
        if isinstance(operation, Configure):
            knobs = self._parameter_map.to_knobs(operation.parameters)
            return self._parameter_map.to_parameters(self._inner.do(Configure(operation.parameters, knobs)))
        return self._inner.do(operation)
