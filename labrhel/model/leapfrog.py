"""Separable Hamiltonians with friction, and the leapfrog that runs them: the readable reference.

    M q'' + G q' + dV/dq = f(t),     H = T(p) + V(q),  T = sum p_i^2/(2 m_i),  M diagonal, G symmetric

Drift-kick-drift with step d and v = p/m, A = 1 + (d/2) G M^-1, B = 1 - (d/2) G M^-1:

    q_h = q + (d/2) v;     A p' = B p + d (f - dV/dq(q_h));     q' = q_h + (d/2) v'

The map is self-adjoint: started from (q', -p') with f + f_comp, f_comp = -G (v + v'), it returns to (q, -p) exactly.
The numba kernels do the same arithmetic on batches; the tests hold them against this module.
Source: Hairer, Lubich & Wanner, Geometric Numerical Integration, II.4 and V.1; the friction form is derived there by
the implicit mid-point rule in p.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One pass: positions q_h (n, steps) at the kicks, velocities before and after each kick, and the end state (n,).

    Of a batch of passes side by side (n, batch, steps) and (n, batch).
    """

    q: Array
    v_before: Array
    v_after: Array
    end_position: Array
    end_momentum: Array

    @property
    def v(self) -> Array:
        """Velocity at the kick, the mean of the values before and after it."""
        return (self.v_before + self.v_after) / 2


@dataclass(frozen=True, slots=True)
class KickMatrices:
    """p' = keep @ p + push @ (d F) and, backwards, d F = after @ p' - before @ p: a kick under friction, (n, n) each.

    `after` is A = 1 + (d/2) G M^-1, `before` B = 1 - (d/2) G M^-1, `keep` A^-1 B and `push` A^-1.
    """

    after: Array
    before: Array
    keep: Array
    push: Array

    @classmethod
    def of(cls, mass: Array, friction: Array, step: float) -> KickMatrices:
        """Form them once per run, for masses (n,), friction matrix (n, n) and step d [model time]."""
        half = 0.5 * step * friction / mass[None, :]
        identity = np.eye(len(mass))
        after, before = identity + half, identity - half
        push = np.linalg.inv(after)
        return cls(after, before, push @ before, push)


def leapfrog(
    force: Callable[[Array], Array],
    mass: Array,
    friction: Array,
    drive: Array,
    step: float,
    position: Array,
    momentum: Array,
    kick: KickMatrices | None = None,
) -> Trajectory:
    """Run one pass of `drive.shape[-1]` kicks, or a batch of them side by side.

    `force(q)` is -dV/dq (n,) -> (n,); `drive` (n, steps) the forces at the kicks; `position`, `momentum` (n,) the
    state half a step before the first kick; for a batch (n, batch) -> (n, batch), (n, batch, steps) and (n, batch).
    All in model units.  `kick`: the matrices of this mass, friction and step, where they are at hand.
    """
    kick = KickMatrices.of(mass, friction, step) if kick is None else kick
    weight = mass.reshape(-1, *[1] * (position.ndim - 1))
    q, p = position.astype(float), momentum.astype(float)
    at_kick, before, after = (np.empty(drive.shape) for _ in range(3))
    for k in range(drive.shape[-1]):
        before[..., k] = p / weight
        q = q + step / 2 * before[..., k]
        at_kick[..., k] = q
        p = kick.keep @ p + kick.push @ (step * (drive[..., k] + force(q)))
        after[..., k] = p / weight
        q = q + step / 2 * after[..., k]
    return Trajectory(at_kick, before, after, q, p)
