"""What a finished run has to say, read from its record."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labrhel.arrays import Array
from labrhel.learning.scoring import GOOD
from labrhel.session.training import NRMSE, TEST, UNCERTAINTY, ZERO
from labrhel.store import RunReader
from labrhel.units import with_prefix

_NUMBER = re.compile(r"\d+(\.\d+)?(e[-+]?\d+)?")


@dataclass(frozen=True, slots=True)
class Metric:
    """rms error on a test set [unit], before and after training; `after` is NaN of a run that has not ended.

    `zero`: what predicting zero gives, the rms of the target; `nrmse` of what is trained, and its `uncertainty`; NaN in
    records that have none.
    """

    name: str
    before: float
    after: float
    unit: str
    zero: float = np.nan
    nrmse: float = np.nan
    uncertainty: float = np.nan

    @property
    def is_good(self) -> bool | None:
        """Whether NRMSE is below 0.9 by more than its uncertainty; None where it is not known."""
        return self.nrmse + self.uncertainty < GOOD if np.isfinite(self.nrmse) else None

    @property
    def is_worse_than_zero(self) -> bool:
        """Whether predicting zero would have been better."""
        return self.after > self.zero

    def __str__(self) -> str:
        before, after = with_prefix(self.before, self.unit), with_prefix(self.after, self.unit)
        if not np.isfinite(self.after):
            return f"{self.name} error {before} rms before training; the test at the end is still to come"
        said = f"{self.name} error {after} rms (before {before})"
        if np.isfinite(self.nrmse):
            said += f", NRMSE {self.nrmse:.3g} \N{PLUS-MINUS SIGN} {self.uncertainty:.1g}"
        if np.isfinite(self.zero):
            worse = ": worse than predicting zero" if self.is_worse_than_zero else ""
            said += f"; the target has {with_prefix(self.zero, self.unit)} rms{worse}"
        return said


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished run has to say; `losses` (gradients,), `warnings` once each, with how often they came.

    `status` of the run, and `ended`: why it ended when it did.
    """

    folder: Path
    losses: Array
    metrics: tuple[Metric, ...]
    warnings: tuple[str, ...]
    status: str = "done"
    ended: str = ""


def outcome_of(folder: Path, unit: str) -> Outcome:
    """Read the outcome of a run from its record."""
    reader = RunReader(folder)
    scalars = reader.scalars()
    losses = scalars.pop("loss", np.array([]))
    metrics, has_ended = [], reader.status in ("done", "stalled")
    for name, values in scalars.items():
        if name.startswith(TEST):
            known, called = values[np.isfinite(values)], name.removeprefix(TEST)
            others = (_last(scalars.get(kind + called)) for kind in (ZERO, NRMSE, UNCERTAINTY))
            if has_ended or known.size > 1:  # of a run that goes on, or was stopped, only the first test is there
                metrics.append(Metric(called, float(known[0]), float(known[-1]), unit, *others))
            else:
                metrics.append(Metric(called, float(known[0]), np.nan, unit))
    warnings = said_once(reader.words())
    status, ended = reader.status, reader.events()[-1][2]
    reader.close()
    return Outcome(folder, losses[np.isfinite(losses)], tuple(metrics), warnings, status, ended)


def _last(values: Array | None) -> float:
    known = np.array([]) if values is None else values[np.isfinite(values)]
    return float(known[-1]) if known.size else np.nan


def said_once(words: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    """Warnings (step, text) that differ in their numbers alone as one, which says how often and when it came first."""
    alike: dict[str, list[tuple[int, str]]] = {}
    for step, text in words:
        alike.setdefault(_NUMBER.sub("#", text), []).append((step, text))
    return tuple(
        text if len(same) == 1 else f"{text} (at gradient {step}, and {len(same) - 1} times more)"
        for same in alike.values()
        for step, text in same[:1]
    )
