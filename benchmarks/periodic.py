"""Gradients in the periodic steady state of damped linear rigs: exactness without noise, and how noise averages.

    python -m benchmarks.periodic [--rigs N] [--draws N]

Rigs of 3 to 6 oscillators (`simbackend.rigs.periodic`), by `adjoint_only` and `recorded_correlation`, against reverse
mode through a pass from rest that is long enough to be steady; every parameter of the rig, as one vector.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.figure import Figure, print_table
from protocols.adjoint_only import AdjointOnly
from protocols.periodic.period import Periodic
from protocols.recorded_correlation import RecordedCorrelation
from simbackend.rigs.periodic import PERIOD, periodic_rig, two_periods

NAMES = ("stiffness", "coupling", "mass", "friction", "input")


def errors(rigs: int) -> Iterator[tuple[float, float]]:
    """Of each rig the relative errors of both rules."""
    steady = Periodic(PERIOD, discard=20, periods=2)
    rules: tuple[Any, ...] = (AdjointOnly(periodic=steady), RecordedCorrelation(periodic=steady))
    for seed in range(rigs):
        long = periodic_rig(seed, 3 + seed % 4, periods=44, silent=22)
        one, other = (long.compare(two_periods(long).gradient(rule, NAMES))[1] for rule in rules)
        yield one, other


def spreads(seed: int, draws: int, counts: tuple[int, ...]) -> list[float]:
    """Rms deviation of a noisy gradient from its mean, by the number of periods that it averages."""
    found = []
    for periods in counts:
        noisy = two_periods(periodic_rig(seed, noise=0.01))
        rule: Any = AdjointOnly(periodic=Periodic(PERIOD, discard=16, periods=periods))
        slopes = [noisy.gradient(rule, NAMES[:2]).values["stiffness"] for _ in range(draws)]
        found.append(float(np.sqrt(np.sum(np.var(slopes, axis=0)))))
    return found


def figures(rigs: int = 40, draws: int = 100) -> Iterator[Figure]:
    """Every figure with its target."""
    found = np.array(list(errors(rigs)))
    for name, column in zip(("adjoint_only", "recorded_correlation"), found.T, strict=True):
        said = f"median {np.median(column):.1e}, worst {column.max():.1e}"
        yield Figure(f"{rigs} rigs, {name}, noise-free: <= 1e-8", said, bool(column.max() <= 1e-8))
    ratios = []
    for seed in range(4):
        two, eight, more = spreads(seed, draws, (2, 8, 32))
        ratios += [two / eight / 2, eight / more / 2]
    said = f"{min(ratios):.2f} to {max(ratios):.2f} of it, 4 rigs, periods 2, 8, 32"
    yield Figure("noise falls with the root of the periods within 20 %", said, all(0.8 < r < 1.2 for r in ratios))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rigs", type=int, default=40)
    parser.add_argument("--draws", type=int, default=100)
    asked = parser.parse_args()
    sys.exit(not print_table(figures(asked.rigs, asked.draws)))
