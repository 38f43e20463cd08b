"""How well a stack learns BasicMotions when its gradients come from echoes, and when they come from BPTT.

    python -m benchmarks.basic_motions

Same splits, initial values and order of the samples: only the gradients differ.  Data through LABRHEL_DATA; needs
labrhel[torch].
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

from benchmarks.figure import Figure, print_table
from labrhel.arrays import Array
from labrhel.config import find
from labrhel.errors import ConfigurationError

SMALLEST = 0.95
LARGEST_GAP = 0.025


def accuracies(unit: str, engine: str) -> Array:
    """Test accuracy of every seed of the example (seeds,), with this unit and engine."""
    import torch

    from simbackend.recurrent.stacks.experiment import load

    torch.set_num_threads(1)  # the maps between the units are small: threads cost more than they save
    file = find("basic_motions")
    experiment = load(file, home=file.parent, steps=None, seed=None)
    config = experiment.config
    changes = {
        "model": config.model.model_copy(update={"unit": unit}),
        "protocol": config.protocol.model_copy(update={"engine": engine}),
    }
    experiment = experiment.replacing(config.model_copy(update=changes))
    scores = []
    for seed in experiment.seeds:
        training = experiment.training(seed)
        while training.done < experiment.epochs:
            training.epoch()
        scores.append(training.test())
    return np.array(scores)


def targets() -> Iterator[Figure]:
    """All units, echoes against BPTT."""
    for unit in ("linear", "nonlinear", "damped", "damped_nonlinear"):
        target = f"BasicMotions, {unit} units: accuracy by echoes within 2.5 points of BPTT's, both >= 0.95"
        try:
            echoes, bptt = (accuracies(unit, engine) for engine in ("echoes", "bptt"))
        except (ImportError, ConfigurationError) as error:
            yield Figure(target, f"skipped: {error}", None)
            continue
        met = min(echoes.mean(), bptt.mean()) >= SMALLEST and abs(echoes.mean() - bptt.mean()) <= LARGEST_GAP
        yield Figure(target, f"{echoes.mean():.3f}, BPTT {bptt.mean():.3f} ({len(echoes)} seeds)", bool(met))


if __name__ == "__main__":
    sys.exit(0 if print_table(targets()) else 1)
