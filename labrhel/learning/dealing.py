"""Sequences of a batch dealt to several rigs, and the gradient of the batch from those of its shares.

With W_s the sum of the sample weights of sequence s, and g_r the gradient that rig r has measured of its share S_r
alone,

    g = sum_r f_r p_r g_r,     p_r = W(S_r) / W(batch).

f = 1 is the gradient of the batch, sum_s (W_s / W) g_s: each sequence counts as it does on one rig.  Where error bars
tell that rigs are not equally good, f is that of `labrhel.learning.scatter`.  The gradient stays unbiased: the f of a
step are known before it is dealt, from the steps before it; their mean over the sequences is 1; and each sequence is as
likely in each place of the deal as every other.  So E[f of s] = 1 for all s, whatever its signal is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.learning.gradient import Gradient
from labrhel.learning.scatter import Scatter, Share

_DEALING = 0x6465616C  # tells these random numbers from those of the order of the sequences


def deal(count: int, rigs: int, seed: int, step: int) -> list[list[int]]:
    """Places in a batch of `count` for each of `rigs`: equal shares but for one sequence, drawn from (seed, step).

    One rig gets them all, in their order.
    """
    draw = np.random.default_rng([seed, step, _DEALING])
    shares = np.array_split(draw.permutation(count), rigs)
    return [sorted(map(int, shares[turn])) for turn in draw.permutation(rigs)]


def combined(shares: Sequence[Share], scatter: Scatter | None = None) -> Gradient:
    """The gradient of the batch, from its shares in the order of their rigs; plain weights without a `scatter`.

    Standard errors, floors and calibration errors of different rigs add in squares, bounds of biases as they are; eps,
    response and retrace are those of the rig where they are largest, and `measured` holds each rig's own.
    """
    total, count = sum(share.weight for share in shares), sum(len(share.sequences) for share in shares)
    parts = [share.weight / total for share in shares]
    gradients = [share.gradient for share in shares]
    factors, lost = _factors(shares, scatter, count)
    rated = [
        {name: part * factors[name][share.rig] for name in share.gradient.values}
        for part, share in zip(parts, shares, strict=True)
    ]
    errors = [gradient.standard_error for gradient in gradients]
    bounds = [gradient.bias_bound for gradient in gradients]
    known = [error for error in errors if error is not None]
    bounded = [bound for bound in bounds if bound is not None]
    return Gradient(
        values=_sum(rated, [gradient.values for gradient in gradients]),
        standard_error=_root(rated, known) if len(known) == len(shares) else None,
        floor=_root([*rated, dict.fromkeys(lost, 1.0)], [*(gradient.floor for gradient in gradients), lost]),
        calibration_error=_root(rated, [gradient.calibration_error for gradient in gradients]),
        bias_bound=_sum(rated, bounded) if len(bounded) == len(shares) else None,
        loss=sum(part * gradient.loss for part, gradient in zip(parts, gradients, strict=True)),
        rule=gradients[0].rule,
        shots=sum(gradient.shots for gradient in gradients),
        passes=sum(gradient.passes for gradient in gradients),
        eps=_largest(gradient.eps for gradient in gradients),
        response_ratio=_largest(gradient.response_ratio for gradient in gradients),
        retrace_error=_largest(gradient.retrace_error for gradient in gradients),
        calibration="+".join(dict.fromkeys(gradient.calibration for gradient in gradients)),
        repeats=min(gradient.repeats for gradient in gradients),
        measured=_columns(shares, factors),
        warnings=tuple(f"{share.name}: {words}" for share in shares for words in share.gradient.warnings),
    )


def _factors(
    shares: Sequence[Share], scatter: Scatter | None, count: int
) -> tuple[dict[str, dict[int, float]], dict[str, Array]]:
    """F by parameter and rig, and by parameter the error (in its shape) that they add where they are not 1."""
    counts: dict[int, int] = {}
    for share in shares:
        counts[share.rig] = counts.get(share.rig, 0) + len(share.sequences)
    factors, lost = {}, {}
    for name in shares[0].gradient.values:
        factors[name] = dict.fromkeys(counts, 1.0) if scatter is None else scatter.factors(name, counts)
        uneven = sum(size * (factors[name][rig] - 1) ** 2 for rig, size in counts.items()) / count**2
        if scatter is not None and uneven > 0:
            lost[name] = np.sqrt(uneven * scatter.spread(name))
    return factors, lost


def _columns(shares: Sequence[Share], factors: Mapping[str, Mapping[int, float]]) -> dict[str, float]:
    """What is published of each rig: sequences served, its own health, and the least weight a parameter gave it."""
    found: dict[str, float] = {}
    for share in shares:
        gradient, begin = share.gradient, f"rig{share.rig}_"
        found[f"{begin}sequences"] = found.get(f"{begin}sequences", 0.0) + len(share.sequences)
        health = {
            "eps": gradient.eps,
            "response_ratio": gradient.response_ratio,
            "retrace_error": gradient.retrace_error,
        }
        found |= {begin + name: value for name, value in health.items() if value is not None}
        least = min(by_rig[share.rig] for by_rig in factors.values())
        if any(factor != 1 for by_rig in factors.values() for factor in by_rig.values()):
            found[f"{begin}weight"] = least
    return found


def _sum(rated: Sequence[Mapping[str, float]], parts: Sequence[Arrays]) -> dict[str, Array]:
    return {
        name: sum((rate[name] * part[name] for rate, part in zip(rated, parts, strict=True)), np.zeros(()))
        for name in parts[0]
    }


def _root(rated: Sequence[Mapping[str, float]], parts: Sequence[Arrays]) -> dict[str, Array]:
    """Root of the sum of squares, by the names that any of the parts knows."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {
        name: np.sqrt(
            sum(
                ((rate[name] * part[name]) ** 2 for rate, part in zip(rated, parts, strict=True) if name in part),
                np.zeros(()),
            )
        )
        for name in names
    }


def _largest(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None
