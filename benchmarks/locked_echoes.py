"""Lossy nonlinear rigs: driven and locked echoes against the exact gradient of the rig as it is.

    python -m benchmarks.locked_echoes [--rigs N]

The same random rigs (`simbackend.rigs.wrong`) three times: a host that knows the rig; one whose friction is wrong by
20 % and whose springs are wrong by 5 %; and the same on 12-bit converters, with 1 % gain errors, delays of 0.1 % of the
fastest period, and gains that differ by 0.5 % from shot to shot.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from benchmarks.figure import Figure, print_table
from labrhel.errors import ProgramError
from labrhel.learning.estimator import Order
from labrhel.rig.capabilities import Reversal
from protocols.rhel import RHEL
from simbackend.imperfections import IDEAL, Imperfections
from simbackend.imperfections.converters import ConverterErrors
from simbackend.imperfections.paths import PathErrors
from simbackend.rigs.wrong import WrongRig, wrong_rig

DELAY = 0.0037  # [model time]: 0.1 % of the fastest period of such a rig
JITTER = 0.005
BY_DRIVE = frozenset({Reversal.BY_DRIVE})


@dataclass(frozen=True, slots=True)
class Row:
    """One rig: e-folds of energy, cosine, relative error, rounds of the lock, share of entries in their interval."""

    folds: float
    cosine: float
    error: float
    rounds: int
    covered: float


def bench(seed: int) -> Imperfections:
    """A rig on instruments of good quality, calibrated."""
    port = PathErrors(gain=0.01, skew=DELAY, jitter=JITTER)
    return Imperfections(
        seed=seed,
        ports=port,
        channels=PathErrors(gain=0.01, skew=DELAY),
        adc=ConverterErrors(12, 4.0),
        dac=ConverterErrors(12, 10.0),
    )


def measured(seed: int, rule: RHEL, *, wrong: bool, real: bool, by_drive: bool) -> Row:
    """The gradient of one rig."""
    rig: WrongRig = wrong_rig(
        seed,
        friction=0.2 * wrong,
        stiffness=0.05 * wrong,
        offers=BY_DRIVE if by_drive else None,
        imperfections=bench(seed) if real else IDEAL,
    )
    try:
        gradient = rig.gradient(rule)
    except ProgramError:  # more drive than the converters give: refused before anything moved, and counted as wrong
        return Row(rig.folds, 0.0, 1.0, 0, np.nan)
    jitter = JITTER if real else 0.0
    cosine, error = rig.compare(gradient, jitter)
    covered = np.nan
    if gradient.standard_error is not None:
        exact = rig.exact(jitter)
        inside = [
            np.ravel((low <= exact[name]) & (exact[name] <= high)) for name, (low, high) in gradient.interval().items()
        ]
        covered = float(np.mean(np.concatenate(inside)))
    return Row(rig.folds, cosine, error, int(gradient.measured.get("lock_rounds", 0)), covered)


def rows(count: int, rule: RHEL, **kind: bool) -> list[Row]:
    """All rigs, on two processes."""
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(partial(measured, rule=rule, **kind), range(count), chunksize=4))


def targets(count: int) -> Iterator[Figure]:
    """The targets, and what else one would ask."""
    known = rows(count, RHEL(response=1e-5), wrong=False, real=False, by_drive=False)
    worst = min(row.cosine for row in known), max(row.error for row in known)
    good = worst[0] >= 0.999 and worst[1] <= 0.01
    yield Figure(f"driven echo on {count} known rigs: cosine >= 0.999, error <= 1 %", _pair(worst), good)
    for by_drive in (False, True):
        how = "by drive" if by_drive else "by flip"
        locked = rows(count, RHEL(lock=6), wrong=True, real=False, by_drive=by_drive)
        worst = min(row.cosine for row in locked), max(row.error for row in locked)
        good = worst[0] >= 0.999 and worst[1] <= 0.01
        rounds = max(row.rounds for row in locked)
        words = f"locked echo {how}, friction off by 20 %, springs by 5 %: the same in <= 6 rounds"
        yield Figure(words, f"{_pair(worst)}, {rounds} rounds", good and rounds <= 6)
        plain = rows(count, replace(RHEL(), lock=0), wrong=True, real=False, by_drive=by_drive)
        yield Figure(
            f"  without the lock ({how}): median cosine", f"{np.median([row.cosine for row in plain]):.3f}", None
        )
    rule = RHEL(lock=6, repeats=8, order=Order.ABBA, bound=True)
    for by_drive in (False, True):
        how = "by drive" if by_drive else "by flip"
        found = rows(count, rule, wrong=True, real=True, by_drive=by_drive)
        median = np.median([row.cosine for row in found])
        words = f"12 bits, gain errors and jitter, delays ({how}): median cosine >= 0.99"
        yield Figure(words, f"{median:.4f}", bool(median >= 0.99))
        share = np.mean([row.cosine > 0.99 for row in found])
        yield Figure("  rigs above 0.99", f"{100 * share:.0f} %", None)
        covered = np.nanmean([row.covered for row in found])
        yield Figure("  entries inside their 95 % intervals", f"{100 * covered:.1f} %", None)


def _pair(worst: tuple[float, float]) -> str:
    return f"{worst[0]:.6f} and {100 * worst[1]:.2g} % at worst"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rigs", type=int, default=100)
    sys.exit(not print_table(targets(parser.parse_args().rigs)))


if __name__ == "__main__":
    main()
