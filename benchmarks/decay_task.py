"""A leaky integral learned by echoes: what a unit that forgets can do and one that cannot.

    python -m benchmarks.decay_task [--seeds 5] [--epochs 60] [--engine echoes] [--units linear damped]

16 oscillators, y = C q with nothing around them; 64 sequences of white noise to learn from, 32 to stop by, 32 to test
on, 200 steps each (`labrhel.data.tasks.decay`).  The error is a share of the target's variance.  Needs labrhel[torch].
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.figure import Figure, print_table
from benchmarks.rounds import installed
from labrhel.data.samples import Split
from labrhel.data.tasks import decay

STATE, STEPS, COUNTS, RATE, BATCH = 16, 200, (64, 32, 32), 0.05, 8
LARGEST, LEAST_LOSSLESS = 5e-3, 0.3
FORGETFUL = ("damped", "damped_nonlinear")


def error(unit: str, seed: int, epochs: int, engine: str) -> float:
    """Test error over the variance, of the best validation epoch."""
    from simbackend.recurrent.stacks.engines import make_engine
    from simbackend.recurrent.stacks.training import DENSE, Training, seeded
    from simbackend.recurrent.stacks.units import UNITS, Size

    random = np.random.default_rng([seed, 1])
    split = Split(*(decay(count, STEPS, random) for count in COUNTS))
    with seeded(seed):
        model = UNITS[unit](make_engine(unit, engine), Size(1, STATE, 1)).double()  # type: ignore[arg-type]
    training = Training(model, split, DENSE, rate=RATE, batch=BATCH, seed=seed)
    for _ in range(epochs):
        training.epoch()
    return training.test() / float(np.var(split.test.stacked()[1]))


def learned(units: Sequence[str], seeds: int, epochs: int, engine: str) -> Iterator[Figure]:
    """All seeds of each unit."""
    for unit in units:
        errors = [error(unit, seed, epochs, engine) for seed in range(seeds)]
        words = f"{min(errors):.2g} to {max(errors):.2g}"
        if unit in FORGETFUL:
            met, promise = max(errors) <= LARGEST, f"<= {LARGEST:g}"
        else:
            met, promise = min(errors) >= LEAST_LOSSLESS, f">= {LEAST_LOSSLESS:g}, as it cannot forget"
        yield Figure(f"decay task, {unit} unit by {engine}, {seeds} seeds: error over variance {promise}", words, met)


def targets() -> Iterator[Figure]:
    """What is promised; skipped without PyTorch."""
    if installed("torch"):
        yield from learned(("linear", "damped"), 5, 60, "echoes")
    else:
        yield Figure("decay task", "skipped: PyTorch is not installed", None)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures as a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--engine", default="echoes")
    parser.add_argument("--units", nargs="+", default=["linear", "damped"])
    asked = parser.parse_args(arguments)
    print_table(learned(asked.units, asked.seeds, asked.epochs, asked.engine))


if __name__ == "__main__":
    main()
