"""The operations of a run: test, train from the last checkpoint on, test again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.experiment import Experiment
from labrhel.learning.gradient import Gradient
from labrhel.learning.optimizers import Optimizer
from labrhel.learning.scoring import score
from labrhel.learning.train import checkpoint_state, free_run, take_up, train
from labrhel.rig.calibration import plain_of
from labrhel.shots import operations
from labrhel.shots.operations import Checkpoint, Publish

TEST, ZERO, NRMSE, UNCERTAINTY = "test_", "zero_", "nrmse_", "nrmse_uncertainty_"
"""What the names of scalars begin with that are the scores on a test set (`labrhel.learning.scoring`)."""


@dataclass(frozen=True, slots=True)
class Concluded:
    """How a training ended, in `words`.

    `stalled`: before its planned steps, and without having converged.
    """

    words: str
    stalled: bool


def training(
    experiment: Experiment,
    checkpoint: Checkpoint | None,
    doubts: Callable[[Gradient], bool] = lambda gradient: False,
    more: Callable[[], Mapping[str, Any]] = dict,
) -> operations.Protocol[Array | Concluded]:
    """Test, train from the checkpoint on (None: the start), and test; the point (size,) to go on from after doubts.

    What `more()` says then goes into every checkpoint.
    """
    problem, optimizer = experiment.problem, experiment.make_optimizer()
    names = problem.parameters.names
    begin, nudge = 0, None
    if checkpoint is not None:
        begin, nudge = checkpoint.step, take_up(optimizer, checkpoint.state, names)
    else:
        alone = [
            f"{name} is trained in the host's model alone: nothing sets it on the rig" for name in experiment.host_side
        ]
        errors, results = yield from _tests(experiment, problem.parameters.flat())
        before = {name: result["output"] for name, result in results.items()}
        yield Publish(0, errors, tuple(alone), before)

    def also() -> dict[str, Any]:
        return {"calibration": plain_of(experiment.calibration), **more()}

    taken, nudge = yield from train(
        problem, optimizer, experiment.steps, start=begin, nudge=nudge, ends=doubts, also=also
    )
    if taken < experiment.steps and not optimizer.done:
        return optimizer.ask()
    best = optimizer.best()
    errors, results = yield from _tests(experiment, best)
    yield Publish(taken, errors)
    state = checkpoint_state(problem.parameters, optimizer, nudge, best)
    yield Checkpoint(taken, state | also() | {"planned_steps": experiment.steps, "results": results})
    return _concluded(optimizer, taken, experiment.steps)


def _concluded(optimizer: Optimizer, taken: int, planned: int) -> Concluded:
    if taken >= planned:
        all_of_them = "the one planned gradient was" if planned == 1 else f"all {planned} planned gradients were"
        return Concluded(f"{all_of_them} taken", stalled=False)
    how = "converged" if optimizer.converged else "stalled"
    words = f"{how} after {taken} of {planned} planned gradients: {optimizer.why}"
    return Concluded(words, stalled=not optimizer.converged)


def _tests(experiment: Experiment, x: Array) -> operations.Protocol[tuple[dict[str, float], dict[str, dict[str, Any]]]]:
    """The scores by metric, and input, target and read-out of the first sequence of each test set."""
    errors: dict[str, float] = {}
    results: dict[str, dict[str, Any]] = {}
    for name, sequences in experiment.tests.items():
        outputs = yield from free_run(experiment.task, sequences, experiment.theta(x))
        found = score(sequences, outputs)
        known = {TEST: found.rms, ZERO: found.zero, NRMSE: found.nrmse, UNCERTAINTY: found.uncertainty}
        errors |= {kind + name: value for kind, value in known.items() if np.isfinite(value)}
        first, spacing = sequences[0], experiment.task.step * experiment.task.every
        results[name] = {
            "output": outputs[0],
            "target": first.target,
            "weight": first.weight,
            "ports": list(first.inputs),
            "outputs": experiment.output_names,
            "input": np.array([wave.on_grid(spacing, first.samples) for wave in first.inputs.values()]),
            "spacing": spacing,
        }
    return errors, results
