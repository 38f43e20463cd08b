"""Network of coupled anharmonic oscillators with friction, the model of most benches.

    H = sum_i p_i^2/(2 m_i) + sum_i [k_i q_i^2/2 + a_i q_i^3/3 + b_i q_i^4/4 + c_i q_i^5/5]
        + sum_(i,j) K_ij (q_j - q_i)^2/2 - q . W (u + o)

    force_i = -k_i q_i - a_i q_i^2 - b_i q_i^3 - c_i q_i^4 + sum_j K_ij (q_j - q_i) + [W (u + o)]_i - [G q']_i
              - sum_j D_ij q_j - sum_j O_ij q'_j

The anharmonic terms are named by the power of q in the *force*: quadratic a, cubic b (Duffing), quartic c.
Directed couplings D_ij, by which i feels j and not the other way round, come from no energy; gyroscopic ones, O_ij =
-O_ji of a pair, do no work.  Both are in no H, and a network without any has no such parameter.
Source: Pourcel & Ernoult (2025), Eq. 8, there with six oscillators, drive on 1 and read-out on 4.

Observables dH/dtheta: k: q^2/2; a: q^3/3; b: q^4/4; c: q^5/5; K_ij: (q_j - q_i)^2/2; m: -p^2/(2 m^2);
W_ij: -q_i (u_j + o_j); o_j: -[W^T q]_j.  Directed and gyroscopic couplings have none: with the response a, dL/dD_ij =
-d sum_k a_i q_j, dL/dO_ij = -d sum_k (a_i v_j - a_j v_i).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from labrhel.model.interface import ParameterKind, ParameterSpec, Response, Run
from labrhel.model.leapfrog import KickMatrices
from labrhel.units import prefixed, product

POWERS = {"stiffness": 1, "quadratic": 2, "cubic": 3, "quartic": 4}
"""Parameter -> power of q in its force."""

_NARROW = 32  # positions side by side, up to which one call for all couplings is quicker than two for each


def edges_of(coupling: str | Sequence[Sequence[int]], size: int) -> NDArray[np.int64]:
    """Coupled pairs (edges, 2), numbered from 0: "none", "chain", "ring", "all", or an explicit list."""
    if coupling == "none":
        pairs: list[tuple[int, ...]] = []
    elif coupling == "chain":
        pairs = [(i, i + 1) for i in range(size - 1)]
    elif coupling == "ring":
        pairs = [(i, i + 1) for i in range(size - 1)] + ([(0, size - 1)] if size > 2 else [])
    elif coupling == "all":
        pairs = [(i, j) for i in range(size) for j in range(i + 1, size)]
    elif isinstance(coupling, str):
        raise ConfigurationError(f"couplings are none, chain, ring, all or a list of pairs, not {coupling!r}")
    else:
        pairs = [tuple(int(index) for index in pair) for pair in coupling]
    for pair in pairs:
        if len(pair) != 2 or pair[0] == pair[1] or not all(0 <= index < size for index in pair):
            raise ConfigurationError(f"a coupling joins two different oscillators of 0..{size - 1}, not {list(pair)}")
    if len({frozenset(pair) for pair in pairs}) < len(pairs):
        raise ConfigurationError("the same pair of oscillators is coupled twice; list each pair once")
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def links_of(directed: str | Sequence[Sequence[int]], size: int) -> NDArray[np.int64]:
    """Directed couplings (links, 2), numbered from 0: [i, j] says that i feels j.

    A word stands for its pairs, each of them both ways, one after the other.
    """
    if isinstance(directed, str):
        both = [(i, j) for pair in edges_of(directed, size) for i, j in (pair, pair[::-1])]
        return np.array(both, dtype=np.int64).reshape(-1, 2)
    links = [tuple(int(index) for index in link) for link in directed]
    for link in links:
        if len(link) != 2 or link[0] == link[1] or not all(0 <= index < size for index in link):
            raise ConfigurationError(
                f"a directed coupling [i, j], by which i feels j, names two different oscillators of 0..{size - 1}, "
                f"not {list(link)}"
            )
    if len(set(links)) < len(links):
        raise ConfigurationError("the same directed coupling is named twice; list each [i, j] once")
    return np.array(links, dtype=np.int64).reshape(-1, 2)


def _parts(coupling: Any) -> tuple[Any, Any, Any]:
    """Springs, directed and gyroscopic couplings of what a configuration gives."""
    if not isinstance(coupling, Mapping):
        return coupling, [], []
    unknown = sorted(set(coupling) - {"springs", "directed", "gyroscopic"})
    if unknown:
        raise ConfigurationError(
            f"couplings are springs, directed and gyroscopic ones; there is nothing called {unknown[0]!r}"
        )
    return coupling.get("springs", "none"), coupling.get("directed", []), coupling.get("gyroscopic", [])


class OscillatorNetwork:
    """The network as a `labrhel.model.interface.Model`; arrays of positions and velocities are (n,) or (n, steps)."""

    is_polynomial: ClassVar[bool] = True
    """Whether its forces are those above alone, which the compiled kernels know."""

    def __init__(
        self,
        size: int,
        *,
        inputs: Sequence[str] = ("u1",),
        coupling: str | Sequence[Sequence[int]] | Mapping[str, Any] = "none",
        nominal: Mapping[str, ArrayLike] | None = None,
        time_unit: float = 1.0,
        position_unit: str = "1",
        input_unit: str = "1",
    ) -> None:
        if size < 1:
            raise ConfigurationError(f"a network needs at least one oscillator, not {size}")
        self.size = size
        self.inputs = tuple(inputs)
        springs, directed, gyroscopic = _parts(coupling)
        self.edges, self.links, self.spins = (
            edges_of(springs, size),
            links_of(directed, size),
            edges_of(gyroscopic, size),
        )
        self.time_unit = time_unit
        self.position_unit, self.input_unit = position_unit, input_unit
        self.parameters: Mapping[str, ParameterSpec] = MappingProxyType(self._specify(dict(nominal or {})))

    def _defaults(self) -> dict[str, tuple[ParameterKind, ArrayLike, tuple[int, ...], str]]:
        """By parameter: kind, value, shape and meaning."""
        n, inputs = self.size, len(self.inputs)
        first_input = np.zeros((n, inputs))
        first_input[0, :1] = 1.0
        felt = "directed coupling D_ij, by which i feels j, of each link [i, j]: force -D_ij q_j on i"
        one_way: dict[str, tuple[ParameterKind, ArrayLike, tuple[int, ...], str]] = {}
        if len(self.links):
            one_way["directed"] = ("directed", 0.0, (len(self.links),), felt)
        if len(self.spins):
            turned = "gyroscopic force of each pair [i, j]: -O q'_j on i, O q'_i on j"
            one_way["gyroscopic"] = ("gyroscopic", 0.0, (len(self.spins),), turned)
        return {
            "mass": ("kinetic", 1.0, (n,), "inertia m_i"),
            "stiffness": ("potential", 1.0, (n,), "linear restoring force k_i q"),
            "quadratic": ("potential", 0.0, (n,), "force a_i q^2"),
            "cubic": ("potential", 0.0, (n,), "force b_i q^3 (Duffing)"),
            "quartic": ("potential", 0.0, (n,), "force c_i q^4"),
            "coupling": ("potential", 0.0, (len(self.edges),), "spring K_ij between the coupled pairs"),
            **one_way,
            "friction": ("friction", 0.0, (n, n), "symmetric friction matrix G; a vector is its diagonal"),
            "input": ("input", first_input, (n, inputs), "input map W, force per unit of input"),
            "input_offset": ("input", 0.0, (inputs,), "offset o added to the input"),
            "initial_position": ("position", 0.0, (n,), "position half a step before the first kick"),
            "initial_momentum": ("momentum", 0.0, (n,), "momentum half a step before the first kick"),
        }

    def _specify(self, nominal: dict[str, ArrayLike]) -> dict[str, ParameterSpec]:
        default = self._defaults()
        unknown = sorted(set(nominal) - set(default))
        if unknown:
            raise ConfigurationError(f"unknown parameter {unknown[0]!r}; the network has: {', '.join(default)}")
        # Masses are pure numbers: mass, friction and stiffness share one scale that no measurement of motion can fix.
        time, place, drive = prefixed(self.time_unit, "s"), self.position_unit, self.input_unit
        unit = {name: product({place: 1 - power, time: -2}) for name, power in POWERS.items()}
        unit |= {
            "mass": "1",
            "coupling": product({time: -2}),
            "directed": product({time: -2}),
            "gyroscopic": product({time: -1}),
            "saturation": product({place: 1, time: -2}),
            "friction": product({time: -1}),
            "input": f"{product({place: 1, time: -2})} per {drive}" if drive != "1" else product({place: 1, time: -2}),
            "input_offset": drive,
            "initial_position": place,
            "initial_momentum": product({place: 1, time: -1}),
        }
        self.force_unit = product({place: 1, time: -2})
        specs = {}
        for name, (kind, value, shape, meaning) in default.items():
            array = self.shape_parameter(name, nominal.get(name, value), shape)
            specs[name] = ParameterSpec(shape, unit[name], kind, array, meaning)
        return specs

    def shape_parameter(self, name: str, value: ArrayLike, shape: tuple[int, ...] | None = None) -> Array:
        """A number, or an array that fits, as the full array of that parameter; refuses what cannot be physical."""
        shape = self.parameters[name].shape if shape is None else shape
        array = np.asarray(value, dtype=float)
        if name == "friction" and array.ndim < 2:
            array = np.diag(np.broadcast_to(array, (self.size,)))
        try:
            array = np.array(np.broadcast_to(array, shape))
        except ValueError:
            raise ConfigurationError(f"{name} has shape {array.shape}; expected {shape} or a single number") from None
        if not np.isfinite(array).all():
            raise ConfigurationError(f"{name} holds a value that is not a finite number")
        if name == "mass" and (array <= 0).any():
            raise ConfigurationError("every mass must be positive")
        if name == "friction" and not np.allclose(array, array.T):
            raise ConfigurationError(
                "the friction matrix must be symmetric; magnetic-like terms are coupling: {gyroscopic: [[i, j]]}"
            )
        return array

    def value(self, name: str, theta: Arrays) -> Array:
        """The value of a parameter, nominal where `theta` does not name it."""
        return np.asarray(theta[name], float) if name in theta else self.parameters[name].nominal

    def mass(self, theta: Arrays) -> Array:
        """Masses (n,)."""
        return self.value("mass", theta)

    def friction(self, theta: Arrays) -> Array:
        """Friction matrix (n, n), symmetrised, and what is gyroscopic, which is antisymmetric."""
        matrix = self.value("friction", theta)
        lossy = (matrix + matrix.T) / 2
        if not len(self.spins):
            return lossy
        turned, (i, j) = np.zeros_like(lossy), self.spins.T
        turned[i, j] = self.value("gyroscopic", theta)
        return lossy + turned - turned.T

    def force(self, q: Array, theta: Arrays) -> Array:
        """-dV/dq at positions (n,) or (n, steps), without inputs."""
        column = (slice(None),) + (None,) * (q.ndim - 1)
        total = np.zeros_like(q)
        for name, power in POWERS.items():
            # Powers of a long trace are dear, and most terms are absent; any() takes five times as long to say so.
            if np.count_nonzero(value := self.value(name, theta)):
                total -= value[column] * q**power
        stretch = self.value("coupling", theta)[column] * (q[self.edges[:, 1]] - q[self.edges[:, 0]])
        if q[0].size <= _NARROW:
            np.add.at(total, self.edges[:, 0], stretch)
            np.add.at(total, self.edges[:, 1], -stretch)
        else:  # the same sums in the same order, but a trace at a time, which add.at does reading by reading
            for end, sign in ((0, np.add), (1, np.subtract)):
                for row, force in zip(self.edges[:, end], stretch, strict=True):
                    sign(total[row], force, out=total[row])
        if (felt := self.one_way(theta)).size:
            total -= felt @ q
        return total

    def is_directed(self, theta: Arrays) -> bool:
        """A `labrhel.model.interface.Directed` model."""
        felt = self.one_way(theta)
        spins = len(self.spins) > 0 and bool(np.any(self.value("gyroscopic", theta)))
        return spins or not np.array_equal(felt, felt.T)

    def pulled(self, name: str, q: Array, weights: Array, theta: Arrays) -> Array:
        """A `labrhel.model.interface.KnowsPulls`: of each link [i, j] -sum_k weights_i q_j."""
        return -np.sum(weights[self.links[:, 0]] * q[self.links[:, 1]], axis=1)

    def one_way(self, theta: Arrays) -> Array:
        """D (n, n) of the forces -D q; (0, 0) where there are none, which kernels skip."""
        if not len(self.links) or not np.any(self.value("directed", theta)):
            return np.zeros((0, 0))
        matrix = np.zeros((self.size, self.size))
        matrix[self.links[:, 0], self.links[:, 1]] = self.value("directed", theta)
        return matrix

    def springs(self, theta: Arrays) -> tuple[NDArray[np.int64], Array]:
        """The coupled pairs (edges, 2) and K_ij (edges,): a `simbackend.models.simulable.Sprung` model."""
        return self.edges, self.value("coupling", theta)

    def input_force(self, u: Array, theta: Arrays) -> Array:
        """W (u + o) for inputs (inputs, steps)."""
        return self.value("input", theta) @ (u + self.value("input_offset", theta)[:, None])

    def run_passes(self, theta: Arrays, forces: Array, step: float, position: Array, momentum: Array) -> Run | None:
        """A `labrhel.model.interface.RunsPasses`, by the compiled kernel; None where the force is no polynomial."""
        if not self.is_polynomial:
            return None
        from simbackend.kernels import network as kernels  # numba: not for those who only read a configuration

        (n, steps), batch, friction = forces.shape, len(position), self.friction(theta)
        kick = _kick(self.mass(theta).tobytes(), friction.tobytes(), step)
        q, p = np.array(position, float, order="C"), np.array(momentum, float, order="C")
        trace, no_trace, no_sums = np.empty((batch, n, steps)), np.empty((batch, n, 0)), np.empty((batch, 4, 0))
        unused = np.empty((batch, 0)), np.empty((batch, 0)), np.empty((batch, 0, 0)), np.empty((batch, 0))
        kernels.run_passes(
            q, p, np.repeat(forces[None], batch, axis=0), np.eye(n), np.zeros(n), 1 / self.mass(theta),
            np.array([self.value(name, theta) for name in POWERS]), self.edges, np.array(self.value("coupling", theta)),
            -self.one_way(theta), kick.keep, kick.push, kernels.friction_kind(friction), step, 1, trace, no_trace,
            no_sums, *unused,
        )  # fmt: skip
        return Run(trace, q, p)

    def run_response(self, theta: Arrays, path: Array, forces: Array, step: float) -> Response | None:
        """A `labrhel.model.interface.RunsResponses`, by the compiled kernel; None where the force is no polynomial."""
        return self._respond(theta, path, forces, step, self.one_way(theta), self.friction(theta))

    def run_transposed(self, theta: Arrays, path: Array, forces: Array, step: float) -> Response | None:
        """A `labrhel.model.interface.RunsTransposed`, by the same kernel."""
        return self._respond(theta, path, forces, step, self.one_way(theta).T, self.friction(theta).T)

    def _respond(
        self, theta: Arrays, path: Array, forces: Array, step: float, one_way: Array, friction: Array
    ) -> Response | None:
        if not self.is_polynomial:
            return None
        from simbackend.kernels import network as kernels

        mass = self.mass(theta)
        kick = KickMatrices.of(mass, friction, step)
        q, p, trace = np.zeros(self.size), np.zeros(self.size), np.empty(path.shape)
        kernels.run_response(
            q, p, np.array(path, float, order="C"), np.array(forces, float, order="C"), 1 / mass,
            np.array([self.value(name, theta) for name in POWERS]), self.edges, np.array(self.value("coupling", theta)),
            np.ascontiguousarray(one_way), kick.keep, kick.push, step, trace,
        )  # fmt: skip
        return Response(trace, q, p)

    def hessian(self, q: Array, theta: Arrays) -> Array:
        """-dF/dq (n, n) at positions (n,): d2V/dq2, and directed couplings."""
        diagonal = sum(power * self.value(name, theta) * q ** (power - 1) for name, power in POWERS.items())
        matrix = np.diag(diagonal)
        for (i, j), spring in zip(self.edges, self.value("coupling", theta), strict=True):
            matrix[i, i] += spring
            matrix[j, j] += spring
            matrix[i, j] -= spring
            matrix[j, i] -= spring
        felt = self.one_way(theta)
        return matrix + felt if felt.size else matrix

    def hessian_along(self, theta: Arrays, path: Array) -> Array | None:
        """A `labrhel.model.interface.KnowsHessians`; None where the force is no polynomial."""
        if not self.is_polynomial:
            return None
        diagonal = np.zeros_like(path)
        for name, power in POWERS.items():
            if np.count_nonzero(value := self.value(name, theta)):  # as in `force`
                diagonal += power * value[:, None] * path ** (power - 1)
        resting = self.hessian(np.zeros(self.size), theta)
        matrices = np.repeat(resting[None], path.shape[1], axis=0)
        every = np.arange(self.size)
        matrices[:, every, every] += (diagonal - self.value("stiffness", theta)[:, None]).T
        return matrices

    def observables(
        self, names: Sequence[str], q: Array, v: Array, u: Array, dt: float, theta: Arrays
    ) -> dict[str, Array]:
        """sum_k dt * dH/dtheta from traces at the kicks, q and v (n, steps), u (inputs, steps).

        The kinetic observable needs the mean of v^2 before and after each kick; both follow exactly from the
        positions, since the drift between two kicks is straight.
        """
        driven = u + self.value("input_offset", theta)[:, None]
        sums: dict[str, Array] = {}
        for name in names:
            if name in POWERS:
                sums[name] = dt * np.sum(q ** (POWERS[name] + 1), axis=1) / (POWERS[name] + 1)
            elif name == "coupling":
                stretch = q[self.edges[:, 1]]
                stretch -= q[self.edges[:, 0]]
                sums[name] = dt * np.sum(np.square(stretch, out=stretch), axis=1) / 2
            elif name == "mass":
                sums[name] = -dt * np.sum(_square_of_velocity(q, v, dt), axis=1) / 2
            elif name == "input":
                sums[name] = -dt * q @ driven.T
            elif name == "input_offset":
                sums[name] = -dt * self.value("input", theta).T @ np.sum(q, axis=1)
            else:
                raise KeyError(f"{name} has no observable")
        return sums

    def is_linear(self, theta: Arrays) -> bool:
        """True if all anharmonic terms vanish."""
        return not any(np.any(self.value(name, theta)) for name, power in POWERS.items() if power > 1)

    def largest_step(self, theta: Arrays) -> float:
        """2/omega_max of the linear part: beyond it the leapfrog grows without bound.

        What the linear part pushes away from the middle rests in the wells of the cubic term, where V'' is twice as
        large, and pulls back.
        """
        inverse_root = 1 / np.sqrt(self.mass(theta))
        stiffness = self.hessian(np.zeros(self.size), theta) * inverse_root[:, None] * inverse_root
        if self.is_directed(theta):
            curvatures = np.linalg.eigvals(stiffness)
            fastest = max(float(np.abs(curvatures).max()), -2 * float(curvatures.real.min()))
            return np.inf if fastest <= 0 else 2 / np.sqrt(fastest)
        curvatures = np.linalg.eigvalsh(stiffness)
        fastest = max(float(curvatures[-1]), -2 * float(curvatures[0]))
        return np.inf if fastest <= 0 else 2 / np.sqrt(fastest)


@lru_cache(maxsize=64)
def _kick(mass: bytes, friction: bytes, step: float) -> KickMatrices:
    """A fit runs thousands of passes, most of them under the friction of the one before: a third of a short pass."""
    masses = np.frombuffer(mass)
    return KickMatrices.of(masses, np.frombuffer(friction).reshape(len(masses), -1), step)


def _square_of_velocity(q: Array, v: Array, dt: float) -> Array:
    between = np.diff(q, axis=1) / dt
    before = np.column_stack([2 * v[:, 0] - between[:, 0], between]) if between.size else v
    after = np.column_stack([between, 2 * v[:, -1] - between[:, -1]]) if between.size else v
    return (before**2 + after**2) / 2
