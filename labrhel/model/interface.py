"""What the host knows of a rig: the nominal model, as the rules, the lock and the simulation ask it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from labrhel.arrays import Array, Arrays

ParameterKind = Literal["potential", "kinetic", "input", "friction", "directed", "gyroscopic", "position", "momentum"]


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """What a model says of one of its parameters: `kind` tells a rule where its gradient is read.

    potential: dH/dtheta from positions; kinetic: from momenta; input: from positions and inputs; friction: from
    velocities; directed, gyroscopic: forces of positions that no energy has, and of velocities that do no work, from
    the response and the record; position and momentum: the initial state, from the echo's end state.
    """

    shape: tuple[int, ...]
    unit: str
    kind: ParameterKind
    nominal: Array
    meaning: str


class Model(Protocol):
    """A separable Hamiltonian with friction: M q'' + G q' + dV/dq(q; theta) = W(u + o) + drive forces.

    Forces of positions that come from no V, as of couplings that act one way, are among those of `force`; a model that
    has some is `Directed`.

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
        """The symmetric friction matrix G (n, n), plus the antisymmetric Omega of gyroscopic forces."""
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


class Run(NamedTuple):
    """Passes side by side: positions (batch, n, steps) at the kicks, ends (batch, n) half a step after the last."""

    q: Array
    end_position: Array
    end_momentum: Array


@runtime_checkable
class RunsPasses(Protocol):
    """A model that knows a faster way than the readable leapfrog to run itself, such as a compiled kernel."""

    def run_passes(self, theta: Arrays, forces: Array, step: float, position: Array, momentum: Array) -> Run | None:
        """What `labrhel.model.motion.run` asks, in the arithmetic of `labrhel.model.leapfrog`, up to rounding.

        None where the faster way lacks a term of this model.
        """
        ...


@runtime_checkable
class KnowsHessians(Protocol):
    """A model that knows its second derivatives, where others have them taken by complex steps of their force."""

    def hessian_along(self, theta: Arrays, path: Array) -> Array | None:
        """What `labrhel.model.motion.hessian_along` finds, up to rounding.  None where a term is lacking."""
        ...


class Response(NamedTuple):
    """A linearised pass from rest: positions (n, steps) at the kicks, and the end (n,) half a step after the last."""

    q: Array
    end_position: Array
    end_momentum: Array


@runtime_checkable
class RunsResponses(Protocol):
    """A model that knows a faster way to run itself linearised along a path than by derivatives of its force."""

    def run_response(self, theta: Arrays, path: Array, forces: Array, step: float) -> Response | None:
        """What `labrhel.model.motion.respond` asks, up to rounding.  None where the faster way lacks a term."""
        ...


@runtime_checkable
class Directed(Protocol):
    """A model that may have forces whose adjoint is not its own motion.

    Forces of positions that come from no energy, whose stiffness is not symmetric; or gyroscopic ones, with which the
    `friction` is not.
    """

    def is_directed(self, theta: Arrays) -> bool:
        """True if it has some at these parameters."""
        ...


@runtime_checkable
class KnowsPulls(Protocol):
    """A directed model that knows the slopes of its force by its directed parameters, where others are differenced."""

    def pulled(self, name: str, q: Array, weights: Array, theta: Arrays) -> Array:
        """sum_k weights_k . dF_k/dtheta of a parameter of the kind directed, at positions and weights (n, steps)."""
        ...


@runtime_checkable
class RunsTransposed(Protocol):
    """A directed model that knows a faster way to run its transpose along a path than by derivatives of its force."""

    def run_transposed(self, theta: Arrays, path: Array, forces: Array, step: float) -> Response | None:
        """What `labrhel.model.motion.respond_transposed` asks, up to rounding.  None where a term is lacking."""
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
