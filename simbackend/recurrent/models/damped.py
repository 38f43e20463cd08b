"""Friction for recurrent units: any unit whose oscillators do not couple, and forgets.

    q' = p,    p' = F(q, u) - g p,        g >= 0 per unit [1/model time]: the energy decays as exp(-g t)

The step, v the velocity at the kick (PHYSICS section 8):

    q_h = q + (d/2) p;   (1 + d g/2) p' = (1 - d g/2) p + d F(q_h, u);   q' = q_h + (d/2) p';   v = (p + p')/2

During the echo the extra force -2 g v, from what the forward pass recorded, makes the path come back, while what is
nudged off it still decays: that is the adjoint, since friction and Hessian are symmetric.  With y = e/(1 + d g/2) in
place of the nudge e, D and m as in the base model, and the sums there unchanged,

    dL/dg = -d sum D v
    dL/dd gains -(d g/4) p Dp        p and Dp at the end of the echo: (1 + d g/2) p' Dp' - (1 - d g/2) p Dp telescopes
    dL/dq(0) = Dp + g Dq;   dL/dp(0) = Dq + (d^2/4) g Dp

Source: labrhel's driven echo (PHYSICS section 4) for units with a step of their own; damped linear units were published
as D-LinOSS (arXiv 2505.12171), trained there by automatic differentiation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from labrhel.learning.units import UnitState
from simbackend.recurrent.models.recurrent_unit import KernelForm, RecurrentUnit, UnitParameter, UnitSums


class Damped:
    """A unit with friction g (n,) beside its own parameters; as a `RecurrentUnit`.

    Raises ConfigurationError for coupled units.
    """

    coupled = False
    damped = True

    def __init__(self, base: RecurrentUnit) -> None:
        if base.coupled:
            raise ConfigurationError(f"the {base.name} takes no friction: only units that do not couple do")
        self._base = base
        self.name, self.linear = f"damped {base.name}", base.linear
        friction = UnitParameter(("n",), "friction", "friction [1/model time]", least=0.0)
        self.parameters: Mapping[str, UnitParameter] = {**base.parameters, "g": friction}  # a proxy has no copy

    def force(self, theta: Arrays, q: Array, u: Array) -> Array:
        return self._base.force(theta, q, u)

    def observables(self, theta: Arrays, q: Array, p: Array, after: Array, u: Array) -> dict[str, Array]:
        return self._base.observables(theta, q, p, after, u)

    def input_observable(self, theta: Arrays, q: Array, u: Array) -> Array:
        return self._base.input_observable(theta, q, u)

    def force_pair(self, theta: Arrays, mean: Array, difference: Array, eps: float, u: Array) -> tuple[Array, Array]:
        return self._base.force_pair(theta, mean, difference, eps, u)

    def pull_back(self, theta: Arrays, q: Array, u: Array, mu: Array) -> tuple[dict[str, Array], Array, Array]:
        return self._base.pull_back(theta, q, u, mu)

    def kernel_form(self, theta: Arrays) -> KernelForm:
        return replace(self._base.kernel_form(theta), friction=theta["g"])

    def gradients(self, theta: Arrays, sums: UnitSums) -> dict[str, Array]:
        return {**self._base.gradients(theta, sums), "g": -theta["d"] * sums.friction}


def friction_of(model: RecurrentUnit, theta: Arrays) -> Array | None:
    """The friction of a unit, None if it is lossless."""
    return theta["g"] if model.damped else None


def start_of(friction: Array | None, step: Array, dq: Array, dp: Array) -> UnitState:
    """dL/d(q, p) at the start from the differences of two echoes over 2 eps at their end (batch, n)."""
    if friction is None:
        return UnitState(dp, dq)
    return UnitState(dp + friction * dq, dq + step**2 / 4 * friction * dp)
