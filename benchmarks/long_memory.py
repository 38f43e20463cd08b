"""How well stacks learn by echoes what asks for a long memory: the adding problem and copy memory, beside BPTT.

    python -m benchmarks.long_memory [--runs DIR] [--seeds 3] [--engines echoes bptt]

`examples/adding.yaml` (500 steps) and `examples/copy_memory.yaml` (200 steps); same sequences, initial values and
order: only the gradients differ.  A named folder keeps the trainings.  Time is that of the processor, all threads
together, so that a busy machine does not change it.  Needs labrhel[torch].
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.figure import Figure, print_table
from benchmarks.rounds import installed
from labrhel.config import examples
from labrhel.experiment.points import carry_out
from labrhel.store import RunReader

LONGEST = 15.0  # minutes of the processor for each training


@dataclass(frozen=True, slots=True)
class Promise:
    """An example, the score that its test set is judged by, and what is promised of its mean over the seeds."""

    example: str
    words: str
    score: str
    least: float = -np.inf
    most: float = np.inf


PROMISES = (
    Promise("adding", "adding problem, 500 steps: mean square error <= 0.01", "mean_square_error", most=0.01),
    Promise("copy_memory", "copy memory, 200 steps: recall >= 0.99", "recall", least=0.99),
)
SEEDS = 3


def learned(promise: Promise, engine: str, seeds: int, runs: Path) -> tuple[list[float], list[float]]:
    """Test scores of the seeds, and the minutes that those took which had not been trained before."""
    import torch

    from simbackend.recurrent.stacks.runner import load

    torch.set_num_threads(1)
    file = examples()[promise.example]
    scores, minutes = [], []
    for seed in range(seeds):
        changes = [f"protocol.engine={engine}", f"optimizer.seeds=[{seed}]"]
        begin, seen = time.process_time(), []
        (done,) = carry_out([load(file, home=file.parent, steps=None, seed=None, changes=changes)], runs, seen.append)
        if seen:
            minutes.append((time.process_time() - begin) / 60)
        reader = RunReader(done.folder)
        scores.append(float(reader.scalars()[promise.score][-1]))
        reader.close()
    return scores, minutes


def targets(
    runs: Path | None = None, seeds: int = SEEDS, engines: Sequence[str] = ("echoes", "bptt")
) -> Iterator[Figure]:
    """Scores by each engine, their difference seed by seed, and the time."""
    if not installed("torch"):
        yield Figure("adding problem and copy memory", "skipped: PyTorch is not installed", None)
        return
    from simbackend.recurrent.tables.training import paired

    with TemporaryDirectory() as folder:
        for promise in PROMISES:
            found = {engine: learned(promise, engine, seeds, runs or Path(folder)) for engine in engines}
            for engine, (scores, minutes) in found.items():
                mean = float(np.mean(scores))
                words = f"{mean:.4f} ({', '.join(f'{score:.4f}' for score in scores)})"
                yield Figure(f"{promise.words}, by {engine}", words, promise.least <= mean <= promise.most)
                if minutes:
                    words = f"{max(minutes):.1f} minutes, slowest of {len(minutes)} seeds"
                    yield Figure(f"  ... in <= {LONGEST:g} minutes of the processor", words, max(minutes) <= LONGEST)
            if "bptt" in found:
                for engine in [name for name in found if name != "bptt"]:
                    gap, low, high = paired(np.subtract(found[engine][0], found["bptt"][0]))
                    met = None if low is None or high is None else low <= 0 <= high
                    interval = "" if low is None else f", 95 % interval {low:+.4f} to {high:+.4f}"
                    yield Figure(f"  ... {engine} equal to BPTT within its spread", f"{gap:+.4f}{interval}", met)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures as a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--engines", nargs="+", default=["echoes", "bptt"])
    asked = parser.parse_args(arguments)
    return 0 if print_table(targets(asked.runs, asked.seeds, asked.engines)) else 1


if __name__ == "__main__":
    sys.exit(main())
