"""What a finished run has to say, read from its record."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labrhel.arrays import Array
from labrhel.session.training import TEST
from labrhel.store import RunReader
from labrhel.units import with_prefix

_NUMBER = re.compile(r"\d+(\.\d+)?(e[-+]?\d+)?")


@dataclass(frozen=True, slots=True)
class Metric:
    """rms error on a test set [unit], before and after training."""

    name: str
    before: float
    after: float
    unit: str

    def __str__(self) -> str:
        before, after = with_prefix(self.before, self.unit), with_prefix(self.after, self.unit)
        return f"{self.name} error {after} rms (before {before})"


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
    metrics = []
    for name, values in scalars.items():
        if name.startswith(TEST):
            known = values[np.isfinite(values)]
            metrics.append(Metric(name.removeprefix(TEST), float(known[0]), float(known[-1]), unit))
    warnings = said_once(reader.words())
    status, ended = reader.status, reader.events()[-1][2]
    reader.close()
    return Outcome(folder, losses[np.isfinite(losses)], tuple(metrics), warnings, status, ended)


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
