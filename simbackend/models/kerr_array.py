"""Array of coupled, lossy Kerr modes in the rotating frame: complex amplitudes, time reversal by conjugation.

    H = sum_i w_i |a_i|^2 + sum_i g_i |a_i|^4/2 + sum_(i,j) 2 Re(a_i* (x_ij + i y_ij) a_j) + 2 Re(a* . W u)

    i da_i/dt = w_i a_i + g_i |a_i|^2 a_i + sum_j J_ij a_j + (W u)_i - (i/2) sum_j kappa_ij a_j

w (detuning), g (kerr), x (coupling) real, kappa (loss) symmetric and passive, u complex; W = input + i
input_quadrature.  A coupling through a path of unequal phases has a flux y: J_ij = x + i y, J_ji = x - i y.

If a(t) solves this under u(t), without loss and flux, then a*(T - t) solves it under u*(T - t), where W is real.
`labrhel.model.rotating` has the step, and what an echo of a lossy array is driven with.  With the nudge i eps dL/da* to
da/dt in the echo (Wirtinger derivative) and delta = D[a], the difference of two echoes over 2 eps, in forward order,

    dL/dtheta = -2 d Re sum_k delta_k . df_k/dtheta, f the right side above:  w: delta_i a_i;  g: delta_i |a_i|^2 a_i;
    x: delta_i a_j + delta_j a_i;  y: i (delta_i a_j - delta_j a_i);  kappa_ij: -(i/2) delta_i a_j;  W_ij: delta_i u_j
    dL/du_k = -2 d conj(W^T delta_k),    dL/da(0) = 2 i conj(delta) at the end of the echo,

dL/du meaning dL/dRe u + i dL/dIm u.  Source: Lopez-Pastor & Marquardt, PRX 13, 031020 (2023), with the loss at the
final time only; the loss along the path, and the loss of energy, derived and tested here (docs/rotating-frame.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError, ProgramError
from labrhel.model.interface import ParameterKind, ParameterSpec
from labrhel.model.rotating import Amplitudes, as_complex, terminals
from simbackend.kernels.kerr import propagate
from simbackend.models.oscillator_network import edges_of


@dataclass(frozen=True, slots=True)
class KerrRun:
    """One pass: amplitudes (n, steps) at the kicks, the end state (n,), and sum d dH/dtheta by parameter."""

    amplitude: Array
    end: Array
    observables: Arrays


@dataclass(frozen=True, slots=True)
class KerrGradient:
    """Gradients by parameter; `inputs` (ports, steps) and `start` (n,) are dL/dRe + i dL/dIm."""

    parameters: Arrays
    inputs: Array
    start: Array


class KerrArray:
    """The array; `theta` maps parameter names to real arrays, absent ones take their nominal values.

    `ports` are its I/Q inputs, `inputs` their terminals, two for each.
    """

    def __init__(
        self,
        size: int,
        *,
        inputs: Sequence[str] = ("u1",),
        coupling: str | Sequence[Sequence[int]] = "none",
        nominal: Mapping[str, ArrayLike] | None = None,
        time_unit: float = 1.0,
        position_unit: str = "1",
        input_unit: str = "1",
    ) -> None:
        if size < 1:
            raise ConfigurationError(f"an array needs at least one mode, not {size}")
        if isinstance(coupling, Mapping):
            raise ConfigurationError(
                "a Kerr array has one kind of couplings: none, chain, ring, all or a list of pairs; what goes round "
                "one way is the parameter flux of a pair"
            )
        self.size, self.ports, self.inputs = size, tuple(inputs), terminals(inputs)
        self.time_unit, self.position_unit, self.input_unit = time_unit, position_unit, input_unit
        self.force_unit = f"{position_unit}/time"
        self.edges = edges_of(coupling, size)
        given = dict(nominal or {})
        default = self._defaults()
        unknown = sorted(set(given) - set(default))
        if unknown:
            raise ConfigurationError(f"unknown parameter {unknown[0]!r}; the array has: {', '.join(default)}")
        specs = {}
        for name, (kind, value, shape, meaning) in default.items():
            array = _fitted(name, given.get(name, value), shape, kind)
            specs[name] = ParameterSpec(shape, "1", kind, array, meaning)
        self.parameters: Mapping[str, ParameterSpec] = MappingProxyType(specs)

    def _defaults(self) -> dict[str, tuple[ParameterKind, ArrayLike, tuple[int, ...], str]]:
        n, pairs, drives = self.size, (len(self.edges),), (self.size, len(self.ports))
        first = np.zeros(drives)
        first[0, :1] = 1.0
        return {
            "detuning": ("potential", 0.0, (n,), "detuning w_i from the rotating frame"),
            "kerr": ("potential", 0.0, (n,), "frequency shift g_i per |a|^2"),
            "coupling": ("potential", 0.0, pairs, "real amplitude x_ij between the coupled pairs"),
            "flux": ("directed", 0.0, pairs, "imaginary amplitude y_ij: i feels x + i y, j feels x - i y"),
            "loss": ("friction", 0.0, (n, n), "loss kappa_ij, rates of the energy: a number, one a ring, or a matrix"),
            "input": ("input", first, drives, "input map W, frequency times amplitude per unit of input"),
            "input_quadrature": ("input", 0.0, drives, "imaginary part of W"),
            "initial_position": ("position", 0.0, (n,), "in-phase part of a(0)"),
            "initial_momentum": ("momentum", 0.0, (n,), "quadrature of a(0)"),
        }

    def value(self, name: str, theta: Arrays) -> Array:
        """The value of a parameter, nominal where `theta` does not name it."""
        return np.asarray(theta[name], float) if name in theta else self.parameters[name].nominal

    def shape_parameter(self, name: str, value: ArrayLike) -> Array:
        """A number, or an array that fits, as the full array of that parameter."""
        return _fitted(name, value, self.parameters[name].shape, self.parameters[name].kind)

    def matrix(self, theta: Arrays) -> Amplitudes:
        """H = J + diag(w) - (i/2) kappa (n, n)."""
        found = np.diag(self.value("detuning", theta)) - 0.5j * self.value("loss", theta)
        i, j = self.edges.T
        hop = self.value("coupling", theta) + 1j * self.value("flux", theta)
        found[i, j] += hop
        found[j, i] += np.conj(hop)
        return found

    def kerr(self, theta: Arrays) -> Array:
        """The frequency shifts g (n,)."""
        return self.value("kerr", theta)

    def weights(self, theta: Arrays) -> Amplitudes:
        """W (n, ports)."""
        return self.value("input", theta) + 1j * self.value("input_quadrature", theta)

    def field(self, u: Array, theta: Arrays) -> Amplitudes:
        """W u (n, steps) of what the terminals play (2 ports, steps)."""
        return self.weights(theta) @ as_complex(u)

    def friction(self, theta: Arrays) -> Array:
        """The loss matrix kappa (n, n)."""
        return self.value("loss", theta)

    def mass(self, theta: Arrays) -> Array:
        """One for every mode: energies decay as exp(-kappa t)."""
        return np.ones(self.size)

    def is_linear(self, theta: Arrays) -> bool:
        """True without Kerr shifts."""
        return not self.kerr(theta).any()

    def is_directed(self, theta: Arrays) -> bool:
        """True with a flux: the adjoint then runs with the opposite one."""
        return bool(self.value("flux", theta).any())

    def largest_step(self, theta: Arrays) -> float:
        """2 over the largest frequency of J + diag(w), where the mid-point rule turns by 90 degrees a step."""
        whole = self.matrix(theta)
        largest = float(np.abs(np.linalg.eigvalsh((whole + whole.conj().T) / 2)).max())
        return 2 / largest if largest > 0 else np.inf

    def hessian(self, q: Array, theta: Arrays) -> Array:
        """J + diag(w), whose modes are those of the array at rest."""
        return self.matrix(theta).real

    def force(self, q: Array, theta: Arrays) -> NoReturn:
        """There is none: refused in a sentence."""
        raise ProgramError(
            "a Kerr array has amplitudes in the rotating frame, and no force of positions: what asks for one knows "
            "oscillators only; labrhel check, run, audit and the rules rhel, heb, adjoint_only, recorded_correlation, "
            "finite_differences and spsa know arrays"
        )

    def input_force(self, u: Array, theta: Arrays) -> Amplitudes:
        """The field W u (n, steps) of what the terminals play (2 ports, steps)."""
        return self.field(u, theta)

    def observables(
        self, names: Sequence[str], q: Array, v: Array, u: Array, dt: float, theta: Arrays
    ) -> dict[str, Array]:
        """sum_k dt dH/dtheta of amplitudes q + i v (n, steps), of the parameters that H has, and terminals u."""
        a = q + 1j * v
        power, pairs = np.abs(a) ** 2, np.conj(a[self.edges[:, 0]]) * a[self.edges[:, 1]]
        drive = 2 * a.conj() @ as_complex(u).T
        sums = {
            "detuning": power.sum(axis=1),
            "kerr": np.sum(power**2, axis=1) / 2,
            "coupling": 2 * pairs.sum(axis=1).real,
            "flux": -2 * pairs.sum(axis=1).imag,
            "input": drive.real,
            "input_quadrature": -drive.imag,
        }
        return {name: dt * sums[name] for name in names}

    def pulled(self, name: str, response: Amplitudes, a: Amplitudes, u: Array, theta: Arrays) -> Amplitudes:
        """sum_k response_k . df_k/dtheta of a parameter that is not the initial state; u (2 ports, steps)."""
        i, j = self.edges.T
        if name in ("detuning", "kerr"):
            return np.sum(response * a * (np.abs(a) ** 2 if name == "kerr" else 1.0), axis=1)
        if name in ("coupling", "flux"):
            there, back = np.sum(response[i] * a[j], axis=1), np.sum(response[j] * a[i], axis=1)
            return there + back if name == "coupling" else 1j * (there - back)
        if name == "loss":
            product = response @ a.T
            return -0.25j * (product + product.T)
        return (1.0 if name == "input" else 1j) * (response @ as_complex(u).T)

    def pass_of(
        self, theta: Arrays, fields: Amplitudes, step: float, start: Amplitudes
    ) -> tuple[Amplitudes, Amplitudes]:
        """A pass under `fields` (n, steps) from `start` (n,): the readings (n, steps), and the end (n,)."""
        a, amplitude = np.array(start, dtype=complex), np.empty(fields.shape, dtype=complex)
        solved = np.linalg.inv(np.eye(self.size) + 0.5j * step * self.matrix(theta))
        propagate(a, np.ascontiguousarray(fields, dtype=complex), step, solved, self.kerr(theta), amplitude)
        return amplitude, a

    def hamiltonian(self, a: Array, u: Array, theta: Arrays) -> float:
        """H of amplitudes (n,) under inputs u (ports,), complex."""
        lossless = {**theta, "loss": np.zeros((self.size, self.size))}
        power = np.abs(a) ** 2
        bent = self.kerr(theta) @ power**2 / 2
        return float(np.vdot(a, self.matrix(lossless) @ a).real + bent + 2 * np.vdot(a, self.weights(theta) @ u).real)

    def run(self, start: Array, u: Array, step: float, theta: Arrays, nudge: Array | None = None) -> KerrRun:
        """Run one pass from `start` (n,) under inputs `u` (ports, steps), complex.

        `nudge` (n, steps) is added to the amplitudes by each step.  Raises ProgramError for shapes that disagree.
        """
        drive = np.atleast_2d(u)
        if np.shape(start) != (self.size,) or drive.shape[0] != len(self.ports):
            raise ProgramError(
                f"the array has {self.size} modes and {len(self.ports)} inputs; "
                f"the start has shape {np.shape(start)}, the inputs {drive.shape}"
            )
        fields = self.weights(theta) @ drive
        if nudge is not None:
            fields = fields + 1j * nudge / step
        amplitude, end = self.pass_of(theta, fields, step, np.asarray(start))
        names = ("detuning", "kerr", "coupling", "flux", "input", "input_quadrature")
        pairs = np.stack([np.real(drive), np.imag(drive)], axis=1).reshape(-1, drive.shape[1])
        return KerrRun(amplitude, end, self.observables(names, *_parts(amplitude), pairs, step, theta))

    def gradient(
        self,
        start: Array,
        u: Array,
        step: float,
        theta: Arrays,
        slope: Callable[[KerrRun], tuple[Array, Array]],
        eps: float,
    ) -> KerrGradient:
        """Forward pass, then two echoes nudged by +-eps, driven where the array is lossy and with its flux reversed.

        `slope` gives the Wirtinger derivatives dL/da (half of dL/dRe a - i dL/dIm a) of the loss at the kicks
        (n, steps) and at the end (n,).  With the first all zero this is Hamiltonian echo backpropagation.
        """
        forward = self.run(start, u, step, theta)
        along, final = slope(forward)
        turned = {**theta, "flux": -self.value("flux", theta)}
        back = np.conj(forward.amplitude)[:, ::-1]
        whole = np.conj(self.weights(theta) @ np.atleast_2d(u))[:, ::-1]
        whole = whole + (np.conj(self.matrix(theta)) - self.matrix(turned)) @ back
        plus, minus = (
            self.pass_of(turned, whole - e * along[:, ::-1] / step, step, np.conj(forward.end) + 1j * e * final)
            for e in (eps, -eps)
        )
        felt, end = ((one - other) / (2 * eps) for one, other in zip(plus, minus, strict=True))
        felt = felt[:, ::-1]
        pairs = np.stack([np.real(np.atleast_2d(u)), np.imag(np.atleast_2d(u))], axis=1).reshape(-1, felt.shape[1])
        parameters = {
            name: -2 * step * self.pulled(name, felt, forward.amplitude, pairs, theta).real
            for name, spec in self.parameters.items()
            if spec.kind not in ("position", "momentum")
        }
        return KerrGradient(parameters, -2 * step * np.conj(self.weights(theta).T @ felt), 2j * np.conj(end))


def _parts(a: Array) -> tuple[Array, Array]:
    return np.real(a), np.imag(a)


def _fitted(name: str, value: ArrayLike, shape: tuple[int, ...], kind: ParameterKind) -> Array:
    given = np.asarray(value)
    if np.iscomplexobj(given):
        raise ConfigurationError(f"{name} must be real: conjugation does not reverse a complex one")
    if kind == "friction":
        return _loss(np.asarray(given, float), shape)
    if given.shape not in ((), shape):
        raise ConfigurationError(f"{name} has shape {given.shape}; expected {shape} or a single number")
    return np.array(np.broadcast_to(given, shape), dtype=float)


def _loss(given: Array, shape: tuple[int, ...]) -> Array:
    if given.shape in ((), shape[:1]):
        return np.diag(np.broadcast_to(given, shape[:1])).astype(float)
    if given.shape != shape or not np.allclose(given, given.T):
        raise ConfigurationError(
            f"loss is a number, one for each of the {shape[0]} modes, or a symmetric matrix {shape}, not {given.shape}"
        )
    return (given + given.T) / 2
