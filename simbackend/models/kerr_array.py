"""Array of coupled Kerr modes in the rotating frame: complex amplitudes, time reversal by conjugation.

    H = sum_i w_i |a_i|^2 + sum_i g_i |a_i|^4/2 + sum_(i,j) J_ij 2 Re(a_i* a_j) + 2 Re(a* . W u),     i da/dt = dH/da*

    i da_i/dt = w_i a_i + g_i |a_i|^2 a_i + sum_j J_ij a_j + (W u)_i

w, g, J, W real, u complex.  If a(t) solves this under u(t), then a*(T - t) solves it under u*(T - t).  A complex
(Hermitian) J would have to be conjugated as well, which a rig cannot do by itself; it is left out.

One step d is a palindrome of flows, each solved exactly and each undone by conjugation:
    local(d/2)  a_i <- a_i exp(-i (w_i + g_i |a_i|^2) d/2)
    hop(d/2)    edge by edge: (a_i, a_j) <- (a_i cos - i a_j sin, a_j cos - i a_i sin)(J_ij d/2)
    kick(d)     a <- a - i d W u;       readings and nudges sit in its middle, at the mean of before and after
    hop(d/2) in the opposite order of edges, local(d/2)

Each flow conserves the term that drives it, so an observable summed while its own term acts makes the echo gradient
that of the discrete map, exactly, but for eps^2.  With the nudge a += i eps dL/da (Wirtinger derivative) in the echo:

    dL/dtheta = -D[sum d dH/dtheta],   dL/du_k = -d D[2 W^T a*],   dL/da(0) = -i D[a] at the end of the echo,

D the difference of two echoes over 2 eps, dL/du meaning dL/dRe u + i dL/dIm u.  Observables: w: |a|^2; g: |a|^4/2;
J: 2 Re(a_i* a_j); W_ij: 2 Re(a_i* u_j).  Source: Lopez-Pastor & Marquardt, PRX 13, 031020 (2023), with the loss at the
final time only; the loss along the path, as in Pourcel & Ernoult (2025), derived here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError, ProgramError
from labrhel.model.interface import ParameterKind, ParameterSpec
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
    """The array; `theta` maps parameter names to real arrays, absent ones take their nominal values."""

    def __init__(
        self,
        size: int,
        *,
        inputs: Sequence[str] = ("u1",),
        coupling: str | Sequence[Sequence[int]] = "none",
        nominal: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        if size < 1:
            raise ConfigurationError(f"an array needs at least one mode, not {size}")
        self.size, self.inputs = size, tuple(inputs)
        self.edges = edges_of(coupling, size)
        first = np.zeros((size, len(self.inputs)))
        first[0, :1] = 1.0
        default: dict[str, tuple[ParameterKind, ArrayLike, tuple[int, ...], str]] = {
            "frequency": ("potential", 0.0, (size,), "detuning w_i from the rotating frame"),
            "kerr": ("potential", 0.0, (size,), "frequency shift g_i per |a|^2"),
            "hopping": ("potential", 0.0, (len(self.edges),), "real amplitude J_ij between the coupled pairs"),
            "input": ("input", first, first.shape, "input map W, frequency times amplitude per unit of input"),
        }
        unknown = sorted(set(nominal or {}) - set(default))
        if unknown:
            raise ConfigurationError(f"unknown parameter {unknown[0]!r}; the array has: {', '.join(default)}")
        specs = {}
        for name, (kind, value, shape, meaning) in default.items():
            given = np.asarray((nominal or {}).get(name, value))
            if np.iscomplexobj(given):
                raise ConfigurationError(f"{name} must be real: conjugation does not reverse a complex one")
            if given.shape not in ((), shape):
                raise ConfigurationError(f"{name} has shape {given.shape}; expected {shape} or a single number")
            array = np.array(np.broadcast_to(given, shape), dtype=float)
            specs[name] = ParameterSpec(shape, "1", kind, array, meaning)
        self.parameters: Mapping[str, ParameterSpec] = MappingProxyType(specs)

    def value(self, name: str, theta: Arrays) -> Array:
        """The value of a parameter, nominal where `theta` does not name it."""
        return np.asarray(theta[name], float) if name in theta else self.parameters[name].nominal

    def hamiltonian(self, a: Array, u: Array, theta: Arrays) -> float:
        """H of amplitudes (n,) under inputs u (ports,)."""
        w, g, hopping, weights = (self.value(name, theta) for name in ("frequency", "kerr", "hopping", "input"))
        power, pairs = np.abs(a) ** 2, np.conj(a[self.edges[:, 0]]) * a[self.edges[:, 1]]
        return float(w @ power + g @ power**2 / 2 + 2 * hopping @ np.real(pairs) + 2 * np.vdot(a, weights @ u).real)

    def run(self, start: Array, u: Array, step: float, theta: Arrays, nudge: Array | None = None) -> KerrRun:
        """Run one pass from `start` (n,) under inputs `u` (ports, steps), complex.

        `nudge` (n, steps) is added to the amplitudes in the middle of the kicks.  Raises ProgramError for shapes that
        disagree.
        """
        weights, drive = self.value("input", theta), np.atleast_2d(u)
        if np.shape(start) != (self.size,) or drive.shape[0] != len(self.inputs):
            raise ProgramError(
                f"the array has {self.size} modes and {len(self.inputs)} inputs; "
                f"the start has shape {np.shape(start)}, the inputs {drive.shape}"
            )
        kicks = -1j * step * (weights @ drive)
        if nudge is not None:
            kicks = kicks + nudge
        a = np.array(start, dtype=complex)
        amplitude = np.empty(kicks.shape, dtype=complex)
        power, square, pairs = np.zeros(self.size), np.zeros(self.size), np.zeros(len(self.edges))
        frequency, kerr, hopping = (self.value(name, theta) for name in ("frequency", "kerr", "hopping"))
        propagate(a, kicks, step, frequency, kerr, hopping, self.edges, amplitude, power, square, pairs)
        observables = {"frequency": power, "kerr": square, "hopping": pairs}
        return KerrRun(amplitude, a, observables | {"input": 2 * step * np.real(amplitude.conj() @ drive.T)})

    def gradient(
        self,
        start: Array,
        u: Array,
        step: float,
        theta: Arrays,
        slope: Callable[[KerrRun], tuple[Array, Array]],
        eps: float,
    ) -> KerrGradient:
        """Forward pass, then two echoes nudged by +-eps.

        `slope` gives the Wirtinger derivatives dL/da (half of dL/dRe a - i dL/dIm a) of the loss at the kicks
        (n, steps) and at the end (n,).  With the first all zero this is Hamiltonian echo backpropagation.
        """
        forward = self.run(start, u, step, theta)
        along, final = slope(forward)
        replayed = np.conj(np.atleast_2d(u))[:, ::-1]
        plus, minus = (
            self.run(np.conj(forward.end) + 1j * e * final, replayed, step, theta, 1j * e * along[:, ::-1])
            for e in (eps, -eps)
        )
        scale = 1 / (2 * eps)
        felt = np.conj(plus.amplitude - minus.amplitude)[:, ::-1] * scale
        # Twice the conjugate of dL/da is dL/dRe + i dL/dIm.
        at_start = 2 * np.conj(-1j * (plus.end - minus.end) * scale)
        drive_gradient = -2 * step * self.value("input", theta).T @ felt
        # The observable of W under conj(u) is the same as that under u: Re(a* u) = Re(a u*).
        parameters = {name: -scale * (plus.observables[name] - minus.observables[name]) for name in plus.observables}
        return KerrGradient(parameters, drive_gradient, at_start)
