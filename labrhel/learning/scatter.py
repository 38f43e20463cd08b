"""How rigs and sequences scatter, and what a sequence on each rig is to count for it (`labrhel.learning.dealing`).

Weights by the inverse variance v_r of each rig alone would follow the sequences of the best rig, and leave out the
others.  Here a sequence on rig r counts for

    f_r = u_r / mean_s u_r(s),     u_r = 1 / (v_r + t^2),

v_r the variance of what the rig says of one sequence, t^2 that of the sequences among themselves, both by parameter.
Where f is not 1, some of the batch is lost, t^2 sum_r n_r (f_r - 1)^2 / n^2; these f make that and the noise of the
rigs, sum_r f_r^2 n_r v_r / n^2, together least.  They tend to 1 where sequences differ by more than rigs are noisy.

Source: DerSimonian & Laird, Control. Clin. Trials 7, 177 (1986), and for t^2 the analysis of variance, there too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.learning.gradient import Gradient
from labrhel.learning.task import TrialSequence

_KEPT = 0.95  # of what was learned, from step to step: gradients change as they fall
_LEAST = 5  # steps before which it is not trusted


@dataclass(frozen=True, slots=True)
class Share:
    """What a rig has measured: the gradient of the loss of these sequences alone.  `rig` is its number."""

    rig: int
    name: str
    sequences: Sequence[TrialSequence]
    gradient: Gradient

    @property
    def weight(self) -> float:
        """Sum of all sample weights."""
        return float(sum(item.weight.sum() for item in self.sequences))


@dataclass(slots=True)
class Scatter:
    """How rigs and sequences scatter, as the steps so far have shown; means that forget a twentieth a step.

    `between`: t^2 by parameter, in its shape; `noise`: v_r by rig and parameter, all entries together.
    """

    steps: int = 0
    weight: float = 0.0
    between: dict[str, Array] = field(default_factory=dict)
    noise: dict[int, dict[str, float]] = field(default_factory=dict)

    def factors(self, name: str, counts: Mapping[int, int]) -> dict[int, float]:
        """What a sequence counts for by rig, of rigs with so many each; 1 for all where too little is known."""
        plain = dict.fromkeys(counts, 1.0)
        if self.steps < _LEAST:
            return plain
        worth = self._worth(name, list(counts))
        if worth is None:
            return plain
        usual = sum(count * worth[rig] for rig, count in counts.items()) / sum(counts.values())
        return {rig: value / usual for rig, value in worth.items()}

    def _worth(self, name: str, rigs: Sequence[int]) -> dict[int, float] | None:
        """What a sequence is worth by rig, before it is normalised; None where too little is known."""
        if name not in self.between or any(name not in self.noise.get(rig, {}) for rig in rigs):
            return None
        apart = float(self.spread(name).sum())
        variances = {rig: self.noise[rig][name] + apart for rig in rigs}
        return {rig: 1 / value for rig, value in variances.items()} if min(variances.values()) > 0 else None

    def spread(self, name: str) -> Array:
        """t^2 of each entry of a parameter."""
        return np.maximum(self.between[name], 0.0) if name in self.between else np.zeros(())

    def learn(self, shares: Sequence[Share]) -> None:
        """Take in a step; nothing can be learned of one share, nor of gradients without error bars.

        Of h_r, what rig r says of the whole batch, with weights a_r whose sum is 1,

            sum_r a_r (h_r - sum_q a_q h_q)^2 = sum_r a_r (1 - a_r) (v_r + t^2) / n_r     in the mean.
        """
        if len(shares) < 2 or any(share.gradient.standard_error is None for share in shares):
            return
        self.weight = _KEPT * self.weight + 1
        self.steps += 1
        sizes = np.array([len(share.sequences) for share in shares])
        parts = np.array([share.weight for share in shares])
        scales = parts / parts.sum() * sizes.sum() / sizes
        errors = [share.gradient.uncertainty for share in shares]
        for name in shares[0].gradient.values:
            seen = np.array([share.gradient.values[name] * scale for share, scale in zip(shares, scales, strict=True)])
            spoiled = np.array([(error[name] * scale) ** 2 for error, scale in zip(errors, scales, strict=True)])
            worth = self._worth(name, [share.rig for share in shares])
            weights = sizes * ([worth[share.rig] for share in shares] if worth else np.ones(len(shares)))
            weights = weights / weights.sum()
            free = weights * (1 - weights)
            apart = _over(weights, (seen - _over(weights, seen)) ** 2) - _over(free, spoiled)
            before = self.between.get(name, np.zeros(()))
            self.between[name] = before + (apart / (free / sizes).sum() - before) / self.weight
            for share, size, own in zip(shares, sizes, spoiled, strict=True):
                known = self.noise.setdefault(share.rig, {})
                now = float(size * own.sum())
                known[name] = known.get(name, now) * _KEPT + now * (1 - _KEPT)

    def state(self) -> dict[str, Any]:
        """Plain data, from which `taken_up` goes on."""
        noise = {str(rig): dict(known) for rig, known in self.noise.items()}
        return {"steps": self.steps, "weight": self.weight, "between": dict(self.between), "noise": noise}

    @classmethod
    def taken_up(cls, state: Mapping[str, Any]) -> Scatter:
        """What `state` told."""
        noise = {int(rig): dict(known) for rig, known in state["noise"].items()}
        return cls(int(state["steps"]), float(state["weight"]), dict(state["between"]), noise)


def _over(weights: Array, values: Array) -> Array:
    """Weighted sum over the shares, which are the first axis."""
    return np.tensordot(weights, values, axes=1)
