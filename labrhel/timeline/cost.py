"""What a gradient would cost, found out without moving anything."""

from __future__ import annotations

from labrhel.executor import DryBackend, execute
from labrhel.executor.dry import Cost
from labrhel.experiment import Experiment
from labrhel.learning.train import batch_at


def rehearse(experiment: Experiment) -> Cost:
    """Compile and limit-check one gradient and the tests without moving anything; what they would cost."""
    backend = DryBackend(experiment.rig.capabilities)
    problem = experiment.problem
    x = problem.parameters.flat()
    sequences = [problem.train[index] for index in batch_at(len(problem.train), problem.batch, problem.seed, 0)]
    execute(problem.gradient(x, sequences), experiment.on_paper(backend))
    return backend.cost
