"""Models in the rotating frame: complex amplitudes, of which an I/Q instrument drives and reads two quadratures.

    i a' = H a + g |a|^2 a + f,      H = J + diag(w) - (i/2) kappa,      f = W u + what the drive ports give

J hermitian, kappa symmetric.  One step d is the implicit mid-point rule, whose mean m = (a + a')/2 is the reading at
the kick:

    a' = a - i d (H m + g |m|^2 m + f_k)

Conjugation takes the place of the flip: conj(a(T - t)) solves the equation of H*, under conj(f(T - t)), so an echo
retraces if it is given the difference, (H* - H) conj(a_recorded): that is i kappa conj(a) where J is real.

Every terminal is real, as every wire is: a port `u1` is the pair `u1_i`, `u1_q`, and u = u1_i + i u1_q; a ring is read
by `a1_i`, `a1_q` and driven by `f1_i`, `f1_q`.  The state (position, momentum) of a shot is (Re a, Im a).

Source: the mid-point rule is symplectic and its own reverse (Hairer, Lubich & Wanner, II.1); docs/rotating-frame.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from labrhel.arrays import Array, Arrays

QUADRATURES = ("i", "q")
"""What the two terminals of a port or a channel end in, after an underscore: in phase, and a quarter period later."""

Amplitudes = NDArray[np.complex128]


@runtime_checkable
class RotatingFrame(Protocol):
    """What a model in the rotating frame knows beside `labrhel.model.interface.Model`; forces it has none."""

    size: int
    ports: tuple[str, ...]

    def matrix(self, theta: Arrays) -> Amplitudes:
        """H (n, n)."""
        ...

    def kerr(self, theta: Arrays) -> Array:
        """G (n,)."""
        ...

    def field(self, u: Array, theta: Arrays) -> Amplitudes:
        """W u (n, steps) of what the terminals of the inputs play (terminals, steps)."""
        ...

    def pulled(self, name: str, response: Amplitudes, a: Amplitudes, u: Array, theta: Arrays) -> Amplitudes:
        """sum_k response_k . df_k/dtheta, f all of the right side, of a parameter that is not the initial state."""
        ...

    def pass_of(
        self, theta: Arrays, fields: Amplitudes, step: float, start: Amplitudes
    ) -> tuple[Amplitudes, Amplitudes]:
        """A pass under `fields` (n, steps): readings m (n, steps) and the end (n,), not finite where it diverges."""
        ...


def is_rotating(model: object) -> bool:
    """True of a model of amplitudes in the rotating frame."""
    return isinstance(model, RotatingFrame)


def terminals(names: Sequence[str]) -> tuple[str, ...]:
    """The terminals of I/Q ports or channels, two for each."""
    return tuple(f"{name}_{quadrature}" for name in names for quadrature in QUADRATURES)


def is_quadrature(channel: str) -> bool:
    """True of the second channel of a mode, which an echo shows with the opposite sign."""
    return re.fullmatch(r"a\d+_q", channel) is not None


def as_complex(pairs: Array) -> Amplitudes:
    """Of rows I, Q, I, Q ... (2 m, steps), the amplitudes I + i Q (m, steps)."""
    return pairs[0::2] + 1j * pairs[1::2]


def as_real(matrix: NDArray[np.generic]) -> Array:
    """A matrix of columns in C^n as columns (Re, Im) in R^(2n); a real one stays what it is."""
    return np.vstack([matrix.real, matrix.imag]) if np.iscomplexobj(matrix) else np.asarray(matrix, float)
