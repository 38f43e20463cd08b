"""The interfaces that outer packages implement.  Nothing here knows a device, a file or a Hamiltonian."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from labrhel.arrays import Array, Arrays
from labrhel.capabilities import Capabilities
from labrhel.capture import Capture
from labrhel.compiled import CompiledShot


@runtime_checkable
class Rig(Protocol):
    """A device that can be configured and run: simulated, on a bench, an FPGA board, or a recording.

    Opening one never resets an instrument or changes an output.  `run` answers in the order of the shots.
    `make_safe` ramps every output to its safe state and is safe to call at any time, from any thread, twice.
    """

    capabilities: Capabilities

    def configure(self, knobs: Arrays) -> dict[str, Array]:
        """Turn knobs [knob units]; return what they are now."""
        ...

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        """Run compiled shots and return one capture each."""
        ...

    def read(self, names: Sequence[str]) -> dict[str, Array]:
        """Slow quantities and knob read-backs by name."""
        ...

    def make_safe(self) -> None:
        """Bring every output to its safe state."""
        ...

    def close(self) -> None:
        """Give the rig back; outputs are safe afterwards."""
        ...


class PortMap(Protocol):
    """Model port <-> instrument terminal; `to_model` is the inverse of `to_device`."""

    def to_device(self, name: str, values: Array) -> Array:
        """Model values -> device values."""
        ...

    def to_model(self, name: str, values: Array) -> Array:
        """Device values -> model values."""
        ...


class ParameterMap(Protocol):
    """Hamiltonian parameters <-> knobs, and the cross-talk between them."""

    def to_knobs(self, parameters: Arrays) -> dict[str, Array]:
        """Parameters [model units] -> knobs [knob units]."""
        ...

    def to_parameters(self, knobs: Arrays) -> dict[str, Array]:
        """Knobs -> parameters; inverse of `to_knobs`."""
        ...

    def jacobian(self, name: str, size: int) -> Array:
        """D knob / d parameter (size, size)."""
        ...


ParameterKind = Literal["potential", "kinetic", "input", "friction", "position", "momentum"]


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """What a model says of one of its parameters: `kind` tells a rule where its gradient is read.

    potential: dH/dtheta from positions; kinetic: from momenta; input: from positions and inputs; friction: from
    velocities; position and momentum: the initial state, from the echo's end state.
    """

    shape: tuple[int, ...]
    unit: str
    kind: ParameterKind
    nominal: Array
    meaning: str


class Model(Protocol):
    """A separable Hamiltonian with friction: M q'' + G q' + dV/dq(q; theta) = W(u + o) + drive forces.

    `theta` maps parameter names to arrays in model units; parameters that are absent take their nominal values.
    """

    size: int
    inputs: tuple[str, ...]
    parameters: Mapping[str, ParameterSpec]
    time_unit: float

    def force(self, q: Array, theta: Arrays) -> Array:
        """-dV/dq at positions (n, ...), without inputs."""
        ...

    def input_force(self, u: Array, theta: Arrays) -> Array:
        """W (u + o) (n, steps) for inputs (inputs, steps)."""
        ...

    def observables(
        self, names: Sequence[str], q: Array, v: Array, u: Array, dt: float, theta: Arrays
    ) -> dict[str, Array]:
        """sum_k dt * dH/dtheta from traces at the kicks, q, v (n, steps), u (inputs, steps); for rigs without sums."""
        ...

    def friction(self, theta: Arrays) -> Array:
        """The symmetric friction matrix G (n, n)."""
        ...

    def mass(self, theta: Arrays) -> Array:
        """The masses (n,)."""
        ...

    def is_linear(self, theta: Arrays) -> bool:
        """True if dV/dq is linear at these parameters."""
        ...

    def largest_step(self, theta: Arrays) -> float:
        """The step [model time] beyond which the leapfrog of the linear part is unstable."""
        ...


@runtime_checkable
class SelfAdjusting(Protocol):
    """A model some of whose coordinates are slow parameters: theta' = -mu (dH/dtheta + (theta - v)/eta)."""

    @property
    def slow(self) -> Mapping[str, slice]:
        """By parameter, the coordinates that say how far it is from where it rests."""
        ...

    def mobility(self, theta: Arrays) -> Array:
        """The mu of the slow coordinates."""
        ...

    def compliance(self, theta: Arrays) -> float:
        """The eta of the slow coordinates."""
        ...
