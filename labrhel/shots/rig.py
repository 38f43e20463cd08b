"""The interfaces that outer packages implement.  Nothing here knows a device, a file or a Hamiltonian."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from labrhel.arrays import Array, Arrays
from labrhel.rig.capabilities import Capabilities
from labrhel.rig.wiring import Wiring
from labrhel.shots.capture import Capture
from labrhel.shots.compiled import CompiledShot


@runtime_checkable
class Rig(Protocol):
    """A device that can be configured and run: simulated, on a bench, an FPGA board, or a recording.

    Opening one never resets an instrument or changes an output.  `run` answers in the order of the shots.
    `make_safe` ramps every output to its safe state and is safe to call at any time, from any thread, twice; a rig
    whose ramps take longer than an emergency stop may wait is a `labrhel.safety.estop.Ramping`.
    `capabilities`, shots, knobs and readings are in the unit of its terminals (V on a bench), and `wiring` says what
    they are in model units; simulated rigs and boards bring `IDEAL_WIRING`, for which both are the same.
    """

    capabilities: Capabilities
    wiring: Wiring

    def configure(self, knobs: Arrays) -> dict[str, Array]:
        """Turn knobs [knob units]; return what they are now."""
        ...

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        """Run compiled shots and return one capture each."""
        ...

    def read(self, names: Sequence[str]) -> dict[str, Array]:
        """Read slow quantities and knobs by name."""
        ...

    def make_safe(self) -> None:
        """Bring every output to its safe state."""
        ...

    def close(self) -> None:
        """Give the rig back; outputs are safe afterwards."""
        ...


@runtime_checkable
class OfInstruments(Protocol):
    """A rig that can say what its instruments are set to; a run records it when it begins."""

    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        """Plain values by instrument and setting, asked for where they are not known; nothing is changed."""
        ...
