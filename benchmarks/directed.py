"""Directed couplings: the asymmetric echo on random lossy Duffing rigs, of which the host's model is wrong.

    python -m benchmarks.directed [--rigs N]

Rigs of six with dense springs and dense directed couplings (`simbackend.rigs.directed`) that lose two e-folds of energy
in a pass; the model's springs are wrong by 5 % (or 20 %), its friction and cubic terms by 20 %, each entry up or down.
The drive of the echo is known, as a lock leaves it, so that what is measured is the correction alone; a last row has
the lock find it.
Error: of all parameters of the rig but the initial state, as one vector, against reverse mode.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.figure import Figure, print_table
from labrhel.errors import LabrhelError
from protocols.rhel import RHEL
from protocols.twin import FittedTwin
from simbackend.rigs.directed import directed_rig

PAIRS = 6


@dataclass(frozen=True, slots=True)
class Row:
    """One rig: errors after no pair, one, two ...; what was said to remain after each; the model alone; flutter."""

    errors: tuple[float, ...]
    said: tuple[float, ...]
    model: float
    flutter: float


@dataclass(frozen=True, slots=True)
class Left:
    """One rig left to itself: error, what was said to remain, pairs; all NaN where it was refused."""

    error: float
    said: float
    pairs: float


def row(seed: int, share: float, duration: float, stiffness: float, gyroscopic: float = 0.0) -> Row:
    """The rig after every pair."""
    rig = directed_rig(seed, share, duration, stiffness=stiffness, gyroscopic=gyroscopic)
    errors, said = [rig.error(rig.gradient(RHEL(lock=1, directed=0)))], [np.nan]
    flutter = 0.0
    for pairs in range(1, PAIRS + 1):
        found = rig.gradient(RHEL(lock=1, directed=pairs))
        errors.append(rig.error(found))
        said.append(found.measured["remaining_error"])
        flutter = found.measured.get("flutter", 0.0)
    twin = rig.gradient(FittedTwin(refit=False), known_drive=False)
    return Row(tuple(errors), tuple(said), rig.error(twin), flutter)


def left(seed: int, share: float, duration: float, stiffness: float = 0.05, *, locked: bool = False) -> Left:
    """The rig with as many pairs as the rule takes."""
    rig = directed_rig(seed, share, duration, stiffness=stiffness)
    try:
        found = rig.gradient(RHEL(lock=8 if locked else 1), known_drive=not locked)
    except LabrhelError:
        return Left(np.nan, np.nan, np.nan)
    return Left(rig.error(found), found.measured["remaining_error"], found.measured["directed_pairs"])


def targets(count: int, processes: int = 2) -> Iterator[Figure]:
    """The targets, and the tables that docs/what-physics-allows.md quotes."""
    with ProcessPoolExecutor(processes) as pool:
        for share, duration, stiffness in ((0.05, 20, 0.05), (0.2, 20, 0.05), (0.2, 20, 0.2), (1.0, 20, 0.05)):
            found = list(pool.map(partial(row, share=share, duration=duration, stiffness=stiffness), range(count)))
            yield from _pairs(found, f"N/S {share}, T = {duration}, springs {100 * stiffness:.0f} % wrong", stiffness)
        found = list(pool.map(partial(row, share=0.0, duration=20, stiffness=0.05, gyroscopic=0.5), range(count)))
        yield from _pairs(found, "gyroscopic, half of the friction, T = 20, springs 5 % wrong", 0.05)
        third = float(np.median([item.errors[3] for item in found]))
        yield Figure("  <= 1e-3 after 3 pairs", f"{third:.1e}", third <= 1e-3)
        for share, duration in ((0.2, 20), (1.0, 20), (0.2, 60)):
            ends = list(pool.map(partial(left, share=share, duration=duration), range(count)))
            yield from _left(ends, f"N/S {share}, T = {duration}, auto")
        ends = list(pool.map(partial(left, share=0.2, duration=20, locked=True), range(count)))
        median = float(np.nanmedian([item.error for item in ends]))
        yield Figure(
            "N/S 0.2, T = 20, the drive found by lock: 8, auto: median error <= 1e-3", f"{median:.1e}", median <= 1e-3
        )


def _pairs(found: list[Row], words: str, stiffness: float) -> Iterator[Figure]:
    errors = np.median([item.errors for item in found], axis=0)
    told = ", ".join(f"{value:.1e}" for value in errors[1:])
    model = np.median([item.model for item in found])
    yield Figure(f"{words}: median after 1, 2 ... pairs", told, None)
    yield Figure("  plain driven echo; the model alone", f"{errors[0]:.2g}; {model:.2g}", None)
    if "0.2, T" not in words:
        return
    if stiffness > 0.1:
        yield Figure("  <= 1e-2 within 4 pairs", f"{errors[4]:.1e}", bool(errors[4] <= 1e-2))
        return
    yield Figure("  <= 1e-3 within 4 pairs", f"{errors[4]:.1e}", bool(errors[4] <= 1e-3))
    yield Figure("  <= 1e-5 within 6 pairs", f"{errors[6]:.1e}", bool(errors[6] <= 1e-5))


def _left(ends: list[Left], words: str) -> Iterator[Figure]:
    given = [item for item in ends if np.isfinite(item.error)]
    refused = len(ends) - len(given)
    honest = np.mean([item.error <= 0.01 or item.said > 0.01 for item in given])
    near = np.mean([1 / 3 <= item.said / max(item.error, 1e-300) <= 3 for item in given])
    pairs = np.median([item.pairs for item in given])
    worst = max(item.error for item in given)
    yield Figure(f"{words}: within 1 %, or said", f"{100 * honest:.0f} %; {refused} refused", bool(honest >= 0.99))
    yield Figure("  worst error; median of pairs", f"{worst:.1e}; {pairs:.0f}", None)
    yield Figure("  what is said to remain is within a factor 3 on 90 %", f"{100 * near:.0f} %", bool(near >= 0.9))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rigs", type=int, default=100)
    sys.exit(not print_table(targets(parser.parse_args().rigs)))


if __name__ == "__main__":
    main()
