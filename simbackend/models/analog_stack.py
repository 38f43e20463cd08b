"""Fully analog stack: layers of oscillators with reciprocal couplings, one Hamiltonian, one trajectory.

    H = sum_l [ |p_l|^2/2 + q_l . A_l q_l/2 - q_l . B_l q_(l-1) ],     q_0 = u the data,   A_l diagonal

    q_l'' = -A_l q_l + B_l q_(l-1) + B_(l+1)^T q_(l+1)

Nothing passes through the host between the layers, and one echo goes back through all of them at once; only the data
is stored.  It is an oscillator network in other coordinates: -B q_i q_j is a spring K = B between the two, less the
stiffness it puts on both,

    B (q_j - q_i)^2/2 = B q_i^2/2 + B q_j^2/2 - B q_i q_j      =>      K_ij = B_ij,   k_i = A_i - sum_j B_ij,

so it runs on every rig and under every rule that a network runs on.  Gradients come back by the chain rule:
dL/dA_i = dL/dk_i,   dL/dB_ij = dL/dK_ij - dL/dk_i - dL/dk_j.   H has a minimum, and motion stays bounded, only if the
matrix with diagonal A and off-diagonal -B is positive: A_i > sum_j |B_ij| is enough.
Source: the public review thread of Pourcel & Ernoult (2025).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from simbackend.models.oscillator_network import OscillatorNetwork


@dataclass(frozen=True, slots=True)
class StackGradient:
    """dL/dA_l (n_l,) of every layer, and dL/dB_l (n_l, n_(l-1)) of every layer, B_1 being the input map."""

    stiffness: tuple[Array, ...]
    coupling: tuple[Array, ...]


class AnalogStack:
    """A stack of `stiffness` A_l (n_l,) and `coupling` B_l (n_l, n_(l-1)), the first of them (n_1, inputs).

    `network` is the oscillator network that it is; `nominal` adds parameters of the network that H above lacks
    (friction, cubic terms, an initial state).  Raises ConfigurationError for layers that do not fit each other.
    """

    def __init__(
        self,
        stiffness: Sequence[ArrayLike],
        coupling: Sequence[ArrayLike],
        *,
        inputs: Sequence[str] = ("u1",),
        nominal: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        A, B = [np.asarray(item, float) for item in stiffness], [np.asarray(item, float) for item in coupling]
        self.layers = tuple(len(item) for item in A)
        if len(A) != len(B):
            raise ConfigurationError(f"{len(A)} layers have {len(B)} couplings; each needs one, to what lies below it")
        below = (len(inputs), *self.layers[:-1])
        for index, (width, narrow) in enumerate(zip(self.layers, below, strict=True)):
            if B[index].shape != (width, narrow):
                raise ConfigurationError(
                    f"the coupling of layer {index + 1} has shape {B[index].shape}; {width} oscillators above {narrow} "
                    f"{'inputs' if index == 0 else 'oscillators'} need {(width, narrow)}"
                )
        self._first = np.concatenate([[0], np.cumsum(self.layers)])
        edges = [self._pairs(index) for index in range(1, len(self.layers))]
        pairs = np.concatenate(edges) if edges else np.empty((0, 2), np.int64)
        self.network = OscillatorNetwork(
            int(self._first[-1]),
            inputs=inputs,
            coupling=pairs.tolist(),
            nominal=dict(nominal or {}) | _springs(A, B, pairs),
        )

    def oscillators(self, layer: int) -> range:
        """The numbers, in the network, of the oscillators of a layer; both counted from 0."""
        return range(self._first[layer], self._first[layer + 1])

    def theta(self, stiffness: Sequence[ArrayLike], coupling: Sequence[ArrayLike]) -> dict[str, Array]:
        """The network's parameters at other values of A_l and B_l; the inverse of `values`."""
        A, B = [np.asarray(item, float) for item in stiffness], [np.asarray(item, float) for item in coupling]
        return _springs(A, B, self.network.edges)

    def values(self, theta: Arrays) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """A_l and B_l of the network's parameters."""
        springs = self.network.value("coupling", theta)
        diagonal = np.array(self.network.value("stiffness", theta))
        for end in self.network.edges.T:
            np.add.at(diagonal, end, springs)
        return self._by_layer(diagonal), self._matrices(springs, self.network.value("input", theta))

    def gradient(self, of_network: Arrays) -> StackGradient:
        """The gradient of the stack from that of the network, which must hold stiffness, coupling and input."""
        stiffness = of_network["stiffness"]
        i, j = self.network.edges.T
        springs = of_network["coupling"] - stiffness[i] - stiffness[j]
        return StackGradient(self._by_layer(stiffness), self._matrices(springs, of_network["input"]))

    def _pairs(self, layer: int) -> NDArray[np.int64]:
        """Edges of a layer with the one below it, in the order of B_l's entries."""
        above, below = np.meshgrid(self.oscillators(layer), self.oscillators(layer - 1), indexing="ij")
        return np.stack([above.ravel(), below.ravel()], axis=1)

    def _by_layer(self, values: Array) -> tuple[Array, ...]:
        return tuple(np.split(np.asarray(values), self._first[1:-1]))

    def _matrices(self, springs: Array, weights: Array) -> tuple[Array, ...]:
        counts = [wide * narrow for narrow, wide in pairwise(self.layers)]
        parts = np.split(springs, np.cumsum(counts)[:-1]) if counts else []
        shaped = [part.reshape(wide, -1) for part, wide in zip(parts, self.layers[1:], strict=True)]
        return (np.asarray(weights)[: self.layers[0]], *shaped)


def _springs(A: list[Array], B: list[Array], edges: NDArray[np.int64]) -> dict[str, Array]:
    springs = np.concatenate([np.ravel(item) for item in B[1:]]) if B[1:] else np.empty(0)
    stiffness = np.concatenate(A)
    for end in edges.T:
        np.subtract.at(stiffness, end, springs)
    weights = np.zeros((len(stiffness), B[0].shape[1]))
    weights[: len(A[0])] = B[0]
    return {"stiffness": stiffness, "coupling": springs, "input": weights}
