"""Gradients measured several times: their mean, and how far it may be off.

A block is one whole measurement, forward pass and all echoes, so that everything random is in the spread of the blocks:

    standard error = standard deviation over the blocks / sqrt(number of blocks)

The direct terms of the loss are products of two readings, dL/dC = sum rho x^T; where there are several blocks rho and x
are taken from different ones, or the noise that both share would be counted as signal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from labrhel.arrays import Array
from labrhel.shots.capture import Capture
from protocols.echoes.aim import Sample
from protocols.echoes.drive import EchoDrive
from protocols.echoes.options import EchoOptions
from protocols.echoes.plan import EchoReading
from protocols.forward.forward import ForwardBatch

_LEAST_REPEATS = 3  # before a spread is believed


@dataclass(frozen=True, slots=True)
class Block:
    """One measurement of the gradient at the achieved nudge `eps`, of which `asked` was asked for.

    `jitter`: rms deviation of the ports' gains from shot to shot, where it was found and taken off.  `distortion`: how
    far what the converters made of the nudge moves the gradient, relatively, after the model has taken it off.
    `clipped`: by channel, the samples of the echoes beyond its range.  `floor`: by parameter, what
    may be left of that distortion.  `captures`: the echoes.
    """

    batch: ForwardBatch
    drives: tuple[EchoDrive, ...]
    reading: EchoReading
    eps: float
    jitter: float = 0.0
    asked: float = 0.0
    distortion: float = 0.0
    clipped: Mapping[str, int] = field(default_factory=dict)
    floor: Mapping[str, Array] = field(default_factory=dict)
    captures: tuple[Capture, ...] = ()

    @property
    def response_ratio(self) -> float:
        """Rms of the response to the nudge over rms of the forward pass."""
        return float(np.sqrt(self.reading.response / self.batch.size))

    @property
    def retrace_error(self) -> float:
        """Rms of what the echoes miss over rms of the forward pass."""
        return float(np.sqrt(self.reading.missed / self.batch.size))

    def sample(self, miss: float) -> Sample:
        """What a search for the nudge makes of it, where its echoes have missed by `miss`."""
        terms = [np.ravel(term) for term in self.reading.terms.values()]
        slope = np.concatenate(terms) if terms else np.zeros(0)
        return Sample(self.asked, self.eps, self.response_ratio, miss, slope, self.distortion)


def combined(blocks: Sequence[Block], direct: Sequence[str]) -> tuple[dict[str, Array], dict[str, Array] | None]:
    """Mean by parameter, and its standard error; None of a single block, which says nothing of its spread."""
    values = {name: [block.reading.terms[name] for block in blocks] for name in blocks[0].reading.terms}
    batches = [block.batch for block in blocks]
    values |= {name: [np.asarray(batch.direct[name]) for batch in batches] for name in direct}
    means = {name: np.mean(terms, axis=0) for name, terms in values.items()}
    errors = {name: _standard_error(terms) for name, terms in values.items()} if len(blocks) > 1 else None
    if errors is not None and "readout" in direct:
        means["readout"], error = _crossed(batches)
        errors["readout"] = errors["readout"] if error is None else error
    return means, errors


def relative_error(blocks: Sequence[Block], floor: Mapping[str, Array] | None = None) -> float:
    """Norm of the standard errors and the `floor` below them over that of the gradient, of the rig's parameters."""
    means, errors = combined(blocks, ())
    if errors is None:
        return float("inf")
    below = {name: term for name, term in (floor or {}).items() if name in means}
    size = norm_of(means)
    return float(np.hypot(norm_of(errors), norm_of(below))) / size if size > 0 else float("inf")


def suffice(
    blocks: Sequence[Block],
    options: EchoOptions,
    pairs: int,
    floor: Callable[[], Mapping[str, Array]] = dict,
    *,
    silent: bool,
) -> bool:
    """Whether no more repeats are wanted: by their number, of which a search asked for `pairs`, and by `precision`.

    `floor`: what is below the standard errors, asked for where it counts; `silent`: there is nothing to be precise of.
    """
    done = len(blocks)
    if done < max(options.repeats, pairs, 1 if options.precision is None else _LEAST_REPEATS):
        return False
    if options.precision is None or silent or done >= options.most_repeats:
        return True
    return relative_error(blocks, floor()) <= options.precision


def norm_of(parts: Mapping[str, Array]) -> float:
    """Root of the sum of all squares."""
    return float(np.sqrt(sum(np.sum(np.square(part)) for part in parts.values())))


def _standard_error(values: Sequence[Array]) -> Array:
    return np.std(values, axis=0, ddof=1) / np.sqrt(len(values))


def _crossed(batches: Sequence[ForwardBatch]) -> tuple[Array, Array | None]:
    """DL/dC from slopes and readings of different blocks, and its standard error by the jackknife, from 3 blocks on.

    U = mean of rho_i x_j^T over all i != j;    error^2 = (R - 1)/R sum (U without block i - their mean)^2
    """
    count = len(batches)
    mean = _products(batches)
    if count < 3:
        return mean, None
    without = [_products([*batches[:index], *batches[index + 1 :]]) for index in range(count)]
    spread = np.sum(np.square(without - np.mean(without, axis=0)), axis=0)
    return mean, np.sqrt((count - 1) / count * spread)


def _products(batches: Sequence[ForwardBatch]) -> Array:
    count = len(batches)
    total = np.zeros_like(batches[0].direct["readout"])
    for place in range(len(batches[0].slopes)):
        rho, x = (np.stack([batch.slopes[place][part] for batch in batches]) for part in (0, 1))
        own = np.einsum("iak,ibk->ab", rho, x)
        total = total + (rho.sum(axis=0) @ x.sum(axis=0).T - own) / (count * (count - 1))
    return total


def combined_in_squares(parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Roots of the sums of squares, by name."""
    squares: dict[str, Array] = {}
    for part in parts:
        for name, term in part.items():
            squares[name] = squares.get(name, np.zeros_like(term)) + np.square(term)
    return {name: np.sqrt(total) for name, total in squares.items()}
