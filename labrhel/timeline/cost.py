"""What a gradient would cost, found out without moving anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from labrhel.executor import DryBackend, execute
from labrhel.executor.dry import Cost
from labrhel.experiment import Experiment
from labrhel.learning.gradient import Gradient
from labrhel.learning.train import batch_at


def rehearse(experiment: Experiment) -> Cost:
    """Compile and limit-check one gradient and the tests without moving anything; what they would cost."""
    backend = DryBackend(experiment.rig.capabilities)
    problem = experiment.problem
    x = problem.parameters.flat()
    sequences = [problem.train[index] for index in batch_at(len(problem.train), problem.batch, problem.seed, 0)]
    gradient = execute(problem.gradient(x, sequences), experiment.on_paper(backend))
    return replace(backend.cost, assumes=tuple(assumed(gradient)))


def assumed(gradient: Gradient) -> Iterator[str]:
    """What a gradient on paper takes for granted, and one of the rig finds out."""
    pairs = int(gradient.measured.get("directed_pairs", 0))
    if pairs:
        yield f"{pairs} pair{'s' if pairs > 1 else ''} of echoes assumed for directed couplings; directed: N fixes them"
