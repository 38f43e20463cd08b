"""Echo a few sequences, ask a model of all: fewer shots for the same gradient, and unbiased whatever the model is.

Every sequence of the batch runs forward, and a twin fitted to these records (`protocols.twin`) says what its part t_s
of the gradient is.  A random share S of the n sequences is echoed as well, g_s; then

    dL/dtheta ~ sum_s t_s + (n/m) sum_(s in S) (g_s - t_s),          m = |S|

is the gradient of all echoes on average over the draws of S, however wrong the twin is; how wrong it is only shows in
the spread of g_s - t_s, from which the standard error is taken.

The draw is a function of `seed` and theta alone, so a resumed run draws it again.
Source: sampling with a control variate (Cochran, Sampling Techniques, 1977, section 7); tested in this project.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from labrhel.learning.gradient import Gradient
from labrhel.learning.needs import Needs
from labrhel.learning.rules import GradientRequest
from labrhel.shots.operations import Protocol
from protocols.differences import random_at
from protocols.forward.forward import run_forward
from protocols.inference.fit import fit
from protocols.rhel import RHEL
from protocols.twin import backwards


@dataclass(frozen=True, slots=True)
class EchoesAndTwin:
    """The rule.  `share` of the sequences is echoed, two at least; `eps`, `response` and `lock` as those of RHEL."""

    share: float = 0.25
    seed: int = 0
    eps: float | None = None
    response: float | None = None
    lock: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ConfigurationError(f"share is a part of the sequences, above 0 and up to 1, not {self.share}")

    @property
    def echo(self) -> RHEL:
        """The rule of the sequences that are echoed."""
        return RHEL(eps=self.eps, response=self.response, lock=self.lock)

    @property
    def needs(self) -> Needs:
        """The needs of the rule of the echoes, and of the twin."""
        return replace(self.echo.needs, positions=True, local=False, rotates=False)

    def gradient(self, asked: GradientRequest) -> Protocol[Gradient]:
        """Gradient of the batch's loss for the parameters named in `wanted`."""
        run = yield from run_forward(asked)
        task, sequences, wanted, batch = asked.task, asked.sequences, asked.wanted, run.batch
        model, theta = task.model, run.asked.theta
        believed = fit(model, theta, batch.passes, task.step, run.geometry.noise).theta
        twins = [backwards(model, believed, item, task.step).gradients(wanted) for item in batch.passes]
        scale = task.loss(sequences).scale
        echoed: list[Gradient] = []
        apart: list[dict[str, Array]] = []
        nudge = asked.previous
        for index in self._drawn(len(sequences), theta):
            one = [sequences[index]]
            found = yield from self.echo.gradient(replace(run.asked, sequences=one, previous=nudge))
            nudge, share = found.nudge, task.loss(one).scale / scale  # of its loss in that of the batch
            echoed.append(found)
            apart.append({name: share * found.values[name] - term for name, term in twins[index].items()})
        values, errors = {}, {}
        for name in twins[0]:
            difference = np.stack([item[name] for item in apart])
            count = len(sequences)
            values[name] = sum(item[name] for item in twins) + count * difference.mean(axis=0)
            errors[name] = _spread(difference, count)
        direct = {name: batch.direct[name] for name in wanted if name in batch.direct}
        return Gradient(
            values={**values, **direct},
            standard_error=None if len(apart) < 2 else errors | {name: 0 * term for name, term in direct.items()},
            loss=batch.loss,
            rule="echoes_and_twin",
            eps=echoed[-1].eps,
            response_ratio=_rms(item.response_ratio for item in echoed),
            retrace_error=_rms(item.retrace_error for item in echoed),
            repeats=len(apart),
            shots=run.shots + sum(item.shots for item in echoed),
            passes=run.passes + sum(item.passes for item in echoed),
            calibration=batch.calibration,
            warnings=tuple(dict.fromkeys(words for item in echoed for words in item.warnings)),
            deviations=echoed[-1].deviations,
            corrections=echoed[-1].corrections,
        )

    def _drawn(self, count: int, theta: Arrays) -> list[int]:
        random = random_at(theta, self.seed)
        size = min(count, max(2, math.ceil(self.share * count)))
        return sorted(int(index) for index in random.choice(count, size, replace=False))


def _rms(values: Iterable[float | None]) -> float:
    return float(np.sqrt(np.mean([value**2 for value in values if value is not None])))


def _spread(difference: Array, count: int) -> Array:
    """Standard error of count times the mean of `difference` (m, ...), drawn from `count` without replacement."""
    drawn = len(difference)
    if drawn < 2:
        return np.zeros(difference.shape[1:])
    left_out = 1 - drawn / count  # nothing is uncertain once all are echoed
    return count * np.sqrt(left_out * difference.var(axis=0, ddof=1) / drawn)
