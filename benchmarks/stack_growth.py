"""How far the adjoint of a nonlinear stack grows over the longest sequences of the archive, with and without friction.

    python -m benchmarks.stack_growth [--seeds 2]

Random walks of the shape of EigenWorms, 6 channels and 17,984 steps, through the paper's stack for it at its initial
values (two blocks, 64 features, 16 oscillators), by echoes in float64.  Needs labrhel[torch].
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.figure import Figure, print_table
from benchmarks.rounds import installed

CHANNELS, STEPS, BATCH, HIDDEN, STATE, BLOCKS, CLASSES = 6, 17_984, 2, 64, 16, 2, 5
LARGEST = 10.0


def growth(unit: str, step: float | None, friction: float | None, seed: int) -> tuple[float, bool]:
    """Worst growth over the blocks, and whether any of them had a word to say against its gradient."""
    import torch

    from simbackend.recurrent.stacks.engines import make_engine
    from simbackend.recurrent.stacks.hssm import HSSM, Block, Classify
    from simbackend.recurrent.stacks.layer import GradientWarning, Unit
    from simbackend.recurrent.stacks.units import UNITS, Beginning, Size

    def make_unit(size: Size) -> Unit:
        return UNITS[unit](make_engine(unit, "echoes"), size, Beginning(step, friction))  # type: ignore[arg-type]

    torch.manual_seed(seed)
    blocks = [Block(HIDDEN, STATE, make_unit, 0.0) for _ in range(BLOCKS)]
    model = HSSM(CHANNELS, blocks, Classify(HIDDEN, CLASSES)).double()
    walks = np.cumsum(np.random.default_rng(seed).normal(size=(BATCH, STEPS, CHANNELS)), axis=1) / 60
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GradientWarning)
        torch.nn.functional.nll_loss(model(torch.from_numpy(walks)), torch.arange(BATCH)).backward()
    health = [module.health for module in model.modules() if isinstance(module, Unit) and module.health is not None]
    return max(item.growth for item in health), any(item.warnings for item in health)


def targets(seeds: int = 2) -> Iterator[Figure]:
    """What friction, or a small step, is promised to do; skipped without PyTorch."""
    if not installed("torch"):
        yield Figure("growth of stacks", "skipped: PyTorch is not installed", None)
        return
    for words, unit, step, friction in (
        ("lossless", "nonlinear", None, None),
        ("lossless, step 1e-4", "nonlinear", 1e-4, None),
        ("friction 0.01", "damped_nonlinear", None, 0.01),
        ("friction drawn from 0.01 to 1", "damped_nonlinear", None, None),
    ):
        found = [growth(unit, step, friction, seed) for seed in range(seeds)]
        worst, warned = max(item[0] for item in found), sum(item[1] for item in found)
        judged = None if words == "lossless" else worst <= LARGEST and not warned
        yield Figure(
            f"nonlinear stack, 6 x 17,984, {words}: growth <= {LARGEST:g}, no warning",
            f"{worst:.1e}, {warned} of {seeds} warned",
            judged,
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures as a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=2)
    print_table(targets(parser.parse_args(arguments).seeds))


if __name__ == "__main__":
    main()
