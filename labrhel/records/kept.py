"""Replay of a run that kept the traces of some steps only: each of these again, from the parameters it was taken at.

The training in between cannot be had again, and need not be: where a step stood, and how the one before it nudged, is
in the record of every run.  A step is the same if its loss, nudge, response and retrace are, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import LabrhelError, RecordError
from labrhel.executor import execute
from labrhel.experiment import Experiment, load_experiment
from labrhel.learning.gradient import Gradient, NudgeRecord
from labrhel.learning.train import batch_at, free_run
from labrhel.records.replay_rig import ReplayRig
from labrhel.rig.calibration import set_of
from labrhel.shots.operations import Protocol
from labrhel.store import RunReader

_COMPARED = ("loss", "eps", "response_ratio", "retrace_error")


@dataclass(frozen=True, slots=True)
class ReplayedSteps:
    """Losses by step that was replayed, why others were not, and what differs of those that were, in words.

    `gradients` that the run took, kept or not; `answered` shots came from the record.
    """

    losses: dict[int, float]
    refused: dict[int, str]
    different: dict[int, str]
    gradients: int
    answered: int

    @property
    def same(self) -> bool:
        """Whether every step that was kept is the same to the bit."""
        return bool(self.losses) and not self.refused and not self.different


def replay_kept(folder: Path) -> ReplayedSteps:
    """Replay every step of which the run in `folder` kept the traces.

    Raises RecordError if there is none.
    """
    reader = RunReader(folder)
    manifest, scalars = reader.manifest, reader.scalars()
    taken = scalars["step"][np.isfinite(scalars["loss"])].tolist() if "loss" in scalars else []
    kept = [step for step in taken if reader.policy.keeps(step)]
    if not kept:
        why = reader.policy.what_is_missing() or "it took no gradient"
        raise RecordError(f"{reader.id} has nothing to replay: {why}")
    experiment = load_experiment(
        folder / "config.yaml",
        rig_url=f"replay:{folder.absolute()}",
        seed=manifest["seed"],
        home=Path(manifest["home"]),
        calibration=set_of(manifest.get("calibration", {})),
        code=manifest.get("code", {}),
    )
    columns = reader.parameters()
    table = np.stack([columns[name] for name in experiment.problem.parameters.names], axis=1)
    points = dict(zip(columns["step"].tolist(), table, strict=True))
    losses, refused, different, answered = {}, {}, {}, 0
    for step in kept:
        rig = ReplayRig(reader, step=step)
        handler = replace(experiment, rig=rig).executor()
        try:
            gradient = execute(_again(experiment, step, points[step], _before(reader, step)), handler)
        except LabrhelError as error:
            refused[step] = str(error)
            continue
        losses[step], answered = gradient.loss, answered + rig.answered
        found = [name for name in _COMPARED if not _equal(getattr(gradient, name), _scalar(scalars, name, step))]
        if found:
            different[step] = f"{', '.join(found)} {'differs' if len(found) == 1 else 'differ'} from what was recorded"
    return ReplayedSteps(losses, refused, different, len(taken), answered)


def _again(experiment: Experiment, step: int, point: Array, before: NudgeRecord | None) -> Protocol[Gradient]:
    """What the step asked of the rig, tests included, with which a run begins."""
    problem = experiment.problem
    theta = problem.theta(problem.parameters.flat()) | problem.parameters.filled(point)
    for sequences in experiment.tests.values() if step == 0 else ():
        yield from free_run(experiment.task, sequences, theta)
    indices = batch_at(len(problem.train), problem.batch, problem.seed, step)
    asked = problem.request(problem.parameters.flat(), [problem.train[index] for index in indices], before)
    return (yield from problem.rule.gradient(replace(asked, theta=theta)))


def _before(reader: RunReader, step: int) -> NudgeRecord | None:
    """The nudge that the step began with, as far as it was published with the one before; None of the first."""
    scalars = reader.scalars()
    eps, response = (_scalar(scalars, name, step - 1) for name in ("eps", "response_ratio"))
    return None if eps is None or response is None else NudgeRecord(eps, response)


def _scalar(scalars: dict[str, Array], name: str, step: int) -> float | None:
    values = scalars.get(name, np.empty(0))[scalars["step"] == step] if name in scalars else np.empty(0)
    return float(values[0]) if values.size and np.isfinite(values[0]) else None


def _equal(one: Any, other: float | None) -> bool:
    return one is None if other is None else one is not None and float(one) == other


def spelled(steps: Sequence[int]) -> str:
    """Steps as one says them: the first few, and the last."""
    if len(steps) <= 6:
        return ", ".join(map(str, steps))
    return f"{', '.join(map(str, steps[:4]))}, ... {steps[-1]}"
