"""What a configuration allows and its author may not have meant, in words."""

from __future__ import annotations

import math

import numpy as np

from labrhel.experiment._experiment import Experiment

_RUNG_DOWN = 0.1
"""Share of an amplitude that may be left of an earlier motion: 1 % of its energy."""


def doubts(experiment: Experiment) -> list[str]:
    """Of segments that begin in the middle of a recording, and are simulated from rest before that has rung down.

    The slowest oscillator of the model, as it stands, falls to exp(-c t / 2 m) in the time t of the samples skipped.
    """
    section, task = experiment.document.config.data, experiment.problem.task
    if section is None or section.file is None or section.train is None or section.start is not None:
        return []
    parts = {"train": section.train, **section.test}
    late = [name for name, segments in parts.items() if any(start > 0 for start, _ in segments.ranges())]
    theta = experiment.problem.theta(experiment.problem.parameters.flat())
    slowest = float(np.min(np.diag(task.model.friction(theta)) / task.model.mass(theta))) / 2
    spacing = task.step * task.every
    left = math.exp(-slowest * section.skip * spacing)
    if not late or left <= _RUNG_DOWN:
        return []
    words = (
        f"{', '.join(late)}: begins in the middle of the recording and is simulated from rest; after the "
        f"{section.skip} samples that are skipped {left:.0%} of the motion before is still there"
    )
    if slowest > 0:
        needed = math.ceil(-math.log(_RUNG_DOWN) / (slowest * spacing))
        return [f"{words}; skip {needed} or more, or begin where the device was at rest"]
    return [f"{words}; begin where the device was at rest"]
