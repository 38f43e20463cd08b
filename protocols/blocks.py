"""Gradients measured several times: their mean, and how far it may be off.

A block is one whole measurement, forward pass and all echoes, so that everything random is in the spread of the blocks:

    standard error = standard deviation over the blocks / sqrt(number of blocks)

The direct terms of the loss are products of two readings, dL/dC = sum rho x^T; where there are several blocks rho and x
are taken from different ones, or the noise that both share would be counted as signal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array
from protocols.echo import EchoReading
from protocols.echo_drive import EchoDrive
from protocols.forward import ForwardBatch


@dataclass(frozen=True, slots=True)
class Block:
    """One measurement of the gradient at the achieved nudge `eps`."""

    batch: ForwardBatch
    drives: tuple[EchoDrive, ...]
    reading: EchoReading
    eps: float

    @property
    def response_ratio(self) -> float:
        """Rms of the response to the nudge over rms of the forward pass."""
        return float(np.sqrt(self.reading.response / self.batch.size))

    @property
    def retrace_error(self) -> float:
        """Rms of what the echoes miss over rms of the forward pass."""
        return float(np.sqrt(self.reading.missed / self.batch.size))


def combined(blocks: Sequence[Block], direct: Sequence[str]) -> tuple[dict[str, Array], dict[str, Array] | None]:
    """Mean by parameter, and its standard error; None of a single block, which says nothing of its spread."""
    values = {name: [block.reading.terms[name] for block in blocks] for name in blocks[0].reading.terms}
    values |= {name: _crossed([block.batch for block in blocks], name) for name in direct}
    means = {name: np.mean(terms, axis=0) for name, terms in values.items()}
    if len(blocks) == 1:
        return means, None
    return means, {name: _standard_error(terms) for name, terms in values.items()}


def relative_error(blocks: Sequence[Block]) -> float:
    """Norm of the standard errors over the norm of the gradient, the rig's parameters together."""
    means, errors = combined(blocks, ())
    if errors is None:
        return float("inf")
    norms = [float(np.sqrt(sum(np.sum(np.square(item)) for item in part.values()))) for part in (errors, means)]
    return norms[0] / norms[1] if norms[1] > 0 else float("inf")


def _standard_error(values: Sequence[Array]) -> Array:
    return np.std(values, axis=0, ddof=1) / np.sqrt(len(values))


def _crossed(batches: Sequence[ForwardBatch], name: str) -> list[Array]:
    """The direct term of each block, its slopes of the loss with the mean readings of all other blocks."""
    if len(batches) == 1 or name != "readout":
        return [np.asarray(batch.direct[name]) for batch in batches]
    found = []
    for index, batch in enumerate(batches):
        others = [other for place, other in enumerate(batches) if place != index]
        total = np.zeros_like(batch.direct[name])
        for place, (slope, _) in enumerate(batch.slopes):
            total = total + slope @ np.mean([other.slopes[place][1] for other in others], axis=0).T
        found.append(total)
    return found
