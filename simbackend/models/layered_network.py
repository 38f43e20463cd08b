"""Fully analog stack with the nonlinearity of its units: layers of oscillators, one Hamiltonian, one trajectory.

    H = sum_i |p_i|^2/(2 m_i) + alpha_i q_i^2/2 + log cosh(x_i)/A_i  -  q . W (u + o)
    x_i = A_i q_i + sum_j B_ij q_j + b_i,           j the oscillators of the layer below

    force on i:  -alpha_i q_i - tanh(x_i) - sum over the layer above of B_ki tanh(x_k)/A_k

Each unit is the nonlinear recurrent unit of the paper with the layer below as its input, but what it does to the unit
above acts back on it, since both come from one energy: nothing passes through the host between the layers, and one echo
goes back through all of them.  `simbackend.models.analog_stack` is the linear one.  Source: the public review thread of
Pourcel & Ernoult (2025).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from simbackend.models.saturating_network import log_cosh
from simbackend.models.separable_model import SeparableModel, Term


class LayeredNetwork(SeparableModel):
    """`coupling: {layers: [3, 2]}` has three oscillators below two; terms alpha, gain, bias (n,), coupling B (pairs,).

    Pairs are those of a layer with the one below it: of the second layer, for each of its units, all of the first.
    """

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
        self.layers = _layers(coupling, size)
        first = np.cumsum([0, *self.layers])
        self.pairs = np.array(
            [
                (above, below)
                for low, high in pairwise(range(len(self.layers)))
                for above in range(first[high], first[high + 1])
                for below in range(first[low], first[low + 1])
            ],
            dtype=np.int64,
        ).reshape(-1, 2)
        terms = {
            "alpha": Term((size,), 1.0, "restoring force -alpha q"),
            "gain": Term((size,), 1.0, "A_i: how strongly a unit's own position saturates it"),
            "bias": Term((size,), 0.0, "b_i of x = A q + B q_below + b"),
            "coupling": Term((len(self.pairs),), 0.0, "B_ij of a unit i and a unit j of the layer below"),
        }
        units: dict[str, Any] = {"time_unit": time_unit, "position_unit": position_unit, "input_unit": input_unit}
        super().__init__(size, terms, inputs=inputs, nominal=nominal, **units)
        if not (self.parameters["gain"].nominal > 0).all():
            raise ConfigurationError("gain must be positive: log cosh is divided by it")

    def potential(self, q: Array, theta: Arrays) -> float:
        """V at positions (n,)."""
        soft = np.sum(log_cosh(self._argument(q, theta)) / self.value("gain", theta))
        return float(self.value("alpha", theta) @ q**2 / 2 + soft)

    def force(self, q: Array, theta: Arrays) -> Array:
        """-dV/dq at positions (n,) or (n, steps), without inputs."""
        column = (slice(None),) + (None,) * (q.ndim - 1)
        answer = np.tanh(self._argument(q, theta))
        total = -self.value("alpha", theta)[column] * q - answer
        above, below = self.pairs.T
        weights = (self.value("coupling", theta) / self.value("gain", theta)[above])[column]
        np.add.at(total, below, -weights * answer[above])
        return total

    def slopes(self, q: Array, theta: Arrays) -> dict[str, Array]:
        """dV/dtheta of every term at positions (n, steps)."""
        x, gain = self._argument(q, theta), self.value("gain", theta)[:, None]
        answer, (above, below) = np.tanh(x) / gain, self.pairs.T
        return {
            "alpha": q**2 / 2,
            "gain": answer * q - log_cosh(x) / gain**2,
            "bias": answer,
            "coupling": answer[above] * q[below],
        }

    def _argument(self, q: Array, theta: Arrays) -> Array:
        column = (slice(None),) + (None,) * (q.ndim - 1)
        x = self.value("gain", theta)[column] * q + self.value("bias", theta)[column]
        above, below = self.pairs.T
        np.add.at(x, above, self.value("coupling", theta)[column] * q[below])
        return x


def _layers(coupling: Any, size: int) -> tuple[int, ...]:
    if not isinstance(coupling, Mapping) or set(coupling) != {"layers"}:
        raise ConfigurationError("an analog stack is told by its layers: coupling: {layers: [3, 2]}, from the bottom")
    layers = tuple(int(width) for width in coupling["layers"])
    if not layers or min(layers) < 1 or sum(layers) != size:
        raise ConfigurationError(f"layers {list(layers)} have {sum(layers)} oscillators, the model has {size}")
    return layers
