"""How well a stack learns BasicMotions when its gradients come from echoes, and when they come from BPTT.

    python -m benchmarks.basic_motions [ENGINE ...]        default: echoes bptt

Same splits, initial values and order of the samples: only the gradients differ.  Data through LABRHEL_DATA; needs
labrhel[torch].
"""

import sys

import numpy as np
import torch

from labrhel.config import find
from simbackend.stacks.experiment import load

EXAMPLE = "basic_motions"
SMALLEST = 0.95
LARGEST_GAP = 0.025


def trained(unit: str, engine: str) -> np.ndarray:
    """Test accuracy of every seed."""
    file = find(EXAMPLE)
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


def main(engines: list[str]) -> bool:
    torch.set_num_threads(1)  # the maps between the units are small: threads cost more than they save
    good = True
    print(f"{'unit':12}{'engine':12}{'accuracy':>10}   seeds")
    for unit in ("linear", "nonlinear"):
        means = {}
        for engine in engines:
            scores = trained(unit, engine)
            means[engine] = scores.mean()
            print(
                f"{unit:12}{engine:12}{scores.mean():10.3f}   {' '.join(f'{score:.3f}' for score in scores)}",
                flush=True,
            )
        good &= min(means.values()) >= SMALLEST and max(means.values()) - min(means.values()) <= LARGEST_GAP
    print(f"all means >= {SMALLEST} and within {100 * LARGEST_GAP} points: {'yes' if good else 'NO'}")
    return good


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:] or ["echoes", "bptt"]) else 1)
